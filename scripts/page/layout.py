"""The page, as Streamlit runs it. Start it with `make ui` (lungct ui), which sets address, limits and privacy."""

from __future__ import annotations

import gc
from collections.abc import Sequence
from typing import Any

import streamlit as st
from streamlit.delta_generator import DeltaGenerator
from streamlit.runtime.uploaded_file_manager import UploadedFile

from lungct import NOTICE
from lungct.window import Window
from lungct_client import RefusedError, ServerError, TokenError
from lungct_tools.commandline import find_run
from lungct_tools.folder.modelfacts import tell_model, tell_never
from lungct_tools.folder.record import order_classes
from lungct_tools.folder.source import MAX_BYTES
from lungct_tools.page import examples, markup
from lungct_tools.page.advice import explain_failure, explain_state
from lungct_tools.page.curve import show_curve
from lungct_tools.page.lightbox import Spot
from lungct_tools.page.overview import AT, SERIES, choose_finding, choose_series, go, show_verdict
from lungct_tools.page.reading import READINGS, is_new, recall_readings, tell_agreement
from lungct_tools.page.study import Finding, Study, analyze, connect
from lungct_tools.page.table import make_csv, show_table
from lungct_tools.page.uploads import MAX_SLICES, MAX_TOTAL, Upload, hash_content, unpack
from lungct_tools.page.viewer import TAGS, show_finding
from lungct_tools.page.waiting import Waiting
from lungct_tools.server.choice import read_environment
from lungct_tools.server.status import describe

STUDY, CONTRACT, NOTES, ASKED = "study", "contract", "notes", "asked"  # session state
FILES, HASHES = "files", "hashes"  # also session state
INSTEAD = "The files above were not scored: press Analyze."  # an example was, while files were chosen
PRIVACY = (
    "Slices stay in memory until you close this tab and go to the server only; neither stores them. Nothing of a DICOM "
    "header is shown unless you ask for it."
)


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
    st.file_uploader(
        "CT slices: PNG, JPEG, TIFF, DICOM, or a ZIP of them. "
        f"At most {MAX_SLICES:,} slices of {MAX_BYTES >> 20} MB each, {MAX_TOTAL >> 20} MB in all",
        accept_multiple_files=True,
        key=FILES,
    )
    return find_files()


def find_files() -> list[UploadedFile]:
    """The files that are chosen, whose bytes Streamlit holds; the uploader itself returns a copy of them all."""
    return [file for file in st.session_state.get(FILES, []) if isinstance(file, UploadedFile)]


def identify(files: list[UploadedFile]) -> list[tuple[str, str]]:
    """What tells these files from any others: their content too, because IM0001 is the name of every patient's first.

    Each is hashed once, not in every run of the page.
    """
    known = st.session_state.get(HASHES, {})
    hashes = {file.file_id: known.get(file.file_id) or hash_content(file.getvalue()) for file in files}
    st.session_state[HASHES] = hashes
    return sorted((file.name, hashes[file.file_id]) for file in files)


def score(place: DeltaGenerator, slices: Sequence[Upload], notes: list[str]) -> None:
    """Send everything to the server and keep what it says in this browser session.

    Args:
        place: for what there is to see meanwhile.
    """
    read_state.clear()
    client = connect(read_environment(find_run()))
    try:
        contract = client.contract()
    except (ServerError, TokenError, RefusedError) as error:
        st.session_state[STUDY] = Study(failure=explain_failure(error))
    else:
        waiting = Waiting(place, len(slices), contract)
        study = analyze(client, slices, Window(**contract["window"]), waiting.advance)
        st.session_state[STUDY], st.session_state[CONTRACT] = study, contract
    gc.collect()
    gc.freeze()  # Streamlit has all objects collected after each run: the tenth of a second would hold up every slice
    st.session_state[NOTES] = notes
    for choice in (AT, SERIES, TAGS, READINGS):  # nor is the next patient's header shown because the last one's was
        st.session_state.pop(choice, None)


