"""From a spec to what it names: data, nets, method. Used by runs and by jobs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

import torch

from engine.data import DATASETS, DataSet
from engine.data.batch import Batches
from engine.data.data_root import data_choice, find_root
from engine.data.device_loader import training_batches
from engine.data.pool_loader import Pools
from engine.distillers import DISTILLERS
from engine.errors import DistillError, SpecError, WeightsError
from engine.methods import METHODS, POLICIES, Materials, Method
from engine.nets import NETS, StagedNet, Tap, build_net, taps_of
from engine.nets.freeze import freeze
from engine.nets.weights import ImportReport, load_weights, stored_classes
from engine.registry import Registry
from engine.seeding import seed_for
from engine.spec import Choice, NetChoice, RunSpec

SHIPPED = Path(__file__).resolve().parent.parent / "assets" / "teachers"
EVALUATION_BATCH = 250
_PIXELS = 2**20  # of a batch of images that are segmented

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Loaded:
    """A net and what was loaded into it; None where its weights are random."""

    net: StagedNet
    report: ImportReport | None

    def knows(self, data: DataSet) -> bool:
        """Whether the loaded classifier tells the data set's classes apart, as far as is known."""
        if self.report is None:
            return False
        named = self.report.facts.get("classes")
        same = self.report.num_classes == len(data.classes)
        return same if named is None else named == "\n".join(data.classes)


