"""What the page draws, orders, unpacks and says, without Streamlit."""

import csv
import io
import json
import socket
import time
import warnings
import zipfile

import pytest

from lungct import NOTICE
from lungct.gate.checks import GATE_OFF, LITTLE_LUNG, NO_GATE, OTHER_SCAN, SMOOTH, UNLIKE
from lungct.pipeline import Job
from lungct.pixels.image import decode
from lungct.settings import Settings
from lungct_client import Local, ServerError, ServerSilent
from lungct_tools.folder.header import find_place, list_tags
from lungct_tools.folder.modelfacts import tell_never
from lungct_tools.page import markup
from lungct_tools.page.advice import explain_decision, explain_failure, explain_state
from lungct_tools.page.examples import DRAWN, PICTURE, draw_example
from lungct_tools.page.overview import find_worst
from lungct_tools.page.picture import VIEWS
from lungct_tools.page.reading import tell_agreement
from lungct_tools.page.study import Finding, Study, connect, view
from lungct_tools.page.table import make_csv
from lungct_tools.page.uploads import MAX_SLICES, Upload, unpack
from lungct_tools.page.viewer import describe, describe_input
from lungct_tools.phantom.anatomy import draw_slice
from lungct_tools.phantom.files import encode_dicom
from lungct_tools.server.instance import Instance
from tests.support.dicoms import build_ct


@pytest.fixture(scope="module")
def dicom():
    return encode_dicom(draw_slice(3, "spiculated", 256))


def test_the_csv_carries_the_notice_in_every_line_and_quotes_no_tag(pipeline, slices, dicom):
    def score(body):
        return json.loads(pipeline.score([Job({"body": body}, {})]).replies[0].body)

    findings = [Finding(Upload("a.png", slices[0]), reply=score(slices[0]))]
    findings += [Finding(Upload("b", dicom), find_place(dicom), score(dicom))]
    findings += [Finding(Upload("c.txt", b"x"), error="unsupported_format", message="No.")]
    text = make_csv(Study(findings), json.loads(pipeline.describe()), {findings[0].key: "Benign"})
    lines = list(csv.DictReader(io.StringIO(text)))
    assert [line["file"] for line in lines] == ["a.png", "c.txt", "b"]
    assert {line["notice"] for line in lines} == {NOTICE}
    assert float(lines[0]["probability_Malignant"]) == findings[0].reply["probabilities"]["Malignant"]
    assert lines[1]["error"] == "unsupported_format"
    assert lines[0]["about_model"].startswith("Reports: ")
    assert [line["reading"] for line in lines] == ["Benign", "", ""]
    assert find_place(dicom).series not in text
    assert "PHANTOM" not in text


def test_a_dicom_series_runs_from_head_to_feet_whatever_the_names_are(dicom):
    place_ = find_place(dicom)
    assert place_.study
    findings = [Finding(Upload(name, b""), place_._replace(order=-z)) for name, z in (("a", 10.0), ("b", 30.0))]
    other = Finding(Upload("c", b""), place_._replace(series="1.2.3"))
    assert [[f.name for f in group] for group in Study([*findings, other]).series()] in (
        [["b", "a"], ["c"]],
        [["c"], ["b", "a"]],
    )


def test_pictures_of_no_series_keep_the_study_that_their_header_names(dicom):
    place_ = find_place(dicom)._replace(series="")
    alone = Finding(Upload("a", dicom, loose=True), place_, error="not_ct")
    assert (alone.row["study"], alone.row["series"]) == (alone.series[0], "")
    assert alone.row["study"]


def test_a_slice_with_little_lung_is_not_the_first_that_is_opened_however_suspicious():
    def scored(share, *warnings):
        reply = {"probabilities": {"Malignant": share}, "warnings": list(warnings)}
        return Finding(Upload("a", b""), reply=reply)

    refused = Finding(Upload("b", b""), error="not_ct")
    assert find_worst([refused, scored(0.99, LITTLE_LUNG), scored(0.2), scored(0.4)], "Malignant") == 4
    assert find_worst([refused, scored(0.1, LITTLE_LUNG), scored(0.9, LITTLE_LUNG)], "Malignant") == 3


