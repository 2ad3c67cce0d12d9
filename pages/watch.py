"""Watch: what trains now, drawn from its log every two seconds."""

from __future__ import annotations

import streamlit as st

from engine.api import Active, DistillError, Evidence, RunCard, RunView, Studio
from pages.charts.cost import fewer_computations
from pages.charts.curve import Line, evaluated_split
from pages.charts.narrator import narrate
from pages.charts.words import amount, duration, percent, points, status_text, times
from pages.parts import site
from pages.parts.controls import pause_button, stop_choices
from pages.parts.demo import demo_button
from pages.parts.door import attempt, is_expert, open_run, open_studio, outcome, sentence, tell_now
from pages.parts.look_choices import look_choices
from pages.parts.run_figures import accuracy_plot, rate_plot, spots_plot, terms_plot
from pages.parts.run_lines import experiment_of, labels_of, lines_of, role_of, taught_first
from pages.parts.status_strip import TICK

SILENT = 30.0  # seconds after which a worker counts as not answering


def main() -> None:
    found = open_studio()
    active = found.active()
    run_id = _chosen(found, active)
    if not run_id:
        _empty(found)
        return
    card = open_run(found, run_id)
    st.title(card.experiment.name if card.experiment else card.meta.name or card.id)
    is_live = bool(active)
    live = st.fragment(_live, run_every=TICK if is_live else None, key="live")
    live(found, is_live)
    if card.experiment and card.experiment.note:
        st.caption(f":material/info: {card.experiment.note}")


def _chosen(found: Studio, active: tuple[Active, ...]) -> str:
    """The run of the URL; of an experiment its active one; else the active one, the newest."""
    if run_id := st.query_params.get("run", ""):
        return run_id
    ids = [run.id for run in active]
    if experiment := experiment_of(found, st.query_params.get("experiment", "")):
        members = [member.run for member in experiment.runs]
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
    if bool(active) != was_live:
        st.rerun()  # the last run ended, or another program began one: a new rhythm
    card = _switched(found, open_run(found, _chosen(found, active)))
    mine = next((run for run in active if run.id == card.id), None)
    _head(found, card, mine)
    try:
        lines = lines_of(found, card)
        view = found.view(card.id)
        evidence = found.evidence(card.id)
    except DistillError as error:
        st.error(sentence(error), icon=":material/broken_image:")
        return
    members = {line.run_id for line in lines}
    if card.status == "finished" and not members & {run.id for run in active}:
        _closing_card(found, lines)
    _figures(card, view, evidence, mine)
    if text := narrate(view, "teacher" if role_of(card) == "teacher" else "student"):
        st.markdown(f":material/chat: {text}")
    keep = card.experiment.id if card.experiment else card.id
    left, right = st.columns([3, 2], gap="large")
    with left:
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown("**How many images the nets get right**")
            look = look_choices("watch")
        accuracy_plot(lines, look, key="watch_accuracy", keep=keep)
        st.markdown("**What the student is corrected for**")
        terms_plot(view, look, key="watch_terms", keep=card.id)
    with right:
        st.markdown("**Where the teacher teaches**")
        spots_plot(view, key="watch_spots", keep=card.id)
        if is_expert():
            st.markdown("**Learning rate**")
            rate_plot(view, look, key="watch_rates", keep=card.id)
        _phases(view)
        _queue(found, active)
    _log(found, card.id)


def _switched(found: Studio, card: RunCard) -> RunCard:
    """The run that the person picked among those of the experiment, else the one followed."""
    if card.experiment is None or len(card.experiment.runs) < 2:
        return card
    labels = labels_of(card.experiment)
    pinned = st.session_state.get("watch_pinned")
    shown = pinned if pinned in labels else card.id
    st.session_state["watch_member"] = shown
    st.segmented_control(
        "Run shown below",
        list(labels),
        format_func=labels.get,
        key="watch_member",
        on_change=_pin,
        label_visibility="collapsed",
    )
    return card if shown == card.id else open_run(found, shown)


