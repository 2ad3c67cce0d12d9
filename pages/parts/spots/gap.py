"""Whether the policy asks the teacher where the student lags."""

from __future__ import annotations

import streamlit as st

from engine.api import Choices, RunView
from pages.charts.spot_samples import ALIKE, gap_figure, gap_sentence, tenths
from pages.parts.door import colours
from pages.parts.live_plot import live_plot


def gap(choices: Choices, view: RunView, spot: int) -> None:
    """P(distil) against the gap of the two losses, at the spot that is chosen above."""
    st.markdown("**Does the policy ask where the student lags?**")
    name = view.counted[-1].spots[spot]
    if choices.gap is None:
        st.caption("This run was made by an older version, which did not keep the gap.")
        return
    seen = choices.label >= 0
    values = choices.probability[seen, spot]
    if not len(values) or values.max() - values.min() < ALIKE:
        st.caption(f"P is the same for every image at {name}, so it follows nothing.")
        return
    means = tenths(choices, spot)
    said = gap_sentence(means)
    alt = f"Chance to be taught at {name} against how far the student lags the teacher. {said}"
    live_plot(gap_figure(choices, spot, means, colours()), key="run_gap", alt=alt, keep=name)
    st.caption(
        f"At {name}, the spot chosen above. To the right the student is worse than its teacher on"
        " an image, to the left it is better; a line that rises means that the policy asks the"
        f" teacher where the student lags. {said}"
    )