def test_agreement_counts_what_was_read_and_names_the_slices_on_which_reader_and_model_differ():
    findings = [Finding(Upload(name, b""), reply={"label": "Normal"}) for name in "abcd"]
    findings.append(Finding(Upload("e", b""), error="not_ct"))
    assert tell_agreement(findings, {}) == ""
    verdicts = {"a": "Normal", "b": "Malignant", "c": "unsure", "e": "Normal"}
    readings = {finding.key: verdicts[finding.name] for finding in findings if finding.name in verdicts}
    told = "Your own reading: 3 of 5 slices read, 1 as the model, 1 otherwise (slice 2), 1 unsure."
    assert tell_agreement(findings, readings) == told


def test_slices_without_header_are_ordered_as_a_person_counts():
    names = [f"s{'9' * 5000}.png", "s010.png", "s9.png", "s1.png", "s0.png"]
    assert [f.name for f in Study([Finding(Upload(name, b"")) for name in names]).series()[0]] == names[::-1]


def test_a_name_with_a_raised_number_has_its_place_too():
    names = ["1²10.png", "1²2.png"]
    assert [f.name for f in Study([Finding(Upload(name, b"")) for name in names]).series()[0]] == names[::-1]


def test_a_series_of_refused_files_comes_after_those_that_were_scored(dicom):
    refused = Finding(Upload("readme.txt", b"x"), error="unsupported_format")
    scored = Finding(Upload("slice", dicom), find_place(dicom), {"label": "Normal"})
    assert Study([refused, scored]).series() == [[scored], [refused]]


def test_a_page_holds_a_limited_number_of_slices_and_names_the_way_for_more():
    found, notes = unpack([Upload(f"{number}", b"x") for number in range(MAX_SLICES + 5)])
    assert len(found) == MAX_SLICES
    assert "make score" in notes[0]


def test_a_damaged_member_is_a_row_and_a_damaged_zip_a_note_in_which_names_stay_text():
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("![x](http://tracker.example/p.png)", b"a" * 1000)
    broken = stream.getvalue().replace(b"a" * 1000, b"b" * 1000)
    found, notes = unpack([Upload("broken.zip", broken), Upload("fine.png", b"x")])
    assert [(upload_.name, bool(upload_.fault)) for upload_ in found] == [
        ("broken.zip/![x](http:/tracker.example/p.png)", True), ("fine.png", False),
    ]  # fmt: skip
    assert not notes
    _, notes = unpack([Upload("![x](http://tracker.example/p.png)", b"PK\x03\x04")])
    assert "pack it again" in notes[0]
    assert "![" not in notes[0]  # Markdown for a picture that the browser would fetch


@pytest.mark.parametrize("number", [["4", "2"], None])
def test_a_slice_whose_place_cannot_be_told_is_at_nought(number):
    with warnings.catch_warnings(action="ignore"):
        body = build_ct(InstanceNumber=number)
    assert find_place(body).order == 0


def test_headers_of_other_files_are_no_headers(slices):
    assert find_place(slices[0]) is None
    assert find_place(b"junk") is None
    assert list_tags(b"\0" * 128 + b"DICM" + b"\xff" * 50) == []


