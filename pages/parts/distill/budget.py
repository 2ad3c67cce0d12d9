"""How long, how often, and what for comparison."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import streamlit as st

from engine.api import RunSpec
from pages.parts.distill import draft
from pages.parts.distill.form import Form, has_baseline
from pages.parts.distill.knobs import setting_knobs
from pages.parts.door import is_expert

Budget = Mapping[str, Any]

BUDGETS: Mapping[str, Budget] = {
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
STEPS: Mapping[str, Budget] = {
    "Quick · 380": {"schedule.epochs": 19, "schedule.steps": 20},
    "Normal · 1,500": {"schedule.epochs": 30, "schedule.steps": 50},
    "Long · 6,000": {"schedule.epochs": 60, "schedule.steps": 100},
}
IDLE = {"classify": ("steps",), "segment": ("drop_last",)}  # of the schedule
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
    if form.task == "segment":
        _length("How long the student learns, in steps", STEPS, _steps_told())
    else:
        epochs = f"{draft.answer('schedule.epochs', 60)} epochs."
        _length("How long the student learns, in epochs", BUDGETS, epochs)
    form.mark("schedule")
    baseline = st.toggle(
        "Also train the student alone",
        help="Under the same conditions, so that the gain from teaching is measured.",
        key=draft.key_for("about.with_baseline", draft.about("with_baseline")),
        disabled=not has_baseline(),
    )
    draft.put_about("with_baseline", baseline)
    if is_expert():
        _settings(form)
        _axes(form)


def _length(label: str, budgets: Mapping[str, Budget], told: str) -> None:
    now = next((name for name, budget in budgets.items() if _is_set(budget)), None)
    key = draft.key_for(f"guided.budget.{now}", now)  # Expert may change it from elsewhere
    chosen = st.segmented_control(label, list(budgets), key=key)
    if chosen and chosen != now:
        draft.put_many(budgets[chosen])
        st.rerun()
    if now is None:
        st.caption(told)


def _is_set(budget: Budget) -> bool:
    names = ("schedule.epochs", "schedule.steps")
    return all(draft.answer(name) == budget[name] for name in names if name in budget)


def _steps_told() -> str:
    epochs, steps = draft.answer("schedule.epochs", 60), draft.answer("schedule.steps", 0)
    if not steps:
        return f"{epochs} epochs; in each, every labelled picture is shown once."
    return f"{epochs} epochs of {steps} steps: {epochs * steps:,} steps."


def _settings(form: Form) -> None:
    schema = RunSpec.model_json_schema()
    schedule = schema["$defs"]["Schedule"]["properties"]
    wanted = [name for name in schedule if name not in IDLE[form.task]]
    with st.expander("Schedule", icon=":material/tune:", key="knobs_schedule"):
        setting_knobs(schedule, wanted, form.mark, before="schedule.")
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
