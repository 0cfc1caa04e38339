"""The page, as Streamlit runs it. Start it with `make ui` (lungct ui), which sets address, limits and privacy."""

from __future__ import annotations

from typing import Any

import streamlit as st
from streamlit.runtime.uploaded_file_manager import UploadedFile

from lungct import NOTICE
from lungct.window import Window
from lungct_client import RefusedError, ServerError, TokenError
from lungct_tools.commandline import find_run
from lungct_tools.folder.modelfacts import tell_model, tell_never
from lungct_tools.folder.record import order_classes
from lungct_tools.folder.source import MAX_BYTES
from lungct_tools.page import markup
from lungct_tools.page.advice import explain_failure, explain_state
from lungct_tools.page.overview import AT, SERIES, choose_finding, make_csv
from lungct_tools.page.study import Study, analyze, connect
from lungct_tools.page.uploads import MAX_TOTAL, Upload, hash_content, unpack
from lungct_tools.page.viewer import TAGS, show_finding
from lungct_tools.server.choice import read_environment
from lungct_tools.server.status import describe

STUDY, CONTRACT, NOTES, ASKED, HASHES = "study", "contract", "notes", "asked", "hashes"  # session state


@st.cache_data(ttl=5, show_spinner=False)
def read_state() -> dict[str, Any]:
    """The server's state, asked for at most every few seconds, however many browsers look."""
    return describe(read_environment(find_run()))


@st.fragment(run_every=15)
def show_server() -> None:
    """The line that says whether the server is ready, and what to do when it is not."""
    state = read_state()
    colour = markup.READY if state["ready"] else markup.WAITING if state["live"] else markup.DOWN
    st.html(markup.show_state(explain_state(state), colour))


def ask_files() -> list[UploadedFile]:
    """What the person chose. Any name is allowed: DICOM files often have no suffix."""
    each, together = f"up to {MAX_BYTES >> 20} MB each", f"up to {MAX_TOTAL >> 20} MB"
    return st.file_uploader(
        f"CT slices: PNG, JPEG, TIFF, DICOM, {each}, or a ZIP of them, {together}",
        accept_multiple_files=True,
        key="files",
        help="They stay in memory until you close this tab; nothing is stored.",
    )


def identify(files: list[UploadedFile]) -> list[tuple[str, str]]:
    """What tells these files from any others: their content too, because IM0001 is the name of every patient's first.

    Each is hashed once, not in every run of the page.
    """
    known = st.session_state.get(HASHES, {})
    hashes = {file.file_id: known.get(file.file_id) or hash_content(file.getvalue()) for file in files}
    st.session_state[HASHES] = hashes
    return sorted((file.name, hashes[file.file_id]) for file in files)


def score(files: list[UploadedFile]) -> None:
    """Send everything to the server and keep what it says in this browser session."""
    read_state.clear()
    slices, notes = unpack([Upload(file.name, file.getvalue()) for file in files])
    client = connect(read_environment(find_run()))
    bar = st.progress(0.0, "Asking the server")
    try:
        contract = client.contract()
    except (ServerError, TokenError, RefusedError) as error:
        st.session_state[STUDY] = Study(failure=explain_failure(error))
    else:
        study = analyze(
            client,
            slices,
            Window(**contract["window"]),
            lambda done: bar.progress(done / len(slices), f"{done} of {len(slices)} slices"),
        )
        st.session_state[STUDY], st.session_state[CONTRACT] = study, contract
    bar.empty()
    st.session_state[NOTES] = notes
    st.session_state[ASKED] = identify(files)
    for choice in (AT, SERIES, TAGS):  # nor is the next patient's header shown because the last one's was
        st.session_state.pop(choice, None)


def show_study(study: Study) -> None:
    """All that came of it: failure first, then the findings."""
    if study.failure:
        st.error(study.failure, icon=":material/cloud_off:")
    for note in st.session_state[NOTES]:
        st.info(note)
    if not study.findings:
        return
    contract = st.session_state[CONTRACT]
    finding = choose_finding(study, order_classes(contract["classes"]))
    with st.expander(f"About this model. {tell_never(contract)}", icon=":material/info:"):
        st.html(markup.show_facts(tell_model(contract)))
    make_picture = show_finding(finding, contract)
    with st.container(horizontal=True):
        if make_picture:
            name = f"{finding.upload.stem}-heatmap.png"
            st.download_button(
                "Picture (PNG)", make_picture, name, "image/png", icon=":material/image:", on_click="ignore"
            )
        st.download_button(
            "All results (CSV)",
            lambda: make_csv(study, contract),
            f"lung-ct-scores-{study.mark}.csv",
            "text/csv",
            icon=":material/table:",
            on_click="ignore",
        )


def main() -> None:
    st.set_page_config("LungServe", page_icon=":material/pulmonology:", layout="wide")
    st.html(markup.STYLE)
    head, state = st.columns([7, 5], vertical_alignment="bottom")
    head.html(markup.show_head(NOTICE))
    with state, st.container(key="aside-state"):
        show_server()
    files = ask_files()
    if st.button("Analyze", type="primary", disabled=not files, icon=":material/search:"):
        score(files)
    if STUDY in st.session_state and st.session_state[ASKED] == identify(files):
        show_study(st.session_state[STUDY])
    elif STUDY in st.session_state and files:
        st.info("The files above have changed since: press Analyze to score them.")
    else:
        st.caption("Choose slices and press Analyze. No patient data is shown, and nothing is stored.")


main()