def evaluation_batch(data: DataSet) -> int:
    """How many images of a data set a net is measured on at once."""
    if data.task == "classify":
        return EVALUATION_BATCH
    height, width = data.input_shape[1:]
    return min(EVALUATION_BATCH, max(1, _PIXELS // (height * width)))


def check_parts(spec: RunSpec) -> None:
    """Whether every part exists, has these knobs, and is used by the method.

    Raises:
        SpecError: with the path of the setting in `where`.
    """
    with located("data"):
        data = data_choice(spec.data)
    for path, registry, choice in (
        ("data", DATASETS, data),
        ("teacher", NETS, spec.teacher),
        ("student", NETS, spec.student),
        ("method", METHODS, spec.method),
        ("distiller", DISTILLERS, spec.distiller),
        ("policy", POLICIES, spec.policy),
    ):
        if choice is not None:
            with located(path):
                registry[choice.name].check(choice.knobs)
    _check_task(spec, data)
    facts = METHODS[spec.method.name].facts
    needs, may = facts["needs"], facts.get("may", ())
    for part in ("teacher", "distiller", "policy"):
        given = getattr(spec, part) is not None
        if part in needs and not given:
            raise SpecError(f"method {spec.method.name} needs a {part}", where=part)
        if given and part not in (*needs, *may):
            raise SpecError(f"method {spec.method.name} uses no {part}; leave it out", where=part)
    allowed = facts.get("distillers", ())
    if allowed and spec.distiller and DISTILLERS[spec.distiller.name].name not in allowed:
        raise SpecError(
            f"method {spec.method.name} cannot use {spec.distiller.name};"
            f" it takes {', '.join(allowed)}",
            where="distiller",
        )


def _check_task(spec: RunSpec, data: Choice) -> None:
    """Whether all parts are for the task of the spec, and its schedule has an effect there."""
    for path, registry, choice in (
        ("data", DATASETS, data),
        ("teacher", NETS, spec.teacher),
        ("student", NETS, spec.student),
        ("method", METHODS, spec.method),
    ):
        of = "classify" if choice is None else registry[choice.name].facts.get("task", "classify")
        if choice is not None and of not in ("any", spec.task):
            raise SpecError(
                f"{registry.kind} {choice.name} is for task {of}, this run's task is {spec.task}",
                hint=f"Set task: {of}, or choose another {registry.kind}.",
                where=path,
            )
    schedule = spec.schedule
    idle = {
        "steps": spec.task == "classify" and schedule.steps > 0,
        "drop_last": spec.task == "segment" and schedule.drop_last,
        "nesterov": schedule.optimizer == "adam" and schedule.nesterov,
    }
    for name, is_idle in idle.items():
        if is_idle:
            raise SpecError(
                f"schedule.{name} has no effect with task {spec.task}"
                f" and optimizer {schedule.optimizer}; leave it out",
                where=f"schedule.{name}",
            )
    if spec.task == "segment" and schedule.batch == 1:
        raise SpecError(
            "a batch of 1 leaves the norm after a head's pooling a single number to work on",
            hint="Choose a batch of 2 or more.",
            where="schedule.batch",
        )


class located:  # noqa: N801
    """A context in which a DistillError without a place belongs to one setting."""

    def __init__(self, where: str) -> None:
        self._where = where

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, DistillError) and not error.where:
            error.where = self._where


def load_data(choice: Choice, seed: int) -> DataSet:
    """Read or draw a data set.

    Raises:
        DataError, SpecError: with a sentence.
    """
    with located("data"):
        choice = data_choice(choice)
        return DATASETS[choice.name].make(find_root(), seed, knobs=choice.knobs)


def weights_source(choice: NetChoice, runs: Path) -> str:
    """`none`, `DEFAULT` or the path of the file that a net's weights come from.

    Args:
        runs: the folder of all runs, for `run:ID`.

    Raises:
        WeightsError: the named weights do not exist.
    """
    kind, _, name = choice.weights.partition(":")
    if kind == "shipped":
        path = SHIPPED / f"{name}.safetensors"
        if not path.is_file():
            known = ", ".join(sorted(p.stem for p in SHIPPED.glob("*.safetensors"))) or "none"
            raise WeightsError(f"no weights {name!r} are shipped; there are: {known}")
        return str(path)
    if kind == "run":
        path = runs / name / "artefacts" / "student_best.safetensors"
        if not name.replace("-", "").isalnum() or not path.is_file():
            raise WeightsError(f"run {name} has no finished student to start from")
        return str(path)
    return choice.weights


def make_net(
    choice: NetChoice, data: DataSet, *, runs: Path, seed: int, num_classes: int = 0
) -> Loaded:
    """A net for a data set, with the weights that its choice names.

    Args:
        num_classes: what its classifier tells apart; 0: the classes of the data set. A segmenter
            for these may start from weights that know others, with a new classifier.

    Raises:
        SpecError, WeightsError: with a sentence.
    """
    new_head = data.task == "segment" and not num_classes
    num_classes = num_classes or len(data.classes)
    net = build_net(
        choice.name,
        choice.knobs,
        num_classes=num_classes,
        input_shape=data.input_shape,
        seed=seed_for(seed, "weights", choice.name),
    )
    source = weights_source(choice, runs)
    report = load_weights(
        net, source, name=NETS[choice.name].name, num_classes=num_classes, new_head=new_head
    )
    return Loaded(net, report)


def make_teacher(
    spec: RunSpec, data: DataSet, *, runs: Path, device: torch.device
) -> Loaded | None:
    """The frozen teacher on its device; None where the spec has none.

    Raises:
        SpecError, WeightsError: it cannot be built, or has no weights.
    """
    if spec.teacher is None:
        return None
    with located("teacher"):
        if spec.teacher.weights == "none":
            raise WeightsError(
                f"the teacher {spec.teacher.name} has no weights: it would teach noise",
                hint="Give a file, or train it first.",
                where="teacher.weights",
            )
        num_classes = len(data.classes)
        with located("teacher.weights"):
            if METHODS[spec.method.name].facts.get("teacher_classes") == "any":
                num_classes = known_classes(spec.teacher, runs)
            loaded = make_net(
                spec.teacher, data, runs=runs, seed=spec.seed, num_classes=num_classes
            )
    return Loaded(freeze(loaded.net.to(device)), loaded.report)


def known_classes(choice: NetChoice, runs: Path) -> int:
    """How many classes the weights of a net tell apart; 0 where they have no classifier.

    Raises:
        WeightsError: there are no such weights.
    """
    return stored_classes(weights_source(choice, runs), name=NETS[choice.name].name)


def net_taps(
    choice: NetChoice | None, data: DataSet, net: StagedNet | None = None
) -> Mapping[str, Tap]:
    """The taps of a net for a data set; none for no net.

    Args:
        net: as it was loaded; its weights may have brought taps that its choice does not have.
    """
    if choice is None:
        return {}
    taps = taps_of(
        choice.name, choice.knobs, num_classes=len(data.classes), input_shape=data.input_shape
    )
    return taps if net is None or net.last_map in taps else net.taps()


def make_method(
    spec: RunSpec,
    data: DataSet,
    student: StagedNet,
    teacher: StagedNet | None,
    *,
    device: torch.device,
    batches: Batches | None = None,
) -> Method:
    """The method of a spec with all that it arranges; its own weights are drawn by seed.

    Raises:
        SpecError: the parts are for different tasks, or this pair of nets cannot be distilled
            this way.
    """
    _check_task(spec, data_choice(spec.data))
    schedule = spec.schedule
    pools = None
    if data.task == "segment":
        pools = Pools(data, schedule.batch, schedule.steps, spec.seed, device)
        batches = batches or pools.labelled("train")
    batches = batches or training_batches(
        data,
        batch=schedule.batch,
        seed=spec.seed,
        device=device,
        drop_last=schedule.drop_last,
    )
    materials = Materials(
        student=student,
        teacher=teacher,
        student_taps=net_taps(spec.student, data, student),
        teacher_taps=net_taps(spec.teacher, data, teacher),
        is_same_family=is_same_family(spec),
        data=batches,
        pools=pools,
        targets=data.train.targets,
        num_classes=len(data.classes),
        distiller=_builder(DISTILLERS, spec.distiller),
        policy=_builder(POLICIES, spec.policy),
        schedule=spec.schedule,
        seed=spec.seed,
        device=device,
        # What is left open is settled before training; a draft is looked at in float32.
        precision=getattr(torch, "float32" if spec.precision == "auto" else spec.precision),
        peer=partial(_peer, spec, data, device),
    )
    torch.manual_seed(seed_for(spec.seed, "weights", "method"))
    with located("distiller"):
        return METHODS[spec.method.name].make(materials, knobs=spec.method.knobs)


def usable_device(name: str) -> torch.device:
    """The device of a name: `auto`, `cpu`, `cuda` or `cuda:N`.

    Raises:
        SpecError: there is no such device here.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    kind, _, number = name.partition(":")
    if kind not in ("cpu", "cuda") or (number and not number.isdigit()):
        raise SpecError(f"device = {name!r} is not one of auto, cpu, cuda, cuda:N")
    if kind == "cuda" and int(number or 0) >= torch.cuda.device_count():
        raise SpecError(f"this machine has no GPU {name}", hint="Choose device cpu.")
    return torch.device(name)


def peer_choice(spec: RunSpec, design: str) -> NetChoice:
    """One more net beside the student; no design means the student's."""
    same = spec.student.model_copy(update={"weights": "none"})
    return NetChoice(name=design) if design else same


def _peer(
    spec: RunSpec, data: DataSet, device: torch.device, design: str, called: str
) -> tuple[StagedNet, Mapping[str, Tap]]:
    choice = peer_choice(spec, design)
    task = NETS[choice.name].facts.get("task", "classify")
    if task != spec.task:
        raise SpecError(f"{choice.name} does not {spec.task}: it is made to {task}")
    net = build_net(
        choice.name,
        choice.knobs,
        num_classes=len(data.classes),
        input_shape=data.input_shape,
        seed=seed_for(spec.seed, "weights", choice.name, called),
    )
    return net.to(device), net_taps(choice, data)


def _builder(registry: Registry[T], choice: Choice | None) -> Callable[..., T] | None:
    return None if choice is None else partial(registry[choice.name].make, knobs=choice.knobs)


def is_same_family(spec: RunSpec) -> bool:
    """Whether teacher and student are two sizes of one design."""
    if spec.teacher is None:
        return False
    families = {NETS[one.name].facts.get("family") for one in (spec.teacher, spec.student)}
    return len(families) == 1 and None not in families
