"""What a run is, as plain data that round-trips through JSON and YAML."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from engine.errors import SpecError, explain

Knob = bool | int | float | str
Task = Literal["classify", "segment"]

# The figure that stands for a net, by task: shares of right pictures, mean overlap of classes.
HEADLINES: Mapping[Task, str] = {"classify": "accuracy", "segment": "miou"}


class Frozen(BaseModel):
    """A value: unknown fields are refused, nothing changes after it is made."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Choice(Frozen):
    """A registered name and the knobs that differ from its defaults."""

    name: str
    knobs: Mapping[str, Knob] = Field(default_factory=dict)


class NetChoice(Choice):
    """A net and where its weights come from.

    `weights` is `none` (start at random), `DEFAULT` (torchvision's own), `shipped:NAME`,
    `run:ID` (the best checkpoint of that run), or the path of a file.
    """

    weights: str = "none"


class Schedule(Frozen):
    """How long and how fast the student learns."""

    epochs: Annotated[int, Field(ge=1, le=2000, description="Passes over the training set")] = 60
    batch: Annotated[int, Field(ge=1, le=4096, description="Images a step")] = 64
    lr: Annotated[float, Field(gt=0, le=10, description="Learning rate at its highest")] = 0.05
    optimizer: Annotated[
        Literal["sgd", "adam"], Field(description="sgd; adam: its first beta is the momentum")
    ] = "sgd"
    momentum: Annotated[float, Field(ge=0, lt=1, description="Momentum of the optimiser")] = 0.9
    nesterov: Annotated[bool, Field(description="Nesterov's momentum")] = False
    weight_decay: Annotated[float, Field(ge=0, le=1, description="Pull of weights to 0")] = 5e-4
    decay: Annotated[
        Literal["constant", "step", "cosine", "poly"],
        Field(
            description="constant; step: times `factor` after each milestone; cosine: to 0; poly:"
            " to 0 as (1 - share of the epochs) ** 0.9"
        ),
    ] = "cosine"
    milestones: Annotated[
        tuple[int, ...], Field(description="Epochs after which the rate drops (decay = step)")
    ] = ()
    factor: Annotated[float, Field(gt=0, lt=1, description="What a milestone multiplies by")] = 0.1
    warm_up: Annotated[
        float, Field(ge=0, le=100, description="Epochs in which the rate rises from 0")
    ] = 0.0
    drop_last: Annotated[bool, Field(description="Leave out an incomplete last batch")] = False
    steps: Annotated[
        int,
        Field(
            ge=0,
            le=100_000,
            description="Steps an epoch, for segmentation, where an epoch over a handful of images"
            " would be no unit; 0: as many as show each labelled image once",
        ),
    ] = 0


class RunSpec(Frozen):
    """Everything that decides a run's result."""

    schema_version: Literal[1] = 1
    task: Annotated[
        Task, Field(description="classify: a class for an image; segment: for every pixel")
    ] = "classify"
    data: Choice
    teacher: NetChoice | None = None
    student: NetChoice
    method: Choice
    distiller: Choice | None = None
    policy: Choice | None = None
    schedule: Schedule = Schedule()
    seed: Annotated[int, Field(ge=0, lt=2**31, description="Decides every random draw")] = 0
    select_on: Annotated[
        Literal["validation", "test"], Field(description="The split that chooses the best epoch")
    ] = "validation"
    device: Annotated[
        str, Field(pattern=r"^(auto|cpu|cuda(:\d+)?)$", description="auto, cpu, cuda or cuda:N")
    ] = "auto"
    threads: Annotated[
        int, Field(ge=0, le=256, description="CPU threads of the worker; 0: all cores")
    ] = 0
    precision: Annotated[
        Literal["float32", "bfloat16", "auto"],
        Field(description="Of the nets; losses are float32. auto: timed once, before training"),
    ] = "float32"
    evaluate_every: Annotated[int, Field(ge=1, le=1000, description="Epochs")] = 1
    save_every: Annotated[int, Field(ge=1, le=1000, description="Epochs")] = 1

    @property
    def headline(self) -> str:
        """The figure that stands for this run's nets."""
        return HEADLINES[self.task]

    def to_json(self) -> str:
        return self.model_dump_json(indent=2)

    def to_yaml(self) -> str:
        """The spec without the settings that are at their default."""
        plain = json.loads(self.model_dump_json(exclude_defaults=True))
        return yaml.safe_dump(plain, sort_keys=False, allow_unicode=True)

    def hash(self) -> str:
        """12 hex digits over everything that decides the result.

        Settings at their default do not count, so that one which is added later changes no hash.
        """
        return _digest(json.loads(self.model_dump_json(exclude_defaults=True)))

    def baseline_hash(self) -> str:
        """12 hex digits over what a run shares with the same student, taught by nobody."""
        shared = {"task", "data", "student", "schedule", "seed", "select_on"}
        return _digest(json.loads(self.model_dump_json(include=shared, exclude_defaults=True)))

    def replace(self, **changes: Any) -> RunSpec:
        """A copy with some paths set, as in `replace(**{"schedule.epochs": 3})`."""
        plain = self.model_dump()
        for path, value in changes.items():
            set_path(plain, path, value)
        return read_spec(plain)


def read_spec(plain: Mapping[str, Any]) -> RunSpec:
    """A spec from plain data.

    Raises:
        SpecError: naming the setting, what was given and what is allowed.
    """
    try:
        return RunSpec.model_validate(plain)
    except ValidationError as error:
        raise explain(error, RunSpec, "") from None


def parse_spec(text: str) -> RunSpec:
    """A spec from YAML or JSON text.

    Raises:
        SpecError: the text is neither, or describes no run.
    """
    plain = parse_yaml(text)
    return read_spec(plain)


def parse_yaml(text: str) -> dict[str, Any]:
    """A mapping from YAML or JSON text.

    Raises:
        SpecError: the text is neither.
    """
    try:
        plain = _read(text)
    except yaml.YAMLError as error:
        line = getattr(getattr(error, "problem_mark", None), "line", 0) + 1
        raise SpecError(f"this is no YAML: line {line} cannot be read") from None
    if not isinstance(plain, dict):
        raise SpecError("a spec is a list of settings such as `seed: 1`; this is not one")
    return plain


def set_path(plain: dict[str, Any], path: str, value: Any) -> None:
    """Set `schedule.epochs` and the like; a bare name stands for a choice: `distiller=at`.

    Raises:
        SpecError: the path leads through something that has no settings.
    """
    *parents, last = path.split(".")
    here: Any = plain
    for part in parents:
        if isinstance(here, dict) and here.get(part) is None:
            here[part] = {}
        if not isinstance(here, dict) or not isinstance(here[part], dict):
            raise SpecError(f"{path} cannot be set: {part} has no settings", where=path)
        here = here[part]
    is_choice = not parents and last in {
        "data",
        "teacher",
        "student",
        "method",
        "distiller",
        "policy",
    }
    here[last] = {"name": value} if is_choice and isinstance(value, str) else value


def _read(text: str) -> Any:
    try:
        return json.loads(text)  # YAML 1.1 would take JSON's 1e-7 for a text
    except ValueError:
        return yaml.safe_load(text)


def _digest(plain: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()[:12]
