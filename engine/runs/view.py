"""The log folded into what a chart needs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from engine.events import (
    ArtefactSaved,
    At,
    CheckpointSaved,
    CostMeasured,
    Evaluated,
    Event,
    Note,
    PhaseBegan,
    Prepared,
    RunContinued,
    RunEnded,
    RunPaused,
    RunQueued,
    RunResumed,
    RunStarted,
    RunStopping,
    SpotsChosen,
    SpotsCounted,
    StepTaken,
)
from engine.spec import HEADLINES

Life = RunQueued | RunStarted | RunPaused | RunContinued | RunStopping | RunResumed | RunEnded


@dataclass(frozen=True, slots=True)
class Curve:
    """One quantity over training; the three tuples have one length.

    at: positions; epoch: epochs since the run's start, all phases, with fractions; value
    """

    at: tuple[At, ...] = ()
    epoch: tuple[float, ...] = ()
    value: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class RunView:
    """Everything that charts and tables show of one run."""

    num_events: int = 0
    at: At = (0, 0, 0)
    plan: tuple[PhaseBegan, ...] = ()  # the phases begun so far
    terms: Mapping[str, Curve] = field(default_factory=dict)
    rates: Mapping[str, Curve] = field(default_factory=dict)  # by learner
    share: Mapping[str, Curve] = field(default_factory=dict)  # by spot, 0 to 1
    speed: float = 0.0  # training samples per second
    evaluated: tuple[Evaluated, ...] = ()
    counted: tuple[SpotsCounted, ...] = ()
    costs: Mapping[str, CostMeasured] = field(default_factory=dict)  # by net's role
    artefacts: Mapping[str, ArtefactSaved] = field(default_factory=dict)
    checkpoints: tuple[CheckpointSaved, ...] = ()
    prepared: tuple[Prepared, ...] = ()
    notes: tuple[Note, ...] = ()
    life: tuple[Life, ...] = ()

    @property
    def phase(self) -> PhaseBegan | None:
        """The phase that the run is in."""
        return self.plan[-1] if self.plan else None

    @property
    def ended(self) -> RunEnded | None:
        """How the run ended, if the last word of its log is that it did."""
        last = self.life[-1] if self.life else None
        return last if isinstance(last, RunEnded) else None

    @property
    def steps_done(self) -> int:
        """Steps of all phases so far."""
        phase = self.phase
        if phase is None:
            return 0
        before = sum(begun.epochs * begun.steps for begun in self.plan[:-1])
        return before + self.at[1] * phase.steps + self.at[2]

    @property
    def total_steps(self) -> int:
        """Steps of the whole plan; 0 before it is known."""
        return self.phase.total_steps if self.phase else 0

    def epoch_of(self, at: At) -> float:
        """Epochs since the run's start at a position, with fractions."""
        before = sum(begun.epochs for begun in self.plan[: at[0]])
        steps = self.plan[at[0]].steps if at[0] < len(self.plan) else 1
        return before + at[1] + at[2] / max(steps, 1)

    @property
    def headline(self) -> str:
        """The figure that stands for the nets of this run."""
        told = self.evaluated[-1].figures if self.evaluated else {}
        return next((name for name in HEADLINES.values() if name in told), HEADLINES["classify"])

    def figure(
        self, net: str, name: str = "", *, split: str = "", weights: str = ""
    ) -> float | None:
        """The newest figure of a net, or None; `split` and `weights` narrow the choice.

        Args:
            name: of the figure; the headline where none is given.
        """
        name = name or self.headline
        for told in reversed(self.evaluated):
            if (
                told.net == net
                and name in told.figures
                and split in ("", told.split)
                and weights in ("", told.weights)
            ):
                return told.figures[name]
        return None

    def figure_curve(self, net: str, name: str, split: str) -> Curve:
        """A figure of a net over training, as every evaluation of its last weights told it."""
        told = [
            event
            for event in self.evaluated
            if event.net == net
            and event.split == split
            and event.weights == "last"
            and name in event.figures
        ]
        return Curve(
            tuple(event.at for event in told),
            tuple(self.epoch_of(event.at) for event in told),
            tuple(event.figures[name] for event in told),
        )


