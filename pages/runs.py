"""Runs: find, compare, delete."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from engine.api import Studio, Summary
from pages.charts.compare import FIELDS, differences, pareto_figure
from pages.charts.curve import Line
from pages.charts.headline import HEADLINES, MIOU, headline_of, short_of
from pages.charts.seeds import groups_of
from pages.charts.table import SORTS, filtered, gains, ordered, role, rows_of, shown_columns, title
from pages.charts.words import size
from pages.parts import site
from pages.parts.demo import demo_button
from pages.parts.door import colours, is_expert, open_studio, outcome
from pages.parts.look_choices import look_choices
from pages.parts.run_figures import accuracy_plot
from pages.parts.seed_table import seed_table, specs_of

MOST_COMPARED = 12
GAIN = "Percentage points above the same student alone"
FEWER = "How many times fewer multiply-adds the student needs than its teacher"
GUIDED_COLUMNS = (
    *("Status", "Run", "Accuracy", "mIoU", "Gain", "Fewer", "Progress", "Time", "Created"),
)


def main() -> None:
    found = open_studio()
    runs = found.runs()
    st.title(f"Runs ({len(runs)})" if runs else "Runs")
    if not runs:
        _empty(found)
        return
    shown = _chosen_rows(runs)
    picked = _table(shown, runs)
    with st.container(horizontal=True, vertical_alignment="center"):
        _actions(found, picked)
    if len(picked) > 1:
        _compare(found, picked)
    else:
        st.subheader("Cost against quality")
        _pareto(shown)


def _empty(found: Studio) -> None:
    st.info("Your runs will appear here.", icon=":material/table_rows:")
    demo_button(found, "Run the demo")


def _chosen_rows(runs: Sequence[Summary]) -> list[Summary]:
    """Search, filters and order; all of them live in the URL."""
    search, sort = st.columns([3, 1])
    words = search.text_input(
        "Search", key="runs_search", bind="query-params", placeholder="Name, net, method, tag"
    )
    names = shown_columns([words.short for words in HEADLINES.values()], runs)
    by = sort.selectbox(
        "Order",
        list(SORTS),
        key="runs_sort",
        bind="query-params",
        format_func=lambda by: " or ".join(names) if by == "Accuracy" else by,
    )
    with st.expander("Filters", icon=":material/filter_list:"):
        columns = st.columns(4)
        choices = {
            "statuses": ("Status", {run.status for run in runs}),
            "methods": ("Method", {run.labels.method for run in runs} - {""}),
            "datasets": ("Data", {run.labels.data for run in runs} - {""}),
            "tags": ("Tag", {tag for run in runs for tag in run.tags}),
        }
        chosen = {
            name: column.multiselect(label, sorted(options), key=f"runs_{name}")
            for column, (name, (label, options)) in zip(columns, choices.items(), strict=True)
        }
    return ordered(filtered(runs, search=words or "", **chosen), by or "Newest")


def _table(shown: list[Summary], runs: Sequence[Summary]) -> list[Summary]:
    """The table; returns the picked runs, by id and never by place."""
    if not shown:
        st.caption("No run fits. Clear the search or a filter.")
        return []
    rows = rows_of(shown, gains(runs))
    number = st.column_config.NumberColumn
    event = st.dataframe(
        rows,
        key=f"runs_{hash(tuple(run.id for run in shown))}",  # new rows: no old selection
        on_select="rerun",
        selection_mode="multi-row",
        hide_index=True,
        lazy=False,
        column_order=shown_columns([*rows[0]] if is_expert() else GUIDED_COLUMNS, shown),
        column_config={
            "Accuracy": number(width=84, format="%.2f %%", help="Of the last weights"),
            "mIoU": number(width=84, format="%.2f %%", help=f"Of the last weights. {MIOU.meaning}"),
            "Best (validation)": number(format="%.2f"),
            "Gain": number("Gain", width=64, format="%+.1f", help=GAIN),
            "MACs": number(format="compact"),
            "Fewer": number("Fewer MACs", width=98, format="%.1f×", help=FEWER),
            "Progress": st.column_config.ProgressColumn(
                width=110, format="%d %%", min_value=0, max_value=100
            ),
            "Time": number("Time (s)", width=74, format="%.0f"),
            "Size": number("Size (MB)", format="%.1f"),
            "Created": st.column_config.DatetimeColumn(format="distance"),
        },
        placeholder="-",
        alt=f"Table of {len(shown)} runs",
    )
    return [shown[place] for place in event.selection.rows if place < len(shown)]


def _actions(found: Studio, picked: list[Summary]) -> None:
    if not picked:
        st.caption("Tick runs to open, compare or delete them.")
        return
    if len(picked) == 1 and st.button("Open", type="primary", icon=":material/description:"):
        site.go("run", run=picked[0].id)
    with st.popover("Tag", icon=":material/sell:"):
        tag = st.text_input("Tag to add", key="runs_new_tag", max_chars=40).strip()
        if st.button("Add", disabled=not tag):
            for run in picked:
                outcome(found.rename, run.id, tags=tuple(dict.fromkeys((*run.tags, tag))))
            st.rerun()
    if st.button("Delete", icon=":material/delete:"):
        _confirm_delete(found, [run.id for run in picked])


@st.dialog("Delete runs")
def _confirm_delete(found: Studio, ids: list[str]) -> None:
    """By id: a run that appears meanwhile changes nothing."""
    doomed = [run for run in found.runs() if run.id in ids]
    st.markdown("\n".join(f"- {title(run)} · {size(run.size_bytes)}" for run in doomed))
    st.caption("They go to the trash of the workspace, from where they can be taken back.")
    with st.container(horizontal=True):
        if st.button("Cancel", type="primary"):
            st.rerun()
        if st.button(f"Delete {len(doomed)}", icon=":material/delete:"):
            for run in doomed:
                outcome(found.delete, run.id)
            st.rerun()


def _compare(found: Studio, picked: list[Summary]) -> None:
    st.subheader(f"Comparing {len(picked)} runs")
    if len(picked) > MOST_COMPARED:
        st.caption(f"Curves and settings of the first {MOST_COMPARED}.")
    cards = {run.id: run for run in picked[:MOST_COMPARED]}
    specs = specs_of(found, [run.id for run in picked])
    names = ["Curves", "Settings", "Seeds", "Cost against quality"]
    tabs = st.tabs(names, key="runs_view", on_change="rerun", bind="query-params")
    if tabs[0].open:
        with tabs[0]:
            look = look_choices("cmp")
            lines = [
                Line(run.id, title(run), role(run), found.view(run.id))
                for run in cards.values()
                if run.status != "unreadable"
            ]
            accuracy_plot(lines, look, key="cmp_accuracy", keep=",".join(cards))
    if tabs[1].open:
        with tabs[1]:
            labels = {f"{title(run)} · {run.id[-6:]}": specs[run.id] for run in cards.values()
                      if run.id in specs}  # fmt: skip
            rows = differences(labels)
            if rows:
                st.dataframe(rows, hide_index=True, alt="Settings that differ")
            st.caption("Only what differs is shown." if rows else "All settings are the same.")
    if tabs[2].open:
        with tabs[2]:
            seed_table(groups_of(specs, picked), key="runs_seeds")
    if tabs[3].open:
        with tabs[3]:
            _pareto(picked)


def _pareto(rows: Sequence[Summary]) -> None:
    rows = _of_one_headline(rows)
    against = st.segmented_control(
        "Cost", list(FIELDS), default="MACs", required=True, key="runs_cost", bind="query-params"
    )
    figure = pareto_figure(rows, colours(), against)
    if not figure["data"]:
        st.caption("Runs appear here once they are measured.")
        return
    event = st.plotly_chart(
        figure,
        key="runs_pareto",
        theme=None,
        on_select="rerun",
        selection_mode="points",
        config={"displaylogo": False, "displayModeBar": False},
        alt=f"{short_of(row.headline for row in rows)} against cost of each run; the dotted line"
        " joins those that none beats.",
    )
    ids = [point.get("customdata") for point in event.selection.points]
    chosen = next((run_id for run_id in ids if run_id), None)
    if isinstance(chosen, list):
        chosen = chosen[0]
    if chosen:
        site.link("run", "Open the chosen run", icon=":material/description:", run=chosen)


def _of_one_headline(rows: Sequence[Summary]) -> Sequence[Summary]:
    """Accuracy and mean overlap are not to be compared: one of them, where there are both."""
    names = [name for name in HEADLINES if any(row.headline == name for row in rows)]
    if len(names) < 2:
        return rows
    chosen = st.segmented_control(
        "Figure",
        names,
        format_func=lambda name: headline_of(name).title,
        default=names[0],
        required=True,
        key="runs_figure",
        bind="query-params",
    )
    return [row for row in rows if row.headline == chosen]


main()
