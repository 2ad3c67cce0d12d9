"""Stored weights: reading them from anywhere, fitting them to a net, saving them."""

from __future__ import annotations

import http.client
import os
import pickle
import re
import struct
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from engine.errors import WeightsError
from engine.nets.reused import reuse_as_stored
from engine.nets.staged import NETS, StagedNet

State = dict[str, Tensor]
Fact = str | int | float
Status = Literal["matched", "missing", "unexpected", "wrong shape"]

SUFFIXES = (".pth", ".pt", ".th", ".tar", ".safetensors", "")  # mdistiller: student_best
WRAPPERS = ("model", "state_dict", "net", "student")
HEAD = "stages.logits."

# What torch.load raises on files that are cut off or are something else.
_DAMAGE = (
    pickle.UnpicklingError,
    RuntimeError,
    ValueError,
    TypeError,
    AttributeError,
    LookupError,
    AssertionError,
    OverflowError,
    EOFError,
    OSError,
    struct.error,
)

# mdistiller stores its best accuracy as a NumPy number, which carries no code.
_NUMBER = np.float64(0).__reduce__()[0]
_NUMPY_NUMBERS: tuple[Any, ...] = (
    np.dtype,
    type(np.dtype(np.float32)),
    type(np.dtype(np.float64)),
    (_NUMBER, "numpy._core.multiarray.scalar"),
    (_NUMBER, "numpy.core.multiarray.scalar"),
)


@dataclass(frozen=True, slots=True)
class KeyRow:
    """One tensor of the net, of the file, or of both. Empty where a side lacks it."""

    status: Status
    key: str
    stored: str
    shape: tuple[int, ...]
    stored_shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class ImportReport:
    """How stored weights and a net agree.

    Attributes:
        num_classes: what the stored classifier tells apart; 0 where there is none.
        facts: what else the file says, as in its format, epoch and accuracy.
    """

    rows: tuple[KeyRow, ...]
    num_classes: int
    facts: Mapping[str, Fact] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def body_fits(self) -> bool:
        """Everything but the classifier agrees."""
        return all(r.status == "matched" for r in self.rows if not r.key.startswith(HEAD))

    @property
    def head_fits(self) -> bool:
        """The classifier agrees."""
        return all(r.status == "matched" for r in self.rows if r.key.startswith(HEAD))

    @property
    def renamed(self) -> tuple[tuple[str, str], ...]:
        """Names in the file with their names in the net, where these differ."""
        rows = (row for row in self.rows if row.key and row.stored)
        return tuple((row.stored, row.key) for row in rows if row.stored != row.key)

    def count(self, status: Status) -> int:
        """How many tensors have this status."""
        return sum(row.status == status for row in self.rows)


def load_state(path: Path) -> tuple[State, dict[str, Fact]]:
    """The tensors of a file, unwrapped and without the prefixes of wrappers, and its facts.

    Raises:
        WeightsError: no such file, damaged, of another kind, or it carries code.
    """
    if not path.is_file():
        raise WeightsError(f"there is no file {path}")
    if path.suffix.lower() not in SUFFIXES:
        raise WeightsError(
            f"{path.name} is no file of weights; known are .pth .pt .th .pth.tar .safetensors"
        )
    read = _read_safetensors if path.suffix.lower() == ".safetensors" else _read_torch
    content, facts = read(path)
    while inner := next((w for w in WRAPPERS if isinstance(content.get(w), Mapping)), None):
        facts |= _numbers(content) | {"wrapper": inner}
        content = content[inner]
    state = {str(key): value for key, value in content.items() if isinstance(value, Tensor)}
    if not state:
        raise WeightsError(f"{path.name} holds no weights")
    return _without_prefixes(state), facts


def compare(net: StagedNet, state: Mapping[str, Tensor], *, name: str) -> ImportReport:
    """How well weights fit the net of this registered name; changes nothing."""
    stored = _own_names(state, NETS[name].facts.get("public_keys", ()))
    own = net.state_dict()
    rows = [
        _row(key, stored.get(key, ""), own, state)
        for key in own
        # Checkpoints from before torch 0.4.1 do not count batches; nothing depends on it.
        if key in stored or not key.endswith(".num_batches_tracked")
    ]
    rows += [_row("", theirs, own, state) for key, theirs in stored.items() if key not in own]
    num_classes = _num_classes({key: state[stored[key]] for key in stored})
    return ImportReport(
        tuple(rows), num_classes, notes=_unused(set(state) - set(stored.values()), name)
    )


