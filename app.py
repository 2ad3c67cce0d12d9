"""The dashboard. The engine lives as long as the server: `streamlit run app.py`."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import streamlit as st

from engine.api import WorkspaceError, studio
from pages.parts.live_plot import plotly_route


@asynccontextmanager
async def lifespan(_: st.App) -> AsyncIterator[None]:
    """Start the engine before any tab; a workspace that is not ours can still be read."""
    with suppress(WorkspaceError):
        studio().start(demo=os.environ.get("DEMO", "1") != "0")
    yield
    with suppress(WorkspaceError):
        studio().stop()


app = st.App("pages/parts/frame.py", lifespan=lifespan, routes=[plotly_route()])
