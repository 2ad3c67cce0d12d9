"""Every live figure: Plotly.react on one lasting element, so zoom and hover survive a tick.

`st.plotly_chart` makes a new element whenever its data changes; this one does not.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import plotly
import streamlit as st
from starlette.responses import FileResponse
from starlette.routing import Route

from pages.charts.colour import Figure

_PLOTLY = Path(plotly.__file__).parent / "package_data" / "plotly.min.js"
_ADDRESS = "charts/plotly.min.js"
# Loads plotly.js once for all figures of a tab; `address` is relative to the page.
LOADER = """
const loaded = (address) => window.distillPlotly ??= new Promise((done, failed) => {
  const script = document.createElement('script')
  script.src = new URL(address, document.baseURI).href
  script.onload = () => done(window.Plotly)
  script.onerror = failed
  document.head.append(script)
})
"""
_JS = (
    LOADER
    + """
export default function ({ data, parentElement }) {
  const box = parentElement.querySelector('.live-plot')
  box.setAttribute('aria-label', data.alt)
  if (box.dataset.version !== data.version) {
    box.dataset.version = data.version
    box.style.height = data.figure.layout.height + 'px'
    loaded(data.address).then((Plotly) => {
      if (box.dataset.version !== data.version) return
      const config = { responsive: true, displaylogo: false, displayModeBar: 'hover',
        modeBarButtonsToRemove: ['select2d', 'lasso2d', 'autoScale2d'] }
      return Plotly.react(box, data.figure.data, data.figure.layout, config)
    })
  }
  return () => window.Plotly?.purge(box) // it listens to the window
}
"""
)


def plotly_route() -> Route:
    """Serves plotly.js from the Python package: no network, one copy in the browser's cache."""

    async def serve(_: object) -> FileResponse:
        headers = {"Cache-Control": f"public, max-age=604800, immutable, v={plotly.__version__}"}
        return FileResponse(_PLOTLY, media_type="text/javascript", headers=headers)

    return Route(f"/{_ADDRESS}", serve)


def plotly_address() -> str:
    """Where the page finds plotly.js; another version has another address."""
    return f"{_ADDRESS}?v={plotly.__version__}"


def live_plot(figure: Figure, *, key: str, alt: str, keep: str = "") -> None:
    """Draw a figure.

    Args:
        figure: data and layout; its height is fixed there.
        key: the element's name, the same at every tick.
        alt: what the figure shows, in a sentence.
        keep: while this stays the same, zoom and hidden curves are kept.
    """
    layout = {**figure["layout"], "uirevision": keep or key, "autosize": True}
    figure = {"data": figure["data"], "layout": layout}
    version = hashlib.sha256(json.dumps(figure, sort_keys=True).encode()).hexdigest()[:16]
    plot = st.components.v2.component(
        "live_plot",
        html='<div class="live-plot" role="img" style="width:100%"></div>',
        js=_JS,
        isolate_styles=False,
    )
    plot(
        key=key,
        data={"figure": figure, "version": version, "alt": alt, "address": plotly_address()},
        height=layout["height"],
    )
