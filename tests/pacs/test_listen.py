"""From dcmtk's storescu to a result in Orthanc, by real programs."""

import io
import json
import os
import shutil
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest
import requests
from pydicom import dcmread, uid
from pynetdicom import AE

from lungct_tools import ROOT
from lungct_tools.commandline import compose
from lungct_tools.pacs.command import main
from lungct_tools.pacs.commitment import Commitments
from lungct_tools.pacs.listen import Listener
from lungct_tools.pacs.spool import Spool, hash_name
from lungct_tools.phantom.series import name_uid
from tests.pacs.conftest import write
from tests.support.dicoms import LOSSLESS, build_of, save
from tests.support.listening import Listening, listening
from tests.support.series import draw_series, name_slice, refused_slice

pytestmark = [pytest.mark.ops, pytest.mark.server]
if not shutil.which("storescu"):
    pytestmark.append(pytest.mark.skip(reason="dcmtk is not installed: apt-get install dcmtk"))


def rows_of(listener, body):
    """What the listener says of a slice: its rows by the journal of its series."""
    header = dcmread(io.BytesIO(body), stop_before_pixels=True)
    command = [*compose("pacs"), "status", "--identify", "--json", "--spool"]
    status = subprocess.run([*command, str(listener.spool)], cwd=ROOT, capture_output=True, text=True, check=True)
    return [s for s in json.loads(status.stdout)["series"] if s.get("series_uid") == header.SeriesInstanceUID]


def test_a_series_sent_by_storescu_has_one_result_in_the_archive(listener, archive, tmp_path, wait_for):
    files = (*draw_series(4), refused_slice())
    assert listener.send(*write(tmp_path, files)).returncode == 0
    wait_for(lambda: archive.results().get("report"), "the report stands in Orthanc")
    wait_for(lambda: len(listener.events("sent")) == 1, "the journal says so")
    found = archive.results()
    assert {kind: len(uids) for kind, uids in found.items()} == {"report": 1, "map": 1, "capture": 3}
    (built,) = listener.events("built")
    assert built["slices"] == 5


def test_a_slice_that_comes_late_makes_a_second_version_and_one_that_comes_again_none(
    listener, archive, tmp_path, wait_for
):
    paths = write(tmp_path, draw_series(3, name="late"))
    for path in paths[:2]:  # an association a slice
        assert listener.send(path).returncode == 0
    series = hash_name(name_uid("study", "late"), name_uid("series", "late"))

    def list_sizes(event):  # a slow machine may take the first two for a series each
        return [line.get("slices") for line in listener.events(event) if line["series"] == series]

    wait_for(lambda: 2 in list_sizes("built") and len(list_sizes("sent")) == len(list_sizes("built")), "a version of 2")
    assert listener.send(*paths).returncode == 0
    wait_for(lambda: 3 in list_sizes("built") and len(list_sizes("sent")) == len(list_sizes("built")), "one of 3")
    sizes = list_sizes("built")
    assert sizes == sorted(set(sizes))
    assert len(archive.results()["report"]) == len(sizes)
    assert listener.send(*paths).returncode == 0
    assert [row["state"] for row in rows_of(listener, paths[0].read_bytes())] == ["sent"]  # an accepted one opens it


def test_an_association_that_stays_open_keeps_no_series_open(listener, wait_for):
    node, files = AE(), draw_series(3, name="slow")
    node.add_requested_context(uid.CTImageStorage, uid.ExplicitVRLittleEndian)
    link = node.associate("127.0.0.1", listener.port)
    series = hash_name(name_uid("study", "slow"), name_uid("series", "slow"))

    def send(*bodies):
        return [link.send_c_store(dcmread(io.BytesIO(body))).Status for body in bodies]

    def is_built(slices):
        return slices in [line["slices"] for line in listener.events("built") if line["series"] == series]

    assert send(*files[:2]) == [0, 0]
    wait_for(lambda: is_built(2), "a version of 2 while the sender pauses")
    assert send(files[2]) == [0]
    wait_for(lambda: is_built(3), "one of 3")
    link.release()


