"""Run: everything about one run; `?run=ID` picks it."""

from __future__ import annotations

import streamlit as st

from engine.api import Evidence, RunCard, RunSpec, RunView, Studio
from pages.charts.compare import differences
from pages.charts.cost import cost_rows, stage_rows, uncounted_text
from pages.charts.evidence import bars_figure, sentence
from pages.charts.headline import headline_of
from pages.charts.narrator import narrate
from pages.charts.seeds import groups_of
from pages.charts.words import size, status_text
from pages.parts import site
from pages.parts.door import colours, open_run, open_studio, outcome, sentence_of
from pages.parts.live_plot import live_plot
from pages.parts.look_choices import look_choices
from pages.parts.parts.overview import parts
from pages.parts.run_figures import accuracy_plot, rate_plot, terms_plot
from pages.parts.run_lines import lines_of, role_of
from pages.parts.seed_table import seed_table, specs_of
from pages.parts.segments.curves import imitation_plot
from pages.parts.segments.overview import segments
from pages.parts.spots.overview import spots

SHOWN_BY_PATH = 200_000_000  # bytes above which a file is not sent through the browser


def main() -> None:
    found = open_studio()
    run_id = st.query_params.get("run", "")
    if not run_id:
        st.title("Run")
        st.info("No run was chosen.", icon=":material/search_off:")
        site.link("runs", "Choose one", icon=":material/table_rows:")
        return
    card = open_run(found, run_id)
    st.title(card.meta.name or card.id)
    _head(found, card)
    if card.spec is None:
        st.warning(
            f"**This folder cannot be read.** {card.problem}", icon=":material/broken_image:"
        )
        st.caption("Nothing else is touched by it. It can be deleted on the page Runs.")
        return
    view = found.view(card.id)
    of_task = {"Spots": spots, "Parts": parts}
    if card.spec.task == "segment":
        of_task = {"Segments": segments}
    rest = {"Efficiency": _efficiency, "Config": _config, "Log": _log, "Files": _files}
    draws = {"Overview": _overview, "Curves": _curves, **of_task, **rest}
    tabs = st.tabs([*draws], key="run_tab", on_change="rerun", bind="query-params")
    for tab, draw in zip(tabs, draws.values(), strict=True):
        if tab.open:
            with tab:
                draw(found, card, view)


def _head(found: Studio, card: RunCard) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(status_text(card.status))
        for tag in card.meta.tags:
            st.badge(tag, color="gray")
        if card.status in ("queued", "preparing", "running", "paused", "stopping"):
            site.link("watch", "Watch it", icon=":material/monitoring:", run=card.id)
        if card.spec is not None and card.status not in ("queued", "preparing"):
            site.link("look", "Look at its predictions", icon=":material/visibility:", run=card.id)
        if card.spec is not None and st.button("Use as a start", icon=":material/content_copy:"):
            st.session_state["distill_import"] = card.spec.to_yaml()
            site.go("distill")
        if (
            card.status in ("stopped", "interrupted", "failed")
            and st.button("Resume", icon=":material/resume:", disabled=not found.is_working())
            and outcome(found.resume, card.id)
        ):
            site.go("watch", run=card.id)
    if card.experiment and card.experiment.note:
        st.caption(f":material/info: {card.experiment.note}")


def _overview(found: Studio, card: RunCard, view: RunView) -> None:
    evidence = found.evidence(card.id)
    st.markdown(f"#### {sentence(evidence)}")
    if view.ended and (why := sentence_of(view.ended.message, view.ended.hint)):
        st.warning(why, icon=":material/warning:")
    left, right = st.columns([3, 2], gap="large")
    with left:
        live_plot(bars_figure(evidence, colours()), key="run_bars", alt=sentence(evidence))
        _gain(evidence)
        if text := narrate(view, "teacher" if role_of(card) == "teacher" else "student"):
            st.markdown(f":material/chat: {text}")
    with right:
        _notes(found, card)
        st.caption(f"Id `{card.id}` · {size(card.size_bytes)} on disk")
        if card.spec:
            st.caption(f"Spec `{card.spec.hash()}` · baseline `{card.spec.baseline_hash()}`")
    _experiment(found, card)


def _experiment(found: Studio, card: RunCard) -> None:
    """All runs of the experiment by setting, where it holds more than one run and its baseline."""
    everyone = card.experiment.runs if card.experiment else ()
    members = [member.run for member in everyone if member.role != "teacher"]
    rows = [row for row in reversed(found.runs()) if row.id in members]
    groups = groups_of(specs_of(found, members), rows)
    if any(len(group.by_seed) > 1 for group in groups) or len(groups) > 2:
        st.markdown("**The whole experiment**")
        seed_table(groups, key="run_experiment")


def _gain(evidence: Evidence) -> None:
    if evidence.baseline:
        site.link("run", "The same student alone", icon=":material/link:", run=evidence.baseline)
    elif evidence.alone is None and evidence.student is not None:
        st.caption("No run of the same student alone was found, so the gain is not measured.")
    if evidence.published:
        st.caption(f"Published figures: {evidence.published_source}.")


