"""Pictures of a set to segment with their masks, and how much of them each class covers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

import streamlit as st

from pages.charts.words import amount
from pages.parts.distill import draft

SHOWN_WIDTH = 152  # pixels on the page
SQUARE = (
    "<svg xmlns='http://www.w3.org/2000/svg' width='16' height='16'>"
    "<rect width='16' height='16' rx='3' fill='{}' stroke='#808080'/></svg>"
)


def masked_samples(value: Mapping[str, Any]) -> None:
    """Eight pictures under their masks, the similar ones without, and the classes."""
    is_drawn = st.toggle(
        "Draw the masks over the pictures",
        key=draft.key_for("guided.masks", True),
        help="Each class has a colour, below; a white line runs where classes meet. What keeps its"
        " own colours belongs to no class and is not learnt from.",
    )
    images = value["overlays"] if is_drawn else value["images"]
    words = {"train": "to learn from", "validation": "to check with"}
    captions = [words.get(label, label) for label in value["labels"]]
    drawn = "with its mask drawn over it" if is_drawn else "without its mask"
    _pictures("samples", images, captions, [f"A picture {word}, {drawn}" for word in captions])
    if value["num_proximity"]:
        st.caption(f"{value['num_proximity']:,} pictures of a similar place, without labels:")
        others = value["proximity"]
        _pictures("similar", others, [""] * len(others), ["A similar picture"] * len(others))
    _classes(value)
    for note in value.get("notes", ()):
        st.caption(f":material/info: {note[:1].upper()}{note[1:]}.")


def class_rows(value: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Class, colour and pixels, the largest first; classes without a pixel stay in."""
    counts: Mapping[str, int] = value["counts"]
    total = sum(counts.values()) or 1
    return [
        {
            "Colour": f"data:image/svg+xml,{quote(SQUARE.format(value['colours'][name]))}",
            "Class": name,
            "Of the labelled pixels": 100 * count / total,
            "Pixels": amount(count),
        }
        for name, count in sorted(counts.items(), key=lambda one: -one[1])
    ]


def _classes(value: Mapping[str, Any]) -> None:
    rows = class_rows(value)
    empty = [row["Class"] for row in rows if row["Pixels"] == amount(0)]
    open_share = value["unlabelled"] / max(1, value["unlabelled"] + sum(value["counts"].values()))
    told = f"{len(rows)} classes in the {value['splits']['train']:,} pictures to learn from"
    told += f"; {open_share:.0%} of their pixels belong to none" if value["unlabelled"] else ""
    with st.expander(told, icon=":material/palette:", key="classes", expanded=len(rows) <= 12):
        st.dataframe(
            rows,
            hide_index=True,
            column_config={
                "Colour": st.column_config.ImageColumn(width="small"),
                "Of the labelled pixels": st.column_config.ProgressColumn(
                    format="%.1f %%", min_value=0, max_value=100
                ),
            },
            alt="How many pixels each class has",
        )
    if empty:
        st.warning(
            f"No pixel shows {', '.join(empty)}: the student cannot learn what it never sees.",
            icon=":material/visibility_off:",
        )


def _pictures(
    key: str, images: Sequence[str], captions: Sequence[str], alts: Sequence[str]
) -> None:
    with st.container(horizontal=True, gap="small", key=key):
        for image, caption, alt in zip(images, captions, alts, strict=True):
            st.image(
                f"data:image/png;base64,{image}",
                caption=caption or None,
                width=SHOWN_WIDTH,
                alt=alt,
            )