@pytest.mark.parametrize(("syntax", "option"), [(uid.JPEG2000Lossless, "-xv"), (uid.JPEGLSLossless, "-xt")])
def test_storescu_sends_compressed_slices(listener, tmp_path, syntax, option):
    data = dcmread(io.BytesIO(draw_series(1, name=option)[0]))
    data.compress(syntax, encoding_plugin="pyjpegls" if option == "-xt" else "pylibjpeg", generate_instance_uid=False)
    (path,) = write(tmp_path, (save(data),))
    sent = listener.send(path, options=(option,))
    assert sent.returncode == 0, sent.stderr


def test_every_transfer_syntax_that_we_read_is_taken(listener, wait_for):
    node, bodies = AE(), []
    syntaxes = [*LOSSLESS, uid.JPEGBaseline8Bit, uid.JPEGExtended12Bit, uid.HTJ2KLossless, uid.HTJ2K]
    for syntax in syntaxes:
        bodies.append(name_slice(build_of(syntax)[0], "syntaxes", syntax))
        node.add_requested_context(uid.CTImageStorage, syntax)
    link = node.associate("127.0.0.1", listener.port)
    for body in bodies:
        assert link.send_c_store(dcmread(io.BytesIO(body))).Status == 0
    link.release()
    wait_for(lambda: [s for s in rows_of(listener, bodies[0]) if s["slices"] == s["scored"] == len(bodies)], "rows")


def test_other_classes_are_not_taken(listener, tmp_path):
    data = dcmread(io.BytesIO(draw_series(1, name="mr")[0]))
    data.SOPClassUID = data.file_meta.MediaStorageSOPClassUID = uid.MRImageStorage
    (path,) = write(tmp_path, (save(data),))
    sent = listener.send(path)
    assert sent.returncode != 0
    assert "No presentation context" in sent.stdout + sent.stderr


def test_what_a_peer_says_it_sends_must_be_what_it_sends(listener, tmp_path):
    liar = dcmread(io.BytesIO(draw_series(1, name="liar")[0]))
    liar.file_meta.MediaStorageSOPInstanceUID = "2.25.7"
    unnamed = dcmread(io.BytesIO(draw_series(1, name="unnamed")[0]))
    del unnamed.SeriesInstanceUID
    paths = write(tmp_path, (save(liar, enforce_file_format=False), save(unnamed)))
    node = AE()
    node.add_requested_context(uid.CTImageStorage, uid.ExplicitVRLittleEndian)
    link = node.associate("127.0.0.1", listener.port)
    assert [link.send_c_store(path).Status for path in paths] == [0xA900, 0xC000]
    link.release()


def test_neither_journal_nor_names_nor_status_tell_who_it_is(listener, capsys):
    assert main(["status", "--spool", str(listener.spool)]) == 0
    told = (listener.spool / "journal.jsonl").read_text() + capsys.readouterr().out
    # os.walk passes over what is gone by then: the listener is at work
    paths = [Path(root, name) for root, *names in os.walk(listener.spool) for name in ("", *sum(names, []))]
    assert len(paths) > 10
    told += " ".join(map(str, paths)) + (listener.spool / "numbers.json").read_text()
    assert not any(word in told for word in ("PHANTOM", "2.25.", "CT1"))
    for path in paths:
        with suppress(FileNotFoundError):  # it has another name by now
            assert not path.stat().st_mode & 0o077, path


def test_echo_is_answered(listener):
    assert subprocess.run(["echoscu", *listener.peer, str(listener.port)], check=False, timeout=30).returncode == 0


