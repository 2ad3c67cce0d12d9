"""Status, progress, and what can be done about the run that is watched."""

from __future__ import annotations

import streamlit as st

from engine.api import Active, RunCard, Studio
from pages.charts.words import duration, percent, status_text
from pages.parts.controls import ask_button, pause_button, stop_choices
from pages.parts.door import outcome, sentence_of

SILENT = 30.0  # seconds after which a worker counts as not answering


def head(found: Studio, card: RunCard, mine: Active | None) -> None:
    """Of a run at work its progress and buttons; else what became of it.

    Args:
        mine: the run, where it works or waits.
    """
    if mine is not None and mine.status != "queued":
        _progress(mine)
        _steer(found, mine)
        return
    st.set_page_config(page_title="Watch · Distill Studio")
    st.markdown(status_text(card.status))
    if card.status in ("interrupted", "stopped", "failed"):
        _ended_early(found, card)
    elif card.status == "unreadable":
        st.warning(sentence_of(card.problem), icon=":material/broken_image:")
    elif card.status == "queued":
        st.caption("It waits for its turn; see the queue below.")


def _progress(mine: Active) -> None:
    share = percent(mine.share_done, 0)
    st.set_page_config(page_title=f"{share} · Distill Studio")
    left = f" · ≈ {duration(mine.seconds_left)} left" if mine.seconds_left is not None else ""
    st.progress(
        min(max(mine.share_done, 0.0), 1.0), text=f"{status_text(mine.status)} · {share}{left}"
    )


def _steer(found: Studio, mine: Active) -> None:
    with st.container(horizontal=True, key="steer"):
        stop_choices(found, mine.id, mine.status, place="watch", shortcut="S")
        pause_button(found, mine.id, mine.status, place="watch", shortcut="P")
        ask_button(found, mine.id, mine.status, "save")
        ask_button(found, mine.id, mine.status, "evaluate", shortcut="E")
    if mine.silent_seconds > SILENT:
        st.warning(
            f"The worker has given no sign for {duration(mine.silent_seconds)}."
            " It may be busy. Stop ends it; after ten seconds in vain it can be forced.",
            icon=":material/hourglass_disabled:",
        )


def _ended_early(found: Studio, card: RunCard) -> None:
    """What happened, and one button."""
    ended = found.view(card.id).ended
    why = sentence_of(ended.message, ended.hint) if ended else ""
    if card.status == "failed":
        st.error(f"**Training ended early.** {why}", icon=":material/warning:")
    elif card.status == "interrupted":
        st.warning(
            "**The run was cut off.** What was saved before that is not lost.",
            icon=":material/power_off:",
        )
    elif why:
        st.caption(why)
    if st.button(
        "Resume",
        key="watch_resume",
        type="primary",
        icon=":material/resume:",
        disabled=not found.is_working(),
    ) and outcome(found.resume, card.id):
        st.query_params["run"] = card.id  # stay with it while it waits
        st.rerun()
