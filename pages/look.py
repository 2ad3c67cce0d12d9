"""Look: what the nets of a run say about single pictures; `?run=ID` picks the run."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from engine.api import Summary
from pages.charts.look import unique_names
from pages.charts.table import title
from pages.parts import site
from pages.parts.door import open_run, open_studio
from pages.parts.look.answers import answers
from pages.parts.look.empty import empty, no_scenes_yet
from pages.parts.look.scenes import scenes

NOTHING_YET = ("queued", "preparing", "unreadable")
DRAWS = {"segment": scenes, "classify": answers}


def main() -> None:
    found = open_studio()
    runs = [run for run in found.runs() if has_begun(run)]
    run_id = st.query_params.get("run", "") or (runs[0].id if runs else "")
    st.title("Look")
    if not run_id:
        empty(found)
        return
    card = open_run(found, run_id)
    _choose(runs, card.id)
    if card.spec is None:
        st.warning(
            f"**This folder cannot be read.** {card.problem}", icon=":material/broken_image:"
        )
        return
    DRAWS[card.spec.task](found, card, found.view(card.id))
    no_scenes_yet(found, runs)


def has_begun(run: Summary) -> bool:
    """Whether a net of this run can have been saved."""
    return run.status not in NOTHING_YET and (run.status == "finished" or run.progress > 0)


def _choose(runs: Sequence[Summary], run_id: str) -> None:
    """Switch among the runs; the choice is in the URL."""
    names = unique_names([(run.id, title(run)) for run in runs])
    st.session_state["look_run"] = run_id
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.selectbox(
            "Run",
            list(dict.fromkeys([*names, run_id])),
            format_func=lambda one: names.get(one, one),
            key="look_run",
            on_change=_show,
        )
        site.link("run", "All about it", icon=":material/description:", run=run_id)


def _show() -> None:
    st.query_params["run"] = st.session_state["look_run"]
    st.query_params.pop("look_at", None)


main()
