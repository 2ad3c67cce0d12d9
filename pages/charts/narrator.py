"""A run in words: what a person who knows training would say of its curves."""

from __future__ import annotations

from engine.api import RunView
from pages.charts.curve import evaluated_split
from pages.charts.spot import newest_shares
from pages.charts.words import percent

FLAT_EPOCHS = 6  # without a gain of FLAT_GAIN, training counts as flat
FLAT_GAIN = 0.002
OVERFIT_GAP = 0.15  # validation loss above its lowest, as a share of it
COLLAPSED = 0.02  # a spot taught always or never, within this


def narrate(view: RunView, who: str = "student") -> str:
    """One or two sentences about the net in training; what matters most comes first."""
    if not view.life:
        return ""
    if not view.plan:
        done = [told.text for told in view.prepared]
        if view.ended is not None:
            return "It ended before the first step."
        return done[-1] if done else "Getting ready."
    said = [text for text in (_progress(view, who), _worry(view) or _teaching(view)) if text]
    return " ".join(said) or "The first measurement comes at the end of the first epoch."


def _progress(view: RunView, who: str) -> str:
    curve = view.figure_curve("student", "accuracy", evaluated_split(view))
    if not curve.value:
        return ""
    teacher = view.figure("teacher", split=evaluated_split(view))
    if teacher is not None and curve.value[-1] >= teacher:
        now = percent(curve.value[-1])
        return f"The {who} gets {now} right, no less than its teacher ({percent(teacher)})."
    if curve.epoch[-1] == 0:
        return f"Before its first epoch the {who} gets {percent(curve.value[-1])} right."
    if len(curve.value) == 1:
        return f"After the first measured epoch the {who} gets {percent(curve.value[0])} right."
    best = max(curve.value)
    flat = _flat_epochs(curve.value)
    if flat >= FLAT_EPOCHS:
        return f"No gain for {flat} measurements; the best so far is {percent(best)}."
    change = curve.value[-1] - curve.value[-2]
    verb = "rose" if change > FLAT_GAIN else "fell" if change < -FLAT_GAIN else "stayed"
    if verb == "stayed":
        return f"The {who} stayed at {percent(curve.value[-1])}."
    return f"The {who} {verb} from {percent(curve.value[-2])} to {percent(curve.value[-1])}."


def _worry(view: RunView) -> str:
    return _overfit(view) or _collapse(view)


def _overfit(view: RunView) -> str:
    losses = view.figure_curve("student", "loss", evaluated_split(view)).value
    if len(losses) < 5 or losses[-1] <= (1 + OVERFIT_GAP) * min(losses):
        return ""
    return (
        "It begins to learn the training images by heart:"
        f" the loss on unseen images is {percent(losses[-1] / min(losses) - 1, 0)}"
        " above its lowest."
    )


def _collapse(view: RunView) -> str:
    shares = newest_shares(view)
    if not shares or len(view.counted) < 2:
        return ""
    if all(share >= 1 - COLLAPSED for share in shares.values()):
        return "The policy now asks the teacher at every spot: it no longer chooses."
    if all(share <= COLLAPSED for share in shares.values()):
        return "The policy no longer asks the teacher at any spot."
    fixed = [f"{spot} ({percent(share, 0)})" for spot, share in shares.items() if _fixed(share)]
    if not fixed:
        return ""
    return f"The policy no longer chooses at {', '.join(fixed)}: always or never taught there."


def _fixed(share: float) -> bool:
    return share >= 1 - COLLAPSED or share <= COLLAPSED


def _teaching(view: RunView) -> str:
    shares = newest_shares(view)
    if not shares:
        return ""
    most = max(shares, key=shares.__getitem__)
    least = min(shares, key=shares.__getitem__)
    if shares[most] - shares[least] < 0.02:
        return f"Every spot teaches about {percent(shares[most], 0)} of the images."
    return (
        f"{most} teaches {percent(shares[most], 0)} of the images,"
        f" {least} the fewest ({percent(shares[least], 0)})."
    )


def _flat_epochs(values: tuple[float, ...]) -> int:
    """Measurements since the best one that was a gain."""
    best, since = values[0], 0
    for value in values[1:]:
        since = 0 if value > best + FLAT_GAIN else since + 1
        best = max(best, value)
    return since