def _pin() -> None:
    st.session_state["watch_pinned"] = st.session_state["watch_member"]


def _head(found: Studio, card: RunCard, mine: Active | None) -> None:
    """Status, progress and what can be done about the run."""
    share = mine.share_done if mine else 1.0 if card.status == "finished" else None
    if mine and mine.status != "queued":
        st.set_page_config(page_title=f"{percent(share, 0)} · Distill Studio")
        left = f"≈ {duration(mine.seconds_left)} left" if mine.seconds_left is not None else ""
        parts = [status_text(card.status), percent(share, 0), left]
        st.progress(min(max(share or 0.0, 0.0), 1.0), text=" · ".join(p for p in parts if p))
    else:
        st.set_page_config(page_title="Watch · Distill Studio")
        st.markdown(status_text(card.status))
    if mine and mine.status != "queued":
        _steer(found, card, mine)
    elif card.status in ("interrupted", "stopped", "failed"):
        _ended_early(found, card)
    elif card.status == "unreadable":
        st.warning(card.problem, icon=":material/broken_image:")
    elif card.status == "queued":
        st.caption("It waits for its turn; see the queue below.")


def _steer(found: Studio, card: RunCard, mine: Active) -> None:
    with st.container(horizontal=True, key="steer"):
        stop_choices(found, card.id, card.status, place="watch")
        pause_button(found, card.id, card.status, place="watch")
        for label, command, icon in (
            ("Save now", "save", ":material/save:"),
            ("Evaluate now", "evaluate", ":material/speed:"),
        ):
            st.button(
                label,
                key=f"watch_{command}",
                icon=icon,
                on_click=attempt,
                args=(found.send, card.id, command),
                disabled=card.status != "running",
            )
    if mine.silent_seconds > SILENT:
        st.warning(
            f"The worker has given no sign for {duration(mine.silent_seconds)}."
            " It may be busy; Stop ends it.",
            icon=":material/hourglass_disabled:",
        )


def _ended_early(found: Studio, card: RunCard) -> None:
    """What happened, and one button."""
    ended = found.view(card.id).ended
    if card.status == "failed":
        why = f"{ended.message} {ended.hint}" if ended else ""
        st.error(f"**Training ended early.** {why}", icon=":material/warning:")
    elif card.status == "interrupted":
        st.warning(
            "**The run was cut off.** What was saved before that is not lost.",
            icon=":material/power_off:",
        )
    if st.button(
        "Resume",
        key="watch_resume",
        type="primary",
        icon=":material/resume:",
        disabled=not found.is_working(),
    ) and outcome(found.resume, card.id):
        st.rerun()


def _closing_card(found: Studio, lines: list[Line]) -> None:
    """What came out, from measured figures only."""
    line = taught_first(lines)
    if line is None:
        return
    evidence, fewer = found.evidence(line.run_id), fewer_computations(line.view)
    parts = []
    if fewer is not None:
        parts.append(f"**{times(fewer)}** fewer computations")
    if evidence.student is not None and evidence.teacher:
        parts.append(
            f"**{percent(evidence.student / evidence.teacher)}** of the teacher's accuracy"
        )
    if evidence.gain is not None:
        parts.append(f"**{points(evidence.gain)}** from teaching")
    if not parts:
        return
    with st.container(border=True, key="closing_card"):
        st.markdown("#### :material/check_circle: Done: " + ", ".join(parts))
        st.caption(f"Measured on {evidence.split} images that took no part in training.")
        with st.container(horizontal=True):
            if st.button("See the run in full", type="primary", icon=":material/description:"):
                site.go("run", run=line.run_id)
            if st.button("Make your own", icon=":material/science:"):
                site.go("distill")


