"""The main script: it frames every page with navigation, status and the choice of voice."""

from __future__ import annotations

import streamlit as st

from pages.parts import site
from pages.parts.status_strip import status_strip

st.set_page_config(
    page_title="Distill Studio",
    page_icon=str(site.ASSETS / "logo.svg"),
    layout="wide",
)
st.logo(str(site.ASSETS / "logo-wide.svg"), icon_image=str(site.ASSETS / "logo.svg"), size="large")
st.html(site.ASSETS / "frame.css")
chosen = st.navigation([site.page(name) for name in site.TITLES])
if chosen.url_path != "watch":
    st.session_state.pop("watch_shown", None)  # a stop keeps Watch at its run only there
with st.sidebar:
    status_strip()
    st.segmented_control(
        "Voice",
        ["guided", "expert"],
        default="guided",
        required=True,
        key="mode",
        bind="query-params",
        help="Guided asks in sentences, Expert shows every setting. Switching loses nothing.",
        width="stretch",
    )
chosen.run()
