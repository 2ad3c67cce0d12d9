"""Watch: what trains now, drawn from its log every two seconds."""

from __future__ import annotations

import streamlit as st

from engine.api import Active, DistillError, RunCard, Studio
from pages.charts.headline import headline_of
from pages.charts.narrator import narrate
from pages.parts import site
from pages.parts.demo import demo_button
from pages.parts.door import is_expert, open_run, open_studio, sentence, tell_now
from pages.parts.look_choices import look_choices
from pages.parts.run_figures import accuracy_plot, rate_plot, spots_plot, terms_plot
from pages.parts.run_lines import experiment_of, labels_of, lines_of, role_of
from pages.parts.segments.curves import imitation_plot
from pages.parts.segments.scenes import scenes
from pages.parts.status_strip import IDLE_TICK, TICK
from pages.parts.watch.closing_card import closing_card
from pages.parts.watch.head import head
from pages.parts.watch.numbers import numbers
from pages.parts.watch.steps import steps
from pages.parts.watch.waiting import waiting


def main() -> None:
    found = open_studio()
    active = found.active()
    is_live = bool(active)
    if not is_live:
        st.fragment(_until_one_begins, run_every=IDLE_TICK, key="idle")(found)
    if not _chosen(found, active):
        _empty(found)
        return
    st.fragment(_live, run_every=TICK if is_live else None, key="live")(found, is_live)


def _until_one_begins(found: Studio) -> None:
    if found.active():
        st.rerun()


def _chosen(found: Studio, active: tuple[Active, ...]) -> str:
    """The run of the URL; of an experiment its active one; else the active one, the newest."""
    if run_id := st.query_params.get("run", ""):
        return run_id
    ids = [run.id for run in active]
    if experiment := experiment_of(found, st.query_params.get("experiment", "")):
        known = {run.id for run in found.runs()}
        if members := [member.run for member in experiment.runs if member.run in known]:
            return next((run_id for run_id in ids if run_id in members), members[-1])
    if ids:
        return ids[0]
    runs = found.runs()
    return runs[0].id if runs else ""


def _empty(found: Studio) -> None:
    st.title("Watch")
    st.info("Nothing is training.", icon=":material/monitoring:")
    with st.container(horizontal=True):
        if st.button("New distillation", icon=":material/science:"):
            site.go("distill")
        demo_button(found, "Run the demo")


def _live(found: Studio, was_live: bool) -> None:
    tell_now()
    active = found.active()
    run_id = _chosen(found, active)
    if bool(active) != was_live or not run_id:
        st.rerun()  # the last run ended, or another program began one: a new rhythm
    card = open_run(found, run_id)
    st.session_state["watch_shown"] = card.id
    st.title(card.experiment.name if card.experiment else card.meta.name or card.id)
    _members(found, card)
    mine = next((run for run in active if run.id == card.id), None)
    head(found, card, mine)
    try:
        lines = lines_of(found, card)
        view = found.view(card.id)
        evidence = found.evidence(card.id)
    except DistillError as error:
        st.error(sentence(error), icon=":material/broken_image:")
        return
    members = {line.run_id for line in lines}
    if card.status == "finished" and not members & {run.id for run in active}:
        closing_card(found, lines)
    numbers(card, view, evidence, mine)
    # What comes and goes must not move the charts: they would lose their zoom.
    with st.container():
        if text := narrate(view, "teacher" if role_of(card) == "teacher" else "student"):
            st.markdown(f":material/chat: {text}")
        if view.checkpoints:
            site.link("look", "Look at its predictions", icon=":material/visibility:", run=card.id)
    is_segmenter = card.spec is not None and card.spec.task == "segment"
    words = headline_of(card.spec.headline if card.spec else view.headline)
    if is_segmenter:
        scenes(found, card, view, place="watch", is_live=was_live)
    left, right = st.columns([3, 2], gap="large")
    with left:
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(f"**{words.heading}**", help=words.meaning)
            look = look_choices("watch")
        keep = card.experiment.id if card.experiment else card.id
        accuracy_plot(lines, look, key="watch_accuracy", keep=keep)
        with st.container():
            imitation_plot(view, look, key="watch_imitation", keep=card.id)
        st.markdown("**What the student is corrected for**")
        terms_plot(view, look, key="watch_terms", keep=card.id)
    with right:
        if not is_segmenter:
            st.markdown("**Where the teacher teaches**")
            spots_plot(view, key="watch_spots", keep=card.id)
        if is_expert():
            st.markdown("**Learning rate**")
            rate_plot(view, look, key="watch_rates", keep=card.id)
        steps(view)
        waiting(found, active)
    _log(found, card)


def _members(found: Studio, card: RunCard) -> None:
    """Switch among the runs of the experiment; the choice is in the URL."""
    if card.experiment is None or len(card.experiment.runs) < 2:
        return
    known = {run.id for run in found.runs()}
    labels = {run: name for run, name in labels_of(card.experiment).items() if run in known}
    st.session_state["watch_member"] = card.id
    st.segmented_control(
        "Run shown below",
        list(labels),
        format_func=labels.get,
        key="watch_member",
        required=True,
        on_change=_show_member,
        label_visibility="collapsed",
    )


def _show_member() -> None:
    st.query_params["run"] = st.session_state["watch_member"]


def _log(found: Studio, card: RunCard) -> None:
    log = st.expander("Log", icon=":material/notes:", key="watch_log", on_change="rerun")
    if log.open:
        with log, st.container(height=300, autoscroll=True, border=False):
            st.code(found.log_text(card.id) or "Nothing was printed so far.", language=None)
    if card.experiment and card.experiment.note:
        st.caption(f":material/info: {card.experiment.note}")


main()
