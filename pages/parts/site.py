"""The pages and how to get from one to another."""

from __future__ import annotations

from pathlib import Path
from typing import NoReturn

import streamlit as st
from streamlit.navigation.page import StreamlitPage

PAGES = Path(__file__).resolve().parents[1]
ASSETS = PAGES.parent / "assets"
TITLES = {  # page -> title, icon
    "start": ("Start", ":material/home:"),
    "distill": ("Distill", ":material/science:"),
    "watch": ("Watch", ":material/monitoring:"),
    "runs": ("Runs", ":material/table_rows:"),
    "look": ("Look", ":material/visibility:"),
    "run": ("Run", ":material/description:"),
}


def page(name: str) -> StreamlitPage:
    """One of the pages above."""
    title, icon = TITLES[name]
    return st.Page(
        PAGES / f"{name}.py",
        title=title,
        icon=icon,
        url_path=name if name != "start" else None,
        default=name == "start",
        visibility="hidden" if name == "run" else "visible",
    )


def go(name: str, **query: str) -> NoReturn:
    """Open a page, as in go("watch", run=run_id)."""
    st.switch_page(page(name), query_params=query)


def link(name: str, label: str, icon: str | None = None, **query: str) -> None:
    """A link to a page."""
    st.page_link(page(name), label=label, icon=icon, query_params=query)
