"""Series out of a real Orthanc by DICOMweb, and archives that misbehave."""

import io
import json
import subprocess
from urllib.parse import parse_qsl, urlsplit

import pytest
from dicomweb_client import DICOMwebClient
from pydicom import dcmread, uid

from lungct_tools import ROOT
from lungct_tools.commandline import compose
from lungct_tools.pacs import dicomweb, pull
from lungct_tools.pacs.command import main
from lungct_tools.pacs.dicomweb import ArchiveError, DicomWeb
from lungct_tools.pacs.spool import Spool
from lungct_tools.phantom.series import name_uid
from tests.support.built import build, encode
from tests.support.dicoms import build_of
from tests.support.peers import reply, web
from tests.support.series import draw_series, name_slice

pytestmark = pytest.mark.ops
STUDY, OTHER = draw_series(3, name="pulled"), draw_series(1, name="not asked for", StudyDate="20240506")


@pytest.fixture
def filled(archive):
    for body in (*STUDY, *OTHER):
        archive.add(body)
    return archive


@pytest.fixture
def spool(tmp_path):
    with Spool(tmp_path / "spool", 10**9) as found:
        yield found


def fetch(archive, spool, **filters):
    came = []
    counts = pull.pull(DicomWeb(archive.web), filters, spool, lambda series, name: came.append(series.read(name)))
    return dict(counts), came


def test_a_study_comes_as_the_bytes_that_the_archive_holds(filled, spool):
    counts, came = fetch(filled, spool, StudyInstanceUID=name_uid("study", "pulled"))
    assert counts == {"fetched": 3}
    kept = {filled.ask(f"/instances/{each}/tags?simplify")["SOPInstanceUID"]: each for each in filled.ask("/instances")}
    assert len(kept) == 4
    assert {body[-1000:] for body in came} == {body[-1000:] for body in STUDY}


def test_what_is_there_is_not_asked_for_again(filled, spool):
    fetch(filled, spool, StudyInstanceUID=name_uid("study", "pulled"))
    counts, came = fetch(filled, spool)
    assert counts == {"known": 3, "fetched": 1}
    assert len(came) == 1


def test_studies_are_found_by_date(filled, spool):
    assert fetch(filled, spool, StudyDate="20240501-20240531")[0] == {"fetched": 1}


@pytest.mark.parametrize("syntax", [uid.JPEG2000Lossless, uid.JPEGLSLossless, uid.HTJ2KLossless])
def test_compressed_slices_come_in_their_own_syntax(archive, spool, syntax):
    body = name_slice(build_of(syntax)[0], f"pull {syntax}")
    archive.add(body)
    counts, came = fetch(archive, spool)
    assert counts == {"fetched": 1}
    assert syntax.encode() in came[0][:1000]


def test_other_modalities_and_our_own_results_are_left(archive, spool, assess):
    for body in STUDY:
        archive.add(body)
    for data in build(assess(STUDY), {}):
        archive.add(encode(data))
    assert fetch(archive, spool)[0] == {"fetched": 3}


def test_what_a_client_of_others_fetches_is_what_we_stored(archive, assess):
    found = build(assess(STUDY), {})
    DicomWeb(archive.web).store(found[0].StudyInstanceUID, [encode(data) for data in found])
    client = DICOMwebClient(archive.web)
    for data in found:
        fetched = client.retrieve_instance(data.StudyInstanceUID, data.SeriesInstanceUID, data.SOPInstanceUID)
        assert fetched == dcmread(io.BytesIO(encode(data)))


def listing(instance, study="1.2", series="1.3"):
    """What an archive would say of one study with one instance."""

    def answer(handler):
        path = handler.path.partition("?")[0]
        if path.endswith("/studies"):
            found = {"0020000D": {"vr": "UI", "Value": [study]}}
        elif path.endswith("/series"):
            found = {"0020000E": {"vr": "UI", "Value": [series]}}
        elif path.endswith("/instances"):
            found = {"00080018": {"vr": "UI", "Value": [instance]}}
        else:
            return reply(200, STUDY[0])(handler)
        return reply(200, json.dumps([found]).encode())(handler)

    return answer