def fold(view: RunView, events: Iterable[Event]) -> RunView:
    """The view after some more events; views are values, the old one stays as it was."""
    fresh: list[Event] = []
    for event in events:
        if isinstance(event, RunResumed):
            view = _rewound(_folded(view, fresh), event.position)
            fresh = []
        fresh.append(event)
    return _folded(view, fresh)


def _folded(view: RunView, events: list[Event]) -> RunView:
    if not events:
        return view
    told = _by_kind(events)
    plan = view.plan
    for begun in told.get(PhaseBegan, ()):
        plan = (*plan[: begun.at[0]], begun)
    view = replace(view, plan=plan)
    steps = told.get(StepTaken, ())
    chosen = told.get(SpotsChosen, ())
    life = tuple(event for event in events if isinstance(event, Life))
    positions = [event.at for event in events if isinstance(event, PhaseBegan | StepTaken)]
    return replace(
        view,
        num_events=view.num_events + len(events),
        at=max([view.at, *positions]),  # a resumed run tells its phase's beginning again
        terms=_extended(view, view.terms, [(s.at, s.terms) for s in steps]),
        rates=_extended(view, view.rates, [(s.at, s.rates) for s in steps]),
        share=_extended(view, view.share, [(s.at, s.share) for s in chosen]),
        speed=next((s.samples_per_second for s in reversed(steps)), view.speed),
        evaluated=_told_once(view.evaluated, told.get(Evaluated, [])),
        counted=view.counted + tuple(told.get(SpotsCounted, ())),
        costs={**view.costs, **{cost.net: cost for cost in told.get(CostMeasured, ())}},
        artefacts={**view.artefacts, **{a.name: a for a in told.get(ArtefactSaved, ())}},
        checkpoints=view.checkpoints + tuple(told.get(CheckpointSaved, ())),
        prepared=view.prepared + tuple(told.get(Prepared, ())),
        notes=view.notes + tuple(told.get(Note, ())),
        life=view.life + life,
    )


def _by_kind(events: list[Event]) -> dict[type, list]:  # type: ignore[type-arg]
    told: dict[type, list[Event]] = {}
    for event in events:
        told.setdefault(type(event), []).append(event)
    return told


def _extended(
    view: RunView, curves: Mapping[str, Curve], points: list[tuple[At, Mapping[str, float]]]
) -> Mapping[str, Curve]:
    if not points:
        return curves
    found = dict(curves)
    for name in dict.fromkeys(name for _, values in points for name in values):
        here = [(at, values[name]) for at, values in points if name in values]
        old = found.get(name, Curve())
        found[name] = Curve(
            old.at + tuple(at for at, _ in here),
            old.epoch + tuple(view.epoch_of(at) for at, _ in here),
            old.value + tuple(value for _, value in here),
        )
    return found


def _told_once(known: tuple[Evaluated, ...], more: list[Evaluated]) -> tuple[Evaluated, ...]:
    """A resumed run measures its teacher again, and its last figures where it died after them."""
    return known + tuple(event for event in more if event not in known)


def _rewound(view: RunView, position: At) -> RunView:
    """Without what lies after a position: a resumed run tells it again."""
    return replace(
        view,
        at=position,
        plan=tuple(begun for begun in view.plan if begun.at <= position),
        terms={name: _cut(curve, position) for name, curve in view.terms.items()},
        rates={name: _cut(curve, position) for name, curve in view.rates.items()},
        share={name: _cut(curve, position) for name, curve in view.share.items()},
        evaluated=tuple(told for told in view.evaluated if told.at <= position),
        counted=tuple(told for told in view.counted if told.at <= position),
        prepared=(),
    )


def _cut(curve: Curve, position: At) -> Curve:
    length = sum(at <= position for at in curve.at)
    return Curve(curve.at[:length], curve.epoch[:length], curve.value[:length])