def test_a_server_that_hangs_holds_the_page_up_no_longer_than_a_person_waits(monkeypatch, tmp_path):
    monkeypatch.setattr("lungct_tools.page.study.DEADLINE_S", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        Instance(tmp_path, (silent.getsockname()[1],) * 5).write()
        started = time.monotonic()
        with pytest.raises(ServerSilent):
            connect(Local.read(tmp_path)).contract()
    assert time.monotonic() - started < 30


def test_every_state_and_decision_has_words():
    assert "busy" in explain_failure(ServerError("x"))
    loading = {"live": True, "ready": False, "reason": "0 of 1 workers are READY", "workers": [{}]}
    assert "may still be loading" in explain_state(loading)
    assert "make scale WORKERS=1" in explain_state({**loading, "workers": []})
    assert "Not running" in explain_state({**loading, "live": False, "workers": []})
    limits = {"Normal": 2.0, "Malignant": 0.5}
    sure = {"decision": "report", "label": "Malignant", "confidence": 0.9, "warnings": [UNLIKE]}
    assert explain_decision(sure, limits)[0] == "Report"
    assert "No limit" in explain_decision({**sure, "decision": "refer"}, {})[1]
    close = {**sure, "decision": "refer", "confidence": 0.99697}
    told = explain_decision(close, dict.fromkeys(limits, 0.996992))[1]
    assert "The confidence, 99.6%, is below this model's limit of 99.7%" in told
    for warning in (GATE_OFF, NO_GATE, OTHER_SCAN, LITTLE_LUNG):
        assert warning in explain_decision({**sure, "decision": "refer", "warnings": [warning]}, limits)[1]
    assert "below" in explain_decision({**sure, "decision": "refer", "confidence": 0.4}, limits)[1]
    assert "all of them" in explain_decision({**sure, "decision": "refer", "label": "Normal"}, limits)[1]
    assert "every slice" in explain_decision({**sure, "decision": "refer"}, dict.fromkeys(limits, 2.0))[1]
    assert "unlike" in explain_decision({**sure, "decision": "refer"}, limits)[1]
    assert "smoother" in explain_decision({**sure, "decision": "refer", "warnings": [SMOOTH]}, limits)[1]


def test_a_picture_that_is_kept_tells_what_the_page_tells(pipeline, slices):
    reply = json.loads(pipeline.score([Job({"body": slices[0]}, {})]).replies[0].body)
    contract = json.loads(pipeline.describe())
    lines = describe({**reply, "warnings": [UNLIKE, SMOOTH]}, "Malignant", contract, drawn=True)
    told = " ".join(lines)
    headline, reason = explain_decision(reply, contract["refer_below"])
    assert lines[:2] == [DRAWN, f"{headline.upper()}. {reason}"]
    for words in (f"Class {reply['label']} (", UNLIKE, SMOOTH, tell_never(contract), "no outline"):
        assert words in told
    assert DRAWN not in describe(reply, "", contract, drawn=False)
    assert all(upload.drawn for upload in draw_example(PICTURE))


@pytest.mark.parametrize(
    ("rule", "window", "said"),
    [
        ("as is", None, "PNG, 4 x 5, gray levels as in the file"),
        ("as is, resampled", None, "PNG, 4 x 5, gray levels as in the file, resampled"),
        ("model window, resampled", {"center": -500, "width": 1500}, "PNG, 4 x 5, window -500, 1500 HU, resampled"),
        ("stretch", None, "PNG, 4 x 5, values stretched to gray levels"),
    ],
)
def test_the_page_says_how_a_file_was_read(rule, window, said):
    assert describe_input({"format": "PNG", "rows": 4, "columns": 5, "window": window, "rule": rule}) == said


def test_what_comes_from_outside_is_escaped():
    evil = "<script>alert(1)</script>"
    pieces = (
        markup.show_class(evil, 0.5),
        markup.show_bars({evil: 0.5}, evil, [evil]),
        markup.show_facts({evil: evil}),
        markup.show_scale([], evil),
        markup.show_state(evil, "red"),
        markup.show_decision("refer", evil, evil),
        markup.show_verdict(evil, evil, evil, evil),
        markup.show_warnings([evil]),
    )
    assert not any("<script" in piece for piece in pieces)


def test_a_slice_is_looked_at_as_the_model_sees_it_unless_another_window_is_chosen(dicom, pipeline):
    default = pipeline.contract.window
    seen = decode(dicom, None, None, default, Settings()).pixels
    assert (view(Upload("a", dicom), None, default).pixels == seen).all()
    assert (view(Upload("a", dicom), VIEWS["Bone"], default).pixels != seen).any()
    assert view(Upload("a", b"junk"), None, default) is None