def test_an_instance_that_is_another_than_was_asked_for_is_not_taken(spool):
    with web(listing("1.4")) as (address, _):
        counts = pull.pull(DicomWeb(address), {}, spool, lambda *_: pytest.fail("it was taken"))
    assert counts == {"mislabelled": 1}
    assert not list(spool.series())


@pytest.mark.parametrize("uid", ["../../../admin", "1.2/..", "", "1.2?x=y", "9" * 65])
def test_what_is_no_uid_becomes_no_address(spool, uid):
    with web(listing(uid)) as (address, asked):
        assert not pull.pull(DicomWeb(address), {}, spool, lambda *_: None)
    assert len(asked) == 3


def name_studies(*uids):
    return [{"0020000D": {"vr": "UI", "Value": [uid]}} for uid in uids]


@pytest.mark.parametrize("knows_offset", [True, False])
def test_a_long_list_is_asked_for_page_by_page_and_an_archive_that_knows_no_offset_is_not_asked_for_ever(
    monkeypatch, knows_offset
):
    monkeypatch.setattr(dicomweb, "PAGE", 2)
    studies = name_studies("1.2", "1.02", "1.4")  # a leading zero: no UID by the book, and there are such

    def answer(handler):
        asked = dict(parse_qsl(handler.path.partition("?")[2]))
        first = int(asked["offset"]) if knows_offset else 0
        reply(200, json.dumps(studies[first : first + 2]).encode())(handler)

    with web(answer) as (address, asked):
        assert DicomWeb(address).search({"StudyDate": "20240101-"}) == studies[: 3 if knows_offset else 2]
    assert len(asked) == 2


def test_what_lies_below_a_uid_with_a_leading_zero_can_be_asked_for():
    with web(reply(204)) as (address, asked):
        assert DicomWeb(address).search({"Modality": "CT"}, "1.02") == []
    assert len(asked) == 1


@pytest.mark.parametrize("body", [b"no JSON", b'"a word"', b"7"])
def test_an_answer_that_is_no_list_ends_the_search(body):
    with web(reply(200, body)) as (address, _), pytest.raises(ArchiveError):
        DicomWeb(address).search({})


def test_an_archive_is_told_the_port_that_it_was_asked_at():
    hosts = []

    def answer(handler):
        hosts.append(handler.headers["Host"])
        reply(204)(handler)

    with web(answer) as (address, _):
        DicomWeb(address).search({})
    assert hosts == [urlsplit(address).netloc]


def test_an_archive_that_fails_for_a_moment_is_asked_again_and_one_that_stays_away_ends_it(spool, monkeypatch):
    monkeypatch.setattr(pull, "PAUSE_S", 0.01)
    failures = [503, 503]

    def answer(handler):
        reply(failures.pop() if failures else 204)(handler)

    with web(answer) as (address, asked):
        assert not pull.pull(DicomWeb(address), {}, spool, lambda *_: None)
        assert len(asked) == 3
    with pytest.raises(ArchiveError, match="does not answer"):
        pull.pull(DicomWeb(address), {}, spool, lambda *_: None)


@pytest.mark.server
def test_pull_brings_results_back_to_the_archive_and_a_second_one_finds_nothing_to_do(server, filled, tmp_path):
    command = [*compose("pacs"), "pull", filled.web, "--study", name_uid("study", "pulled")]
    for told in ("3 fetched", "3 known"):
        done = subprocess.run(
            [*command, "--run", str(server.run), "--spool", str(tmp_path / "spool")],
            cwd=ROOT, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert told in done.stdout
        assert {kind: len(uids) for kind, uids in filled.results().items()} == {"report": 1, "map": 1, "capture": 3}


def test_an_archive_beyond_this_machine_is_asked_over_https_only(tmp_path, capsys):
    assert main(["pull", "http://192.0.2.1/dicom-web", "--spool", str(tmp_path / "spool")]) == 2
    assert "https" in capsys.readouterr().err
