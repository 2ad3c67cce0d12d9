"""The tab Segments: how well areas are found, by this run and the others of its experiment."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from engine.api import RunCard, RunView, Studio
from pages.charts.segments import (
    USUAL_THRESHOLD,
    Method,
    class_rows,
    floor_words,
    summary_words,
    usual_baseline,
    variance_rows,
    variance_words,
)
from pages.charts.segments_bars import (
    HIGHEST,
    LOWEST,
    bars_figure,
    bars_words,
    headlines,
    histogram_figure,
    histogram_words,
    precision_figure,
    precision_words,
)
from pages.charts.segments_overlay import class_names
from pages.parts.door import colours
from pages.parts.live_plot import live_plot
from pages.parts.parts.turn import Turn
from pages.parts.segments.fronts import fronts
from pages.parts.segments.methods import methods_of, split_of
from pages.parts.segments.scenes import scenes

ABSTRACT = (
    "The dotted lines are the four figures of the abstract of arXiv 2103.13733: mIoU +1.4 points,"
    " high-precision accuracy +8.2 points, variance 78.2 %, FLOPs 41.8 %. The abstract names no"
    " baseline; taken here (ours): gains and variance against the method chosen above, FLOPs"
    " against the teacher. Its nets and data were others, so the lines are no goal for these runs."
)
PRECISION = (
    "High-precision accuracy: the share of images whose mIoU, over the classes that their truth"
    " shows, reaches the threshold. The definition is ours; the abstract gives none."
)
VARIANCE = (
    "The variance of the images' mIoU, in points²: how unlike the images are done. The definition"
    " is ours. A net that fails on every image has a small variance too, so read it beside the"
    " mean."
)
OVERLAP = (
    "Overlap (IoU) of a class: the area where prediction and truth agree, as a share of the area"
    " that either gives to the class, over all images of the split. mIoU: the mean over classes."
)


def segments(found: Studio, card: RunCard, view: RunView) -> None:
    """Everything about how well one segmenter and its siblings do."""
    split = split_of(view)
    if not split:
        st.caption("The figures begin with the first measurement.")
        return
    st.fragment(_figures, key="run_segments")(found, card, split)
    scenes(found, card, view, place="run", is_live=False)
    fronts(found, card, view, Turn())


def _figures(found: Studio, card: RunCard, split: str) -> None:
    methods, own, missing = methods_of(found, card, split)
    if not methods:
        st.caption("This run left no overlaps to draw from.")
        return
    left, right = st.columns(2, gap="large", vertical_alignment="bottom")
    usual = usual_baseline(methods)
    with left:
        baseline = st.selectbox(
            "Compared with",
            range(len(methods)),
            index=usual,
            format_func=lambda place: methods[place].label,
            key=f"run_segments_baseline_{len(methods)}",
            help="Gains and ratios are taken against this method, with the same seeds.",
        )
    with right:
        threshold = st.slider(
            "Threshold of high-precision accuracy",
            LOWEST,
            HIGHEST,
            USUAL_THRESHOLD,
            0.01,
            key="run_threshold",
            bind="query-params",
            help=PRECISION,
        )
    st.markdown(f"#### {summary_words(methods, baseline, own)}")
    late = f" {missing} runs of this experiment are not measured there yet." if missing else ""
    st.caption(f"Measured on {split} images, last weights.{late}")
    _headlines(methods, baseline, threshold, own)
    left, right = st.columns(2, gap="large")
    with left:
        _precision(methods, threshold)
        st.markdown("**Does the variance fall?**", help=VARIANCE)
        _variance(methods, baseline)
    with right:
        _histogram(methods, threshold)
        st.markdown("**Overlap by class**", help=OVERLAP)
        _classes(card, methods)


def _headlines(methods: Sequence[Method], baseline: int, threshold: float, own: str) -> None:
    places = [*st.columns(2, gap="large"), *st.columns(2, gap="large")]
    helps = (OVERLAP, PRECISION, VARIANCE, "Multiply-adds of the student for one image.")
    for nth, (bars, place) in enumerate(
        zip(headlines(methods, baseline, threshold), places, strict=True)
    ):
        with place:
            st.markdown(f"**{bars.title}**", help=helps[nth])
            if not any(value.by_seed for value in bars.values):
                st.caption("No run of this experiment has a teacher to compare with.")
                continue
            live_plot(
                bars_figure(bars, methods, colours(), own),
                key=f"run_segments_bars_{nth}",
                alt=bars_words(bars, methods),
            )
            st.caption(bars.looks_for)
    seeds = max(len(one.by_seed) for one in methods)
    spread = (
        "Bars: means over seeds, with the deviation (n - 1) as whiskers and each seed as a dot."
        if seeds > 1
        else "One seed each: nothing can be said about noise."
    )
    st.caption(f"{spread} {ABSTRACT}")


def _precision(methods: Sequence[Method], threshold: float) -> None:
    st.markdown("**How many images are done well**", help=PRECISION)
    told = precision_words(methods, threshold)
    live_plot(
        precision_figure(methods, threshold, colours()),
        key="run_segments_precision",
        alt=f"High-precision accuracy over its threshold. At {threshold:.2f}: {told}.",
    )
    st.caption(
        f"Of 100 images, how many reach the threshold. At {threshold:.2f}: {told}. Look for a"
        f" curve that lies above the others at every threshold. {floor_words(methods, threshold)}"
    )


def _histogram(methods: Sequence[Method], threshold: float) -> None:
    st.markdown("**How well each image is done**")
    told = histogram_words(methods)
    live_plot(
        histogram_figure(methods, threshold, colours()),
        key="run_segments_histogram",
        alt=f"Histogram of the images' mIoU by method. Means: {told}.",
    )
    st.caption(
        f"Share of the images in each step of 5 points, all seeds together. Means: {told}. Look"
        " for a hill that moves to the right; the dashed line is the threshold above."
    )


def _variance(methods: Sequence[Method], baseline: int) -> None:
    rows = variance_rows(methods, baseline)
    st.dataframe(
        rows,
        hide_index=True,
        lazy=False,
        column_config={
            "Mean, %": st.column_config.TextColumn(help="Of the images' mIoU"),
            "Variance, points²": st.column_config.TextColumn(help=VARIANCE),
            "Ratio": st.column_config.TextColumn(
                f"Of {methods[baseline].label}'s", help="Taken seed by seed, then the mean"
            ),
        },
        alt="Mean and variance of the images' mIoU by method",
    )
    said = variance_words(methods, baseline)
    if said:
        st.markdown("\n".join(f"- {text}" for text in said))
    st.caption(
        "Mean ± deviation (seeds). Look for a ratio below 100 % with an equal or better mean; the"
        " abstract reports 78.2 %."
    )


def _classes(card: RunCard, methods: Sequence[Method]) -> None:
    count = len(next(iter(methods[0].by_seed.values())).confusion)
    rows = class_rows(methods, class_names(card.environment, count))
    number = st.column_config.NumberColumn
    st.dataframe(
        rows,
        hide_index=True,
        lazy=False,
        placeholder="-",
        column_config={one.label: number(f"{one.label}, %", format="%.1f") for one in methods},
        alt=f"Overlap of {count} classes by method, in per cent",
    )
    st.caption(
        "Means over seeds; `-`: nothing of this class in truth or prediction. Look for rare and"
        " small classes, which pull the mean down."
    )
