"""How long, how often, and what for comparison."""

from __future__ import annotations

import streamlit as st

from engine.api import RunSpec
from pages.parts.distill import draft
from pages.parts.distill.form import Form
from pages.parts.distill.knobs import setting_knobs
from pages.parts.door import is_expert

BUDGETS = {
    "Quick · 10": {"schedule.epochs": 10, "schedule.decay": "cosine"},
    "Normal · 60": {"schedule.epochs": 60, "schedule.decay": "cosine"},
    "Paper · 240": {
        "schedule.epochs": 240,
        "schedule.decay": "step",
        "schedule.milestones": [150, 180, 210],
        "schedule.lr": 0.05,
        "schedule.batch": 64,
    },
}
RUN_SETTINGS = (
    "seed",
    "device",
    "threads",
    "precision",
    "evaluate_every",
    "save_every",
    "select_on",
)


def budget(form: Form) -> None:
    """Epochs and baseline; for Expert the whole schedule, seeds and policies."""
    st.subheader("5 · Budget")
    _epochs()
    form.mark("schedule")
    baseline = st.toggle(
        "Also train the student alone",
        help="Under the same conditions, so that the gain from teaching is measured.",
        key=draft.key_for("about.with_baseline", draft.about("with_baseline")),
        disabled="teacher" not in form.needs,
    )
    draft.put_about("with_baseline", baseline)
    if is_expert():
        _settings(form)
        _axes(form)


def _epochs() -> None:
    now = next(
        (n for n, c in BUDGETS.items() if c["schedule.epochs"] == draft.answer("schedule.epochs")),
        None,
    )
    chosen = st.segmented_control(
        "How long the student learns, in epochs",
        list(BUDGETS),
        key=draft.key_for("guided.budget", now),
    )
    if chosen and chosen != now:
        draft.put_many(BUDGETS[chosen])
        st.rerun()
    if now is None:
        st.caption(f"{draft.answer('schedule.epochs', 60)} epochs.")


def _settings(form: Form) -> None:
    schema = RunSpec.model_json_schema()
    schedule = schema["$defs"]["Schedule"]["properties"]
    with st.expander("Schedule", icon=":material/tune:", key="knobs_schedule"):
        setting_knobs(schedule, schedule, form.mark, before="schedule.")
    with st.expander("Run", icon=":material/tune:", key="knobs_run"):
        setting_knobs(schema["properties"], RUN_SETTINGS, form.mark)


def _axes(form: Form) -> None:
    left, right = st.columns(2)
    seeds = left.text_input(
        "Seeds",
        key=draft.key_for("about.seeds", ", ".join(str(seed) for seed in draft.about("seeds"))),
        placeholder="1, 2, 3",
        help="One run for each; empty: the one seed above.",
    )
    words = [word.strip() for word in (seeds or "").split(",")]
    draft.put_about("seeds", list(dict.fromkeys(int(word) for word in words if word.isdecimal())))
    if "policy" in form.needs:
        policies = right.multiselect(
            "Policies to compare",
            list(form.entries["policies"]),
            key=draft.key_for("about.policies", draft.about("policies")),
            help="One run for each, and for each seed; empty: the one policy above.",
        )
        draft.put_about("policies", policies)