def import_weights(
    net: StagedNet, state: Mapping[str, Tensor], *, name: str, new_head: bool = False
) -> ImportReport:
    """Load weights that fit; those that do not fit leave the net as it was.

    Args:
        name: the registered name of the net, for the public names of its tensors.
        new_head: a classifier that does not fit may stay as it is.
    """
    report = compare(net, state, name=name)
    if report.body_fits and (report.head_fits or new_head):
        matched = {row.key: state[row.stored] for row in report.rows if row.status == "matched"}
        net.load_state_dict(matched, strict=False)
    return report


def stored_classes(source: str, *, name: str) -> int:
    """How many classes the classifier in `DEFAULT` or a file tells apart; 0 where it has none.

    Args:
        name: the registered name of the net.

    Raises:
        WeightsError: as for load_weights.
    """
    state, _ = load_state(_default_file(name) if source == "DEFAULT" else Path(source))
    stored = _own_names(state, NETS[name].facts.get("public_keys", ()))
    return _num_classes({ours: state[theirs] for ours, theirs in stored.items()})


def load_weights(
    net: StagedNet, source: str, *, name: str, num_classes: int, new_head: bool = False
) -> ImportReport | None:
    """Fill a net from `none`, `DEFAULT` or a file's path.

    A classifier of other classes than the data's is left at random, but only where the file is
    the DEFAULT one, downloaded or by its path, or where `new_head` allows it.

    Args:
        name: the registered name of the net.
        num_classes: of the data set.
        new_head: the net goes on learning, so that a new classifier is no fault.

    Returns:
        What was loaded; None for `none`.

    Raises:
        WeightsError: no such weights, or they do not fit. The net's weights are as they were.
    """
    if source == "none":
        return None
    path = _default_file(name) if source == "DEFAULT" else Path(source)
    is_default = path.name == _file_name(_default_url(name))
    state, facts = load_state(path)
    reuse_as_stored(net, state)
    new_head = new_head or is_default
    report = import_weights(net, state, name=name, new_head=new_head)
    if not report.body_fits:
        raise WeightsError(_misfit(report, state, name))
    if report.head_fits:
        return replace(report, facts=facts)
    classes = f"{report.num_classes} classes" if report.num_classes else "no classifier"
    if not new_head:
        raise WeightsError(
            f"{path.name} has {classes}, the data set has {num_classes} classes",
            hint="Take weights of the same classes, or train the net on this data first.",
        )
    note = f"{path.name} has {classes}; the classifier of {num_classes} is left at random"
    return replace(report, facts=facts, notes=(*report.notes, note))


def guess_net(state: Mapping[str, Tensor]) -> tuple[str, dict[str, Any]] | None:
    """The listed net, with its knobs, whose names and shapes are exactly these."""
    for entry in NETS:
        stored = _own_names(state, entry.facts.get("public_keys", ()))
        shapes = {ours: tuple(state[theirs].shape) for ours, theirs in stored.items()}
        num_classes = _num_classes({ours: state[theirs] for ours, theirs in stored.items()})
        if not num_classes or not all(key.startswith("stages.") for key in shapes):
            continue
        heads = (shape for key, shape in shapes.items() if key.startswith(HEAD))
        if any(len(shape) == 4 for shape in heads) != (entry.facts.get("task") == "segment"):
            continue
        for knobs in entry.facts.get("variants", ({},)):
            with torch.device("meta"):
                net = entry.make(num_classes, (3, 32, 32), knobs=knobs)
            own = {key: tuple(tensor.shape) for key, tensor in net.state_dict().items()}
            if _uncounted(own) == _uncounted(shapes):
                return entry.name, dict(knobs)
    return None


def save_weights(net: StagedNet, path: Path, metadata: Mapping[str, str]) -> None:
    """Write a net's tensors as safetensors; a reader sees the old file or the whole new one."""
    tensors = {key: value.detach().cpu().contiguous() for key, value in net.state_dict().items()}
    partial = path.with_name(f"{path.name}.partial")
    save_file(tensors, partial, metadata=dict(metadata))
    with partial.open("rb") as file:
        os.fsync(file.fileno())
    partial.replace(path)


def _read_safetensors(path: Path) -> tuple[Mapping[str, Any], dict[str, Fact]]:
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            content = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
            metadata = file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"{path.name} is damaged or no safetensors file: {error}") from None
    return content, {**metadata, "format": "safetensors"}