def _notes(found: Studio, card: RunCard) -> None:
    with st.form("notes", border=False):
        name = st.text_input("Name", card.meta.name, max_chars=120)
        tags = st.text_input("Tags", ", ".join(card.meta.tags), help="Separated by commas")
        notes = st.text_area("Notes", card.meta.notes, height=110)
        if st.form_submit_button("Keep", icon=":material/save:"):
            words = tuple(dict.fromkeys(tag.strip() for tag in tags.split(",") if tag.strip()))
            if outcome(found.rename, card.id, name=name, tags=words, notes=notes):
                st.rerun()


def _curves(found: Studio, card: RunCard, view: RunView) -> None:
    look = look_choices("run")
    words = headline_of(view.headline)
    st.markdown(f"**{words.title}**", help=words.meaning)
    accuracy_plot(lines_of(found, card), look, key="run_accuracy", keep=card.id)
    imitation_plot(view, look, key="run_imitation", keep=card.id)
    st.markdown("**Parts of the loss**")
    terms_plot(view, look, key="run_terms", keep=card.id)
    st.markdown("**Learning rate**")
    rate_plot(view, look, key="run_rates", keep=card.id)


def _efficiency(_: Studio, card: RunCard, view: RunView) -> None:
    if not view.costs:
        st.caption("The cost has not been measured yet.")
        return
    as_flops = st.toggle(
        "× 2 = FLOPs",
        key="run_flops",
        bind="query-params",
        help="One multiply-add is one multiplication and one addition: two operations.",
    )
    st.dataframe(cost_rows(view, as_flops=as_flops), hide_index=True, alt="Cost of both nets")
    shape = next(iter(view.costs.values())).input_shape
    st.caption(
        f"For one image of {' × '.join(str(side) for side in shape)} (channels, height, width)."
    )
    if text := uncounted_text(view.costs):
        st.caption(text)
    share = st.column_config.ProgressColumn("Share", format="percent", min_value=0, max_value=1)
    for role, cost in view.costs.items():
        st.markdown(f"**{role.capitalize()}: {cost.name}, by stage**")
        st.dataframe(
            stage_rows(cost, as_flops=as_flops),
            hide_index=True,
            column_config={"Share": share},
            alt=f"Cost of the {role} by stage",
        )


def _config(found: Studio, card: RunCard, _: RunView) -> None:
    if card.spec is None:
        return
    left, right = st.columns(2, gap="large")
    with left:
        st.markdown("**Spec** (settings at their default are left out)")
        st.code(card.spec.to_yaml(), language="yaml")
        st.markdown("**The same from a terminal**")
        st.code("python -m engine run spec.yaml", language="bash")
    with right:
        _difference(found, card, card.spec)
        st.markdown("**Environment**")
        st.json(dict(card.environment) or {"not known": "the run has not begun"}, expanded=1)


def _difference(found: Studio, card: RunCard, spec: RunSpec) -> None:
    """Where this run differs from what the preset of its experiment plans.

    That is its run of this label; the form, which has labels of its own, begins with the last
    run of a student that is taught.
    """
    preset = next(
        (p for p in found.presets() if card.experiment and p.name == card.experiment.preset), None
    )
    if preset is None or card.experiment is None:
        return
    label = next((one.label for one in card.experiment.runs if one.run == card.id), "")
    plans = preset.planned()
    of_label = [plan.spec for plan in plans if plan.label == label]
    of_role = [plan.spec for plan in plans if plan.role == card.meta.role == "student"]
    if not of_label and not of_role:
        return
    plan = (of_label or of_role)[-1]
    if plan.teacher and spec.teacher and plan.teacher.weights.startswith("run:"):
        plan = plan.replace(**{"teacher.weights": spec.teacher.weights})  # the experiment's own
    st.markdown(f"**Difference to the preset {preset.title}**")
    rows = differences({"Preset": plan, "This run": spec})
    if rows:
        st.dataframe(rows, hide_index=True, alt="Settings that differ from the preset")
    else:
        st.caption("None.")


def _log(found: Studio, card: RunCard, view: RunView) -> None:
    for told in view.prepared:
        st.markdown(f":material/check: {told.text}")
    for note in view.notes:
        st.markdown(f":material/info: {note.text}")
    st.code(found.log_text(card.id) or "The worker printed nothing.", language=None, height=420)


def _files(found: Studio, card: RunCard, view: RunView) -> None:
    files = found.files(card.id)
    if not files:
        st.caption("This run keeps no files yet.")
    what = {f"artefacts/{saved.name}": saved.what for saved in view.artefacts.values()}
    for name, num_bytes in files:
        with st.container(horizontal=True, vertical_alignment="center"):
            told = [f"`{name}`", size(num_bytes), *([what[name]] if name in what else [])]
            st.markdown(" · ".join(told))
            if num_bytes > SHOWN_BY_PATH:
                st.code(str(found.file(card.id, name)), language=None)
                continue
            st.download_button(
                "Download",
                data=lambda name=name: found.file(card.id, name).read_bytes(),
                file_name=f"{card.id}-{name.replace('/', '-')}",
                key=f"file_{name}",
                on_click="ignore",
                type="tertiary",
                icon=":material/download:",
            )


main()
