"""A figure that answers a click: as `live_plot`, and it tells which cell was meant.

`st.plotly_chart` gives a click on a heat map no points, and with dots laid over it a tap on a
touch screen gives those of the tap before.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any

import streamlit as st

from pages.charts.colour import Figure
from pages.parts.live_plot import LOADER, plotly_address

_JS = (
    LOADER
    + """
export default function ({ data, parentElement, setTriggerValue }) {
  const box = parentElement.querySelector('.pick-plot')
  box.setAttribute('aria-label', data.alt)
  box.pick = (point) => setTriggerValue('picked', point.customdata ?? [point.y, point.x])
  if (box.dataset.version !== data.version) {
    box.dataset.version = data.version
    box.style.height = data.figure.layout.height + 'px'
    loaded(data.address).then(async (Plotly) => {
      if (box.dataset.version !== data.version) return
      const config = { responsive: true, displaylogo: false, displayModeBar: false }
      await Plotly.react(box, data.figure.data, data.figure.layout, config)
      if (box.dataset.listens) return
      box.dataset.listens = 'yes'
      box.on('plotly_click', (told) => box.pick(told.points[0]))
    })
  }
  return () => window.Plotly?.purge(box) // it listens to the window
}
"""
)


def pick_plot(figure: Figure, *, key: str, alt: str, on_pick: Callable[[Any], None]) -> None:
    """Draw a figure.

    Args:
        figure: data and layout; its height is fixed there.
        key: the element's name.
        alt: what the figure shows, in a sentence.
        on_pick: called with the `customdata` of the point or cell that was clicked; with its
            [y, x] where it has none.
    """
    layout = {**figure["layout"], "autosize": True}
    figure = {"data": figure["data"], "layout": layout}
    version = hashlib.sha256(json.dumps(figure, sort_keys=True).encode()).hexdigest()[:16]
    plot = st.components.v2.component(
        "pick_plot",
        html='<div class="pick-plot" role="img" style="width:100%; cursor:pointer"></div>',
        js=_JS,
        isolate_styles=False,
    )

    def tell() -> None:
        if picked := st.session_state[key].get("picked"):
            on_pick(picked)

    plot(
        key=key,
        data={"figure": figure, "version": version, "alt": alt, "address": plotly_address()},
        height=layout["height"],
        on_picked_change=tell,
    )
