"""Cards of images that can be clicked, and reached by key."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

import streamlit as st

from pages.charts.answers_cards import CSS

_JS = """
export default function ({ data, parentElement, setTriggerValue }) {
  const box = parentElement.querySelector('.answer-cards')
  if (box.dataset.version !== data.version) {
    box.dataset.version = data.version
    box.innerHTML = data.html
  }
  box.onclick = (event) => {
    const card = event.target.closest('[data-row]')
    if (card) setTriggerValue('opened', card.dataset.row)
  }
}
"""


def answer_cards(
    cards: Sequence[str], *, key: str, on_open: Callable[[int], None] | None = None
) -> None:
    """Draw cards beside and below each other, as many in a line as there is room for.

    Args:
        cards: HTML of each, in which all text is escaped.
        key: the element's name.
        on_open: called with the row of a card that was clicked.
    """
    html = "".join(cards)
    draw = st.components.v2.component(
        "answer_cards", html='<div class="answer-cards"></div>', css=CSS, js=_JS
    )

    def tell() -> None:
        opened = st.session_state[key].get("opened")
        if opened is not None and on_open is not None:
            on_open(int(opened))

    version = hashlib.sha256(html.encode()).hexdigest()[:16]
    draw(key=key, data={"html": html, "version": version}, on_opened_change=tell)


def address(path: str) -> str:
    """A picture's file as an address that needs no server; empty where the file is gone."""
    try:
        return f"data:image/png;base64,{base64.b64encode(Path(path).read_bytes()).decode()}"
    except OSError:
        return ""