def _read_torch(path: Path) -> tuple[Mapping[str, Any], dict[str, Fact]]:
    try:
        with warnings.catch_warnings(), torch.serialization.safe_globals(list(_NUMPY_NUMBERS)):
            warnings.simplefilter("ignore", UserWarning)  # of a pickle that torch did not write
            content = torch.load(path, map_location="cpu", weights_only=True)
    except _DAMAGE as error:
        if code := re.search(r"GLOBAL (\S+)", str(error)):
            raise WeightsError(
                f"{path.name} carries code ({code[1]}) and is not opened;"
                " save the net's state_dict() and give that file"
            ) from None
        raise WeightsError(f"{path.name} is damaged or no file of torch.save") from None
    if not isinstance(content, Mapping):
        raise WeightsError(f"{path.name} holds no weights but a {type(content).__name__}")
    return content, {"format": "torch"}


def _numbers(content: Mapping[str, Any]) -> dict[str, Fact]:
    """The plain numbers beside the weights, as in epoch and best accuracy."""
    found: dict[str, Fact] = {}
    for key, value in content.items():
        if isinstance(value, np.generic) or (isinstance(value, Tensor) and value.numel() == 1):
            value = value.item()
        if isinstance(value, int | float | str):
            found[str(key)] = value
    return found


def _without_prefixes(state: State) -> State:
    """Drop what DataParallel and mdistiller put before names, and what is not the student."""
    while True:
        if all(key.startswith("module.") for key in state):
            prefix = "module."
        elif any(key.startswith("student.") for key in state):
            prefix = "student."
        else:
            return state
        state = {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}


def _own_names(state: Iterable[str], public_keys: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Our name of each tensor -> its name in the file; without those that have none of ours."""
    pairs = tuple(public_keys)
    own: dict[str, str] = {}
    for stored in state:
        key = stored
        for pattern, ours in pairs:
            key = re.sub(pattern, ours, key)
        if key:
            own[key] = stored
    return own


def _unused(left: Iterable[str], name: str) -> tuple[str, ...]:
    """A note on the tensors of the public net that ours is without."""
    keys = sorted(left)
    parts = ", ".join(dict.fromkeys(key.split(".")[0] for key in keys))
    return (f"{name} has no {parts}; its {len(keys)} tensors are left out",) if keys else ()


def _row(key: str, stored: str, own: Mapping[str, Tensor], state: Mapping[str, Tensor]) -> KeyRow:
    shape = tuple(own[key].shape) if key else ()
    stored_shape = tuple(state[stored].shape) if stored else ()
    status: Status = "matched" if shape == stored_shape else "wrong shape"
    if not stored:
        status = "missing"
    elif not key:
        status = "unexpected"
    return KeyRow(status, key, stored, shape, stored_shape)


def _num_classes(state: Mapping[str, Tensor]) -> int:
    """First dimension of the classifier's last tensor; 0 where there is no classifier."""
    heads = [tensor for key, tensor in state.items() if key.startswith(HEAD)]
    return heads[-1].shape[0] if heads and heads[-1].ndim else 0


def _uncounted(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
    return {k: shape for k, shape in shapes.items() if not k.endswith(".num_batches_tracked")}


def _misfit(report: ImportReport, state: Mapping[str, Tensor], name: str) -> str:
    if guess := guess_net(state):
        other, knobs = guess
        chosen = ", ".join(f"{knob} = {value}" for knob, value in knobs.items())
        looks = f"{other} with {chosen}" if chosen else other
        return f"these weights do not fit {name}; they look like {looks}"
    counts = (
        f"{report.count('missing')} tensors are missing, {report.count('unexpected')} unexpected,"
        f" {report.count('wrong shape')} of another shape"
    )
    return f"these weights do not fit {name}: {counts}"


def _default_url(name: str) -> str:
    return str(NETS[name].facts.get("default_weights", ""))


def _file_name(url: str) -> str:
    return url.rsplit("/", 1)[-1]


def _default_file(name: str) -> Path:
    """Where torch hub keeps the public weights of a net; downloads them once."""
    url = _default_url(name)
    if not url:
        raise WeightsError(f"{name} has no DEFAULT weights; choose none or give a file")
    path = Path(torch.hub.get_dir(), "checkpoints", _file_name(url))
    if not path.exists():
        digest = path.stem.rsplit("-", 1)[-1]  # torchvision names files by their hash
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            torch.hub.download_url_to_file(url, str(path), digest, progress=False)
        except (OSError, RuntimeError, http.client.HTTPException) as error:
            raise WeightsError(
                f"the weights of {name} could not be downloaded from {url} ({error})",
                hint=f"Put the file {path.name} into {path.parent}, or give its path.",
            ) from None
    return path