def _figures(card: RunCard, view: RunView, evidence: Evidence, mine: Active | None) -> None:
    """The row of numbers."""
    is_whole = card.status == "finished"
    now = view.figure("student", split=evaluated_split(view), weights="last")
    if is_whole and evidence.student is not None:
        now = evidence.student
    loss = view.terms.get("loss") or next(iter(view.terms.values()), None)
    epochs = sum(begun.epochs for begun in view.plan)
    is_teacher = role_of(card) == "teacher"
    who = "Teacher" if is_teacher else "Student"
    figures = {who: percent(now) if now is not None else "-"}
    if evidence.teacher is not None and not is_teacher:
        figures["Teacher"] = percent(evidence.teacher)
    if evidence.baseline and evidence.alone is not None:
        figures["Student alone"] = percent(evidence.alone)
    if is_whole and evidence.gain is not None:  # before its end a run has a worse epoch
        figures["Gain"] = points(evidence.gain)
    if is_whole and evidence.recovered is not None:
        figures["Gap closed"] = percent(evidence.recovered, 0)
    if epochs:
        figures["Epoch"] = f"{min(int(view.epoch_of(view.at)) + 1, epochs)} of {epochs}"
    if loss and loss.value:
        figures["Loss"] = f"{loss.value[-1]:.3g}"
    if mine and mine.samples_per_second:
        figures["Speed"] = f"{amount(mine.samples_per_second)} img/s"
    with st.container(horizontal=True, key="kpis", gap="small"):
        for label, value in figures.items():
            st.metric(label, value, help=HELP.get(label), width=132)


HELP = {
    "Student": "Share of images that the student gets right: validation images while it trains,"
    " test images at the end.",
    "Teacher": "The same for the teacher.",
    "Student alone": "The same student without a teacher, at its end.",
    "Gain": "Student taught minus the same student alone, in percentage points.",
    "Gap closed": "The gain as a share of the distance between the student alone and the teacher.",
    "Loss": "What training makes small, in nats.",
}


def _phases(view: RunView) -> None:
    """What is done, what goes on, what comes."""
    done = [f":material/check: {told.text}" for told in view.prepared]
    phase = view.phase
    if phase is not None:
        for name in phase.phases:
            begun = [told.phase for told in view.plan]
            is_now = name == phase.phase and view.ended is None
            icon = "play_arrow" if is_now else "check" if name in begun else "circle"
            done.append(f":material/{icon}: {name.replace('_', ' ').capitalize()}")
    if done:
        st.markdown("**Steps**")
        st.markdown("  \n".join(done))
    for note in view.notes[-3:]:
        st.caption(f":material/{'warning' if note.level == 'warning' else 'info'}: {note.text}")


def _queue(found: Studio, active: tuple[Active, ...]) -> None:
    waiting = [run for run in active if run.status == "queued"]
    if not waiting:
        return
    st.markdown("**Queue**")
    for place, run in enumerate(waiting):
        with st.container(horizontal=True, wrap=False, vertical_alignment="center", gap="xsmall"):
            st.markdown(f"{place + 1}. {run.title}")
            for name, icon, act, args, is_off in (
                ("up", "arrow_upward", found.move_in_queue, (run.id, place - 1), place == 0),
                (
                    "down",
                    "arrow_downward",
                    found.move_in_queue,
                    (run.id, place + 1),
                    place == len(waiting) - 1,
                ),
                ("remove", "close", found.unqueue, (run.id,), False),
            ):
                st.button(
                    "",
                    key=f"queue_{name}_{run.id}",
                    icon=f":material/{icon}:",
                    help={"up": "Earlier", "down": "Later", "remove": "Take off the queue"}[name],
                    type="tertiary",
                    on_click=attempt,
                    args=(act, *args),
                    disabled=is_off,
                )


def _log(found: Studio, run_id: str) -> None:
    log = st.expander("Log", icon=":material/notes:", key="watch_log", on_change="rerun")
    if log.open:
        with log, st.container(height=300, autoscroll=True, border=False):
            st.code(found.log_text(run_id) or "Nothing was printed so far.", language=None)


main()
