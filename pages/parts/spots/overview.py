"""The tab Spots: where the teacher taught, which images, and what came of it."""

from __future__ import annotations

import streamlit as st

from engine.api import Choices, DistillError, RunCard, RunView, Studio
from pages.charts.narrator import policy_hint
from pages.charts.spot import newest_shares, share_lines
from pages.charts.spot_routes import route_rows, routes_figure, routes_of
from pages.charts.words import percent
from pages.parts.door import colours, sentence
from pages.parts.live_plot import live_plot
from pages.parts.run_figures import spots_plot
from pages.parts.spots.gap import gap
from pages.parts.spots.images import images
from pages.parts.spots.policies import policies

QUOTA = 0.5  # what spot_adaptive asks for at the logits where its knob `quota` is not set


def spots(found: Studio, card: RunCard, view: RunView) -> None:
    """Everything about where one run was taught."""
    if not newest_shares(view):
        spots_plot(view, key="run_spots", keep=card.id)  # says why there is nothing
        return
    if hint := policy_hint(view):
        st.info(hint, icon=":material/lightbulb:")
    _shares(card, view)
    if not view.counted:
        st.caption("Classes, routes and images follow at the end of the first epoch.")
        return
    choices = _choices(found, card)
    chosen = images(found, card, view, choices)
    _routes(view)
    if choices is not None:
        gap(choices, view, chosen)
    policies(found, card)


def _shares(card: RunCard, view: RunView) -> None:
    st.markdown("**How much is taught at each spot**")
    left, right = st.columns(2, gap="large")
    newest = ", ".join(f"{spot} {percent(share, 0)}" for spot, share in newest_shares(view).items())
    asked = asked_at_logits(card, view)
    with left:
        alt = f"Share of images taught at each spot over the epochs. Newest: {newest}."
        figure = share_lines(view, colours(), asked)
        live_plot(figure, key="run_share_lines", alt=alt, keep=card.id)
        rule = "" if asked is None else " The dotted line is what a rule asks of the logits alone."
        st.caption(
            "Of 100 images, how many the teacher taught at each spot. Look for lines that part:"
            f" there the policy prefers one layer to another.{rule}"
        )
    with right:
        spots_plot(view, key="run_spots", keep=card.id)


def asked_at_logits(card: RunCard, view: RunView) -> float | None:
    """The share that the run's rule asks for at the logits; None where it has no rule.

    The reversed policy teaches the complement of what the rule counts.
    """
    if card.spec is None or card.spec.policy is None or "policy" not in view.rates:
        return None
    quota = float(card.spec.method.knobs.get("quota", QUOTA))
    if quota == 0:
        return None
    return 1 - quota if card.spec.policy.name == "reversed" else quota


def _choices(found: Studio, card: RunCard) -> Choices | None:
    try:
        choices = found.choices(card.id)
    except DistillError as error:
        st.warning(sentence(error), icon=":material/broken_image:")
        return None
    if choices is None:
        st.caption("This run keeps no choices by image, so no images are shown.")
    elif choices.mean is None:
        st.caption(
            "This run was made by an older version: P is that of each image's last visit, not the"
            " mean over the epochs, and the gap to the teacher was not kept."
        )
    return choices


def _routes(view: RunView) -> None:
    told = view.counted[-1]
    routes = routes_of(told)
    st.markdown("**Routes that images took**")
    most = routes[0]
    alt = (
        f"How many images took each of {len(told.routes)} routes in the last whole epoch."
        f" The most frequent: {most.words}, {percent(most.share, 0)}."
    )
    live_plot(routes_figure(routes, colours()), key="run_routes", alt=alt)
    st.caption(
        f"Each image is taught at some spots and not at others. The code has one digit a spot"
        f" ({', '.join(told.spots)}): 1 taught, 0 not. One bar that holds nearly all images means"
        " that the policy treats them alike."
    )
    with st.expander("As a table", icon=":material/table:"):
        st.dataframe(route_rows(routes), hide_index=True, alt="Routes with their images")
