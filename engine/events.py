"""What happens during a run, as plain data.

The schema only ever grows: a reader skips kinds and fields that it does not know.
`at` is a position: (phase index, epoch, steps taken in that epoch), all from 0.
Fields listed in `volatile` differ between two equal runs: times, speeds, paths.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

At = tuple[int, int, int]


class _Event(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)
    volatile: ClassVar[frozenset[str]] = frozenset()
    is_result: ClassVar[bool] = False


class PhaseBegan(_Event):
    """A phase of the plan starts (told again after a resume)."""

    is_result: ClassVar[bool] = True
    kind: Literal["PhaseBegan"] = "PhaseBegan"
    at: At
    phase: str
    epochs: int
    steps: int  # in one epoch
    phases: tuple[str, ...]  # names of the whole plan
    total_steps: int  # of the whole plan


class StepTaken(_Event):
    """The mean over `count` steps that end at `at`: the parts of the losses, weights included."""

    is_result: ClassVar[bool] = True
    volatile: ClassVar[frozenset[str]] = frozenset({"samples_per_second"})
    kind: Literal["StepTaken"] = "StepTaken"
    at: At
    count: int
    terms: Mapping[str, float]
    rates: Mapping[str, float]  # learner -> learning rate of the last step
    samples_per_second: float = 0.0


class SpotsChosen(_Event):
    """Share of samples distilled at each spot over the same steps as a StepTaken, 0 to 1."""

    is_result: ClassVar[bool] = True
    kind: Literal["SpotsChosen"] = "SpotsChosen"
    at: At
    share: Mapping[str, float]


class SpotsCounted(_Event):
    """What the policy chose in one whole epoch."""

    is_result: ClassVar[bool] = True
    kind: Literal["SpotsCounted"] = "SpotsCounted"
    at: At
    spots: tuple[str, ...]
    samples: tuple[int, ...]  # by class
    kept: tuple[tuple[int, ...], ...]  # spot x class: samples distilled
    routes: Mapping[str, int]  # "101" (one digit a spot) -> samples; the most frequent 256
    probability: tuple[float, ...]  # by spot: mean P(distil), 0 to 1


class Evaluated(_Event):
    """One net measured on one split. Shares are 0 to 1, losses in nats."""

    is_result: ClassVar[bool] = True
    kind: Literal["Evaluated"] = "Evaluated"
    at: At
    net: str  # teacher, student, ...
    weights: Literal["last", "best", "given"]
    split: Literal["train", "validation", "test"]
    figures: Mapping[str, float]
    samples: int
    by_hand: bool = False  # asked for by a person, outside the schedule


class CostMeasured(_Event):
    """What one net costs; counts are multiply-adds for one image."""

    volatile: ClassVar[frozenset[str]] = frozenset({"latency", "file_bytes"})
    kind: Literal["CostMeasured"] = "CostMeasured"
    net: str
    name: str
    input_shape: tuple[int, int, int]
    parameters: int
    multiply_adds: int  # convolutions, linear layers, matrix products
    fvcore_multiply_adds: int  # fvcore's: the same + normalisation and pooling
    stages: Mapping[str, Mapping[str, int]]  # stage -> parameters, multiply_adds
    uncounted: Mapping[str, int]  # operator -> calls that fvcore does not count
    latency: float  # seconds for one image on this machine
    file_bytes: int


class ArtefactSaved(_Event):
    """A file under artefacts/."""

    kind: Literal["ArtefactSaved"] = "ArtefactSaved"
    name: str
    what: str
    bytes: int = 0


class CheckpointSaved(_Event):
    kind: Literal["CheckpointSaved"] = "CheckpointSaved"
    position: At
    which: Literal["last", "best"]
    by_hand: bool = False


class Prepared(_Event):
    """A step of the preparation is done: data, teacher, cost."""

    kind: Literal["Prepared"] = "Prepared"
    what: str
    text: str


class Note(_Event):
    """A sentence for the person who watches."""

    kind: Literal["Note"] = "Note"
    level: Literal["info", "warning"] = "info"
    text: str


class RunQueued(_Event):
    kind: Literal["RunQueued"] = "RunQueued"
    time: float  # seconds since 1970, here and below


class RunStarted(_Event):
    kind: Literal["RunStarted"] = "RunStarted"
    time: float


class RunPaused(_Event):
    kind: Literal["RunPaused"] = "RunPaused"
    time: float


class RunContinued(_Event):
    kind: Literal["RunContinued"] = "RunContinued"
    time: float


class RunStopping(_Event):
    kind: Literal["RunStopping"] = "RunStopping"
    time: float


class RunResumed(_Event):
    """A new worker goes on; what the log tells after `position` is told again."""

    kind: Literal["RunResumed"] = "RunResumed"
    time: float
    position: At


class RunEnded(_Event):
    kind: Literal["RunEnded"] = "RunEnded"
    time: float
    status: Literal["finished", "stopped", "failed", "interrupted"]
    message: str = ""
    hint: str = ""


Event = (
    PhaseBegan
    | StepTaken
    | SpotsChosen
    | SpotsCounted
    | Evaluated
    | CostMeasured
    | ArtefactSaved
    | CheckpointSaved
    | Prepared
    | Note
    | RunQueued
    | RunStarted
    | RunPaused
    | RunContinued
    | RunStopping
    | RunResumed
    | RunEnded
)
_ADAPTER: TypeAdapter[Event] = TypeAdapter(Annotated[Event, Field(discriminator="kind")])


def write_event(event: Event) -> bytes:
    """One line of a log, without its line break."""
    return event.model_dump_json().encode()


def read_events(lines: Iterable[bytes]) -> tuple[list[Event], int]:
    """Events of some lines of a log, and how many lines could not be read."""
    events: list[Event] = []
    skipped = 0
    for line in lines:
        try:
            events.append(_ADAPTER.validate_json(line))
        except ValidationError:
            skipped += 1
    return events, skipped


def results_of(events: Iterable[Event]) -> list[dict[str, Any]]:
    """What a run found out, in order: what two runs of one spec must agree on.

    Drops what a resume told again, everything asked for by hand, and volatile fields.
    """
    kept: list[Any] = []
    for event in events:
        if isinstance(event, RunResumed):
            kept = [told for told in kept if told.at <= event.position]
        elif event.is_result and not _is_retold(event, kept):
            kept.append(event)
    return [event.model_dump(exclude=set(event.volatile)) for event in kept]


def _is_retold(event: Event, told: list[Any]) -> bool:
    if isinstance(event, PhaseBegan):
        return any(isinstance(other, PhaseBegan) and other.at == event.at for other in told)
    if isinstance(event, Evaluated):
        since = itertools.takewhile(lambda other: other.at >= event.at, reversed(told))
        return event.by_hand or event in since
    return False
