"""A run in words: what a person who knows training would say of its curves."""

from __future__ import annotations

from engine.api import RunView
from pages.charts.curve import evaluated_split
from pages.charts.headline import headline_of
from pages.charts.spot import newest_shares
from pages.charts.words import percent

FLAT_EPOCHS = 6  # without a gain of FLAT_GAIN, training counts as flat
FLAT_GAIN = 0.002
OVERFIT_GAP = 0.15  # validation loss above its lowest, as a share of it
COLLAPSED = 0.02  # a spot taught always or never, within this
DISTANCE = "feature_distance"  # the figure of a front that imitates
WARM = 0.01  # P that is still within this of where the warm start puts it


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
    split, words = evaluated_split(view), headline_of(view.headline)
    if text := _imitation(view, who, split):
        return text
    curve = view.figure_curve("student", words.name, split)
    if not curve.value:
        return ""
    teacher = view.figure("teacher", split=split)
    if teacher is not None and curve.value[-1] >= teacher:
        now = words.told(curve.value[-1])
        return f"The {who} {now}, no less than its teacher ({percent(teacher)})."
    if curve.epoch[-1] == 0:
        return f"Before its first epoch the {who} {words.told(curve.value[-1])}."
    if len(curve.value) == 1:
        return f"After the first measured epoch the {who} {words.told(curve.value[0])}."
    best = max(curve.value)
    flat = _flat_epochs(curve.value)
    if flat >= FLAT_EPOCHS:
        return f"No gain for {flat} measurements; the best so far is {percent(best)}."
    change = curve.value[-1] - curve.value[-2]
    verb = "rose" if change > FLAT_GAIN else "fell" if change < -FLAT_GAIN else "stayed"
    if verb == "stayed":
        return f"The {who} stayed at {percent(curve.value[-1])}."
    return f"The {who} {verb} from {percent(curve.value[-2])} to {percent(curve.value[-1])}."


def _imitation(view: RunView, who: str, split: str) -> str:
    """While the front imitates, its answers say little: how near its features have come."""
    if view.phase is None or view.phase.phase != "imitation" or view.ended is not None:
        return ""
    curve = view.figure_curve("student", DISTANCE, split)
    if len(curve.value) < 2:
        return ""
    return (
        f"The front of the {who} imitates the teacher's: on unseen images its distance went from"
        f" {curve.value[0]:.2f} to {curve.value[-1]:.2f} (0: a perfect copy). Its answers are"
        " learnt in later phases."
    )


def _worry(view: RunView) -> str:
    return _overfit(view) or policy_hint(view)


def _overfit(view: RunView) -> str:
    losses = view.figure_curve("student", "loss", evaluated_split(view)).value
    if len(losses) < 5 or losses[-1] <= (1 + OVERFIT_GAP) * min(losses):
        return ""
    return (
        "It begins to learn the training images by heart:"
        f" the loss on unseen images is {percent(losses[-1] / min(losses) - 1, 0)}"
        " above its lowest."
    )


def policy_hint(view: RunView) -> str:
    """What a person should know of a policy that does not choose (yet, or any more).

    Empty where it chooses, and for policies that do not learn: they are meant to be so.
    """
    if "policy" not in view.rates or not view.counted:
        return ""
    return _warm_start(view) or _collapse(view)


def _warm_start(view: RunView) -> str:
    """A bias at the start that has not worn off; the reversed policy starts at the other end."""
    is_over = view.ended is not None and view.ended.status == "finished"
    chances = [chance for told in view.counted for chance in told.probability]
    if all(chance > 1 - WARM for chance in chances):
        if is_over:
            return (
                "P stayed above .99 at each spot to the end: the warm start never wore off, so"
                " this was ordinary distillation."
            )
        return "P is still above .99 at each spot: so far this is ordinary distillation."
    if all(chance < WARM for chance in chances):
        if is_over:
            return "P stayed below .01 at each spot to the end: the teacher taught nothing."
        return "P is still below .01 at each spot: so far the teacher teaches nothing."
    return ""


def _collapse(view: RunView) -> str:
    shares = newest_shares(view)
    if not shares or len(view.counted) < 2:
        return ""
    if all(share >= 1 - COLLAPSED for share in shares.values()):
        return "The policy now asks the teacher at every spot: it no longer chooses."
    if all(share <= COLLAPSED for share in shares.values()):
        return "The policy no longer asks the teacher at any spot."
    always = [_shown(spot, share) for spot, share in shares.items() if share >= 1 - COLLAPSED]
    never = [_shown(spot, share) for spot, share in shares.items() if share <= COLLAPSED]
    said = [
        f"Nearly {what} image is taught at {_listed(spots)}"
        for spots, what in ((always, "every"), (never, "no"))
        if spots
    ]
    return f"{'. '.join(said)}: the policy hardly chooses there." if said else ""


def _shown(spot: str, share: float) -> str:
    return f"{spot} ({percent(share, 0)})"


def _listed(words: list[str]) -> str:
    return " and ".join(filter(None, [", ".join(words[:-1]), words[-1]]))


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