def start(place: DeltaGenerator) -> None:
    """Let the person choose files or an example, and score them; meanwhile something is drawn into `place`."""
    files = ask_files()
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        analyzing = st.button("Analyze", type="primary", disabled=not files, icon=":material/search:")
        st.markdown("or try")
        picked = [name for name in (examples.SERIES, examples.PICTURE) if st.button(name, icon=":material/draw:")]
    st.caption(PRIVACY)
    if analyzing:
        score(place, *unpack([Upload(file.name, file.getvalue()) for file in files]))
    elif picked:
        score(place, examples.draw_example(picked[0]), [f"{examples.DRAWN} {INSTEAD}" if files else examples.DRAWN])
    else:
        return
    st.session_state[ASKED] = identify(files)
    st.rerun()  # what was chosen folds away


def show_notes() -> None:
    """What was left out; of a damaged ZIP that is all that there is to say."""
    with st.container(key="notes"):
        for note in st.session_state[NOTES]:
            st.markdown(note)


def show_study(study: Study) -> None:
    """All that came of it: the series' verdict first, then the slice, then all slices as a table."""
    classes = order_classes(st.session_state[CONTRACT]["classes"])
    group = choose_series(study)
    if len(group) > 1:
        show_verdict(group, classes)
    show_slice(study, group, classes)
    if len(group) > 1:
        with st.expander(f"All {len(group)} slices as a table", icon=":material/table:"):
            show_table(group, classes, recall_readings(), go)


@st.fragment
def show_slice(study: Study, group: list[Finding], classes: tuple[str, ...]) -> None:
    """The slice that the person chose, and what there is to download, drawn by themselves."""
    if is_new():
        st.rerun()  # readings stand in the table, too
    with st.container(key="slice"):
        show_chosen(study, group, classes)


def show_chosen(study: Study, group: list[Finding], classes: tuple[str, ...]) -> None:
    """All that is drawn anew with another slice."""
    contract, readings = st.session_state[CONTRACT], recall_readings()
    finding = choose_finding(group, classes)

    def show_beside() -> None:
        if len(group) > 1 and finding.in_series:
            show_curve(group, classes[-1], st.session_state[AT])
        if told := tell_agreement(group, readings):
            st.caption(told)

    series = f"{study.token} {st.session_state.get(SERIES, 0)}"
    spot = Spot(st.session_state[AT], series, series, len(group))
    make_picture = show_finding(group, spot, contract, show_beside)
    with st.container(key="keep", horizontal=True):
        if make_picture:
            name = f"{finding.upload.stem}-heatmap.png"
            st.download_button(
                "Picture (PNG)", make_picture, name, "image/png", icon=":material/image:", on_click="ignore"
            )
        st.download_button(
            "All results (CSV)",
            lambda: make_csv(study, contract, readings),
            f"lung-ct-scores-{study.mark}.csv",
            "text/csv",
            icon=":material/table:",
            on_click="ignore",
        )


def find_study() -> Study | None:
    """What was scored last, files or an example, while the chosen files stay the same; None before that and after."""
    same = st.session_state.get(ASKED) == identify(find_files())
    return st.session_state[STUDY] if same else None


def main() -> None:
    st.set_page_config("LungServe", page_icon=markup.ICON, layout="wide")
    st.html(markup.STYLE)
    head, state = st.columns([7, 5], vertical_alignment="bottom")
    head.html(markup.show_head(NOTICE))
    with state, st.container(key="aside-state"):
        show_server()
    study = find_study()
    shown = study is not None and bool(study.findings)
    choose, about = st.columns(2) if shown else (st.container(), None)
    folded = choose.expander("Files", expanded=not shown, icon=":material/upload_file:")
    place = st.empty()
    with folded:
        start(place)
    if about:
        contract = st.session_state[CONTRACT]
        with about, st.expander(f"About this model. {tell_never(contract)}", icon=":material/info:"):
            st.html(markup.show_facts(tell_model(contract)))
    if study and study.failure:
        st.error(study.failure, icon=":material/cloud_off:")
    if study:
        show_notes()
    if study and study.findings:
        show_study(study)
    elif not study and ASKED in st.session_state and find_files():
        st.info("The files above have changed since: press Analyze to score them.")


main()