def test_results_go_out_by_c_store_and_a_second_process_is_refused_the_spool(
    server, archive, tmp_path, wait_for, capsys
):
    spool = tmp_path / "spool"
    with listening(server.run, spool, "--to", archive.peer) as found, archive.reaching(found.port):
        assert main(["listen", "--spool", str(spool), "--port", "0", "--run", str(server.run)]) == 2
        assert "Another process uses the spool" in capsys.readouterr().err
        assert found.send(*write(tmp_path / "in", draw_series(3, name="c-store"))).returncode == 0
        wait_for(lambda: archive.results().get("report"), "the report stands in Orthanc")
        wait_for(lambda: [line["committed"] for line in found.events("sent")] == [True], "Orthanc promised to keep it")
    built = {data.SOPInstanceUID: data for data in map(dcmread, spool.glob("series/*/out/1/*.dcm"))}
    stored = {kind: built.keys() & set(uids) for kind, uids in archive.results().items()}  # others may come meanwhile
    assert {kind: len(uids) for kind, uids in stored.items()} == {"report": 1, "map": 1, "capture": 3}
    (report,) = stored["report"]
    assert dcmread(io.BytesIO(fetch(archive, report))) == built[report]


def fetch(archive, uid):
    """Bytes of an object in Orthanc."""
    address = f"http://127.0.0.1:{archive.http}"
    (found,) = requests.post(f"{address}/tools/lookup", uid, timeout=30).json()
    return requests.get(f"{address}/instances/{found['ID']}/file", timeout=30).content


def test_a_full_spool_answers_out_of_resources(tmp_path):
    with Spool(tmp_path / "spool", 100_000) as spool:
        taken = []
        listener = Listener(spool, lambda *slices: taken.append(slices), Commitments(), "LUNGCT", ("127.0.0.1", 0))
        found = Listening(None, listener.port, spool.root)
        sent = found.send(*write(tmp_path / "in", draw_series(1)), options=("-v",))
        listener.close()
        assert "Refused: OutOfResources" in sent.stdout + sent.stderr
        assert found.events("full")
        assert not taken


OPEN = (
    ["--address", "192.0.2.1"],
    ["--to", "http://192.0.2.1/dicom-web"],
    ["--to", "A@192.0.2.1:1"],
    ["--to", "nonsense"],
    ["--tls-cert", "x.pem"],
)


@pytest.mark.parametrize("options", OPEN)
def test_what_would_be_open_to_the_network_does_not_start(tmp_path, options, capsys):
    assert main(["listen", "--spool", str(tmp_path / "spool"), "--port", "0", *options]) == 2
    assert capsys.readouterr().err.startswith("pacs: ")
    assert not (tmp_path / "spool").exists()


def make_certificate(folder, name):
    """A key and a certificate of its own."""
    key, cert = folder / f"{name}.key", folder / f"{name}.pem"
    make = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-days",
        "2",
    ]
    subprocess.run([*make, "-subj", f"/CN={name}", "-keyout", key, "-out", cert], check=True, capture_output=True)
    return key, cert


def test_with_tls_only_a_client_with_a_known_certificate_sends_slices(server, tmp_path, wait_for):
    keys = {name: make_certificate(tmp_path, name) for name in ("us", "friend", "stranger")}
    tls = ("--tls-key", str(keys["us"][0]), "--tls-cert", str(keys["us"][1]), "--tls-ca", str(keys["friend"][1]))
    files = write(tmp_path / "in", draw_series(2, name="tls"))
    with listening(server.run, tmp_path / "spool", *tls) as found:
        trusting = ("+cf", str(keys["us"][1]))
        senders = {
            "plain": (),
            "without a certificate": ("+tla", *trusting),
            "stranger": ("+tls", *map(str, keys["stranger"]), *trusting),
            "friend": ("+tls", *map(str, keys["friend"]), *trusting),
        }
        sent = {name: found.send(*files, options=("-to", "5", *options)) for name, options in senders.items()}
        assert {name for name, each in sent.items() if each.returncode == 0} == {"friend"}, sent
        wait_for(lambda: [line["slices"] for line in found.events("built")] == [2], "a result of the two slices")
        echo = ["echoscu", "-to", "5", *senders["friend"], *found.peer, str(found.port)]
        assert subprocess.run(echo, check=False, timeout=60, capture_output=True).returncode == 0
