"""Means over seeds and paired differences, as a table with its rule."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import streamlit as st

from engine.api import DistillError, RunSpec, Studio
from pages.charts.seeds import RULE, Group, full_names, headline_column, seed_rows, usual_baseline


def specs_of(found: Studio, runs: Iterable[str]) -> dict[str, RunSpec]:
    """Run -> its spec, for those that can be read and are not in the trash."""
    specs = {}
    for run in runs:
        try:
            card = found.run(run)
        except DistillError:
            continue
        if card.spec is not None:
            specs[run] = card.spec
    return specs


def seed_table(
    groups: Sequence[Group], *, key: str, wanted: Sequence[str] = ("alone", "all")
) -> None:
    """Draw it; the person chooses what the others are compared with.

    Args:
        groups: one for each row.
        key: of the table and its choice.
        wanted: methods or policies that are the baseline at first, best first.
    """
    if not groups:
        st.caption("No run of these is finished and measured yet.")
        return
    places = range(len(groups))
    baseline = usual_baseline(groups, wanted)
    if len(groups) > 1:
        baseline = st.selectbox(
            "Compared with",
            places,
            index=baseline,
            format_func=full_names(groups).__getitem__,
            key=f"{key}_baseline_{len(groups)}",
            help=RULE,
        )
    column = st.column_config.TextColumn
    st.dataframe(
        seed_rows(groups, baseline),
        hide_index=True,
        lazy=False,
        column_config={
            "Settings": column(width="medium", help="Where these rows differ beside their names"),
            headline_column(groups): column(
                help="Mean ± standard deviation (n - 1), and how many seeds"
            ),
            "Difference": column("Difference (points)", help=RULE),
            "Noise": column(help=RULE),
            "By seed": column(help="Seed: difference to the baseline's run with this seed"),
        },
        alt=f"Mean and spread over seeds of {len(groups)} settings, and their differences",
    )
    st.caption(
        f"{headline_column(groups)} of the last weights: mean ± standard deviation (number of"
        " seeds). A difference is taken seed by seed; it is *inside the noise* where its mean is"
        " smaller than twice its standard error."
    )
