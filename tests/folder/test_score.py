"""A folder scored over night: what is written, and that no interruption loses or repeats anything."""

import csv
import json
import signal
import subprocess
import sys
import zipfile

import pyarrow.parquet as pq
import pytest

from lungct import NOTICE
from lungct_client import Local
from lungct_tools import ROOT
from lungct_tools.commandline import compose
from lungct_tools.folder.fleet import Fleet
from lungct_tools.folder.header import find_place
from lungct_tools.folder.journal import Journal
from lungct_tools.folder.rollup import RULE
from lungct_tools.phantom.anatomy import draw_slice
from lungct_tools.phantom.files import encode_dicom
from lungct_tools.server.instance import Instance, find_ports
from tests.conftest import run_script
from tests.support.calls import wait_until

CLASSES = ("Normal", "Benign", "Malignant")


@pytest.fixture
def scans(tmp_path, slices):
    """A folder: a DICOM slice, pictures in a folder below, one file that is no image, and noise."""
    root = tmp_path / "scans"
    (root / "below").mkdir(parents=True)
    (root / "slice.dcm").write_bytes(encode_dicom(draw_slice(1, "smooth", 256)))
    for number, body in enumerate(slices):
        (root / "below" / f"{number}.png").write_bytes(body)
    (root / "below" / "report.txt").write_text("no image")
    (root / ".hidden").write_text("noise")
    return root


@pytest.mark.server
def test_a_folder_becomes_tables_series_overlays_and_a_summary(server, client, scans, tmp_path):
    out = tmp_path / "out"
    done = run_script("score", scans, out, "--run", server.run, "--heatmap", "always", "--json")
    assert done.returncode == 1, done.stderr
    totals = json.loads(done.stdout)
    assert (totals["slices"], totals["errors"], totals["series"]) == (6, {"unsupported_format": 1}, 2)
    lines = list(csv.DictReader((out / "slices.csv").open()))
    assert [line["file"] for line in lines] == [
        "slice.dcm", "below/0.png", "below/1.png", "below/2.png", "below/3.png", "below/report.txt",
    ]  # fmt: skip
    assert {line["notice"] for line in lines} == {NOTICE}
    for line in lines[:5]:
        reply = client.predict((scans / line["file"]).read_bytes())
        assert line["label"] == reply["label"]
        assert float(line["probability_Malignant"]) == pytest.approx(reply["probabilities"]["Malignant"], abs=2e-5)
        assert line["sha256"] == reply["input"]["sha256"]
    table = pq.read_table(out / "slices.parquet")
    assert table.column("file").to_pylist() == [line["file"] for line in lines]
    assert table.column("label").to_pylist()[-1] is None
    assert table.schema.metadata[b"notice"] == NOTICE.encode()
    written = [line["overlay"] for line in lines if line["overlay"]]
    assert all((out / name).read_bytes().startswith(b"\xff\xd8") for name in written)
    assert len(list(csv.DictReader((out / "series.csv").open()))) == 2
    page = (out / "summary.html").read_text()
    assert NOTICE in page
    assert RULE in page
    assert page.count('<button class="open"><img') + page.count('<span class="none">') == 6


@pytest.mark.server
def test_no_tag_value_is_written_unless_asked(server, scans, tmp_path):
    place = find_place((scans / "slice.dcm").read_bytes())
    secrets = [place.study, place.series, "PHANTOM"]
    assert run_script("score", scans, tmp_path / "a", "--run", server.run, "--format", "jsonl").returncode == 1
    for path in (tmp_path / "a").iterdir():
        assert not any(secret in path.read_text() for secret in secrets), path
    assert not (tmp_path / "a" / "slices.parquet").exists()
    assert run_script("score", scans, tmp_path / "b", "--run", server.run, "--uids").returncode == 1
    assert place.series in (tmp_path / "b" / "slices.csv").read_text()


def wait_for_rows(process, journal, count):
    """Wait until a run has written so many rows and still goes on."""

    def written():
        assert process.poll() is None
        return journal.exists() and journal.read_bytes().count(b"\n") >= count

    wait_until(written, 120, f"{count} rows")


@pytest.mark.server
def test_killed_runs_go_on_and_end_with_the_same_rows_as_one_that_was_never_killed(server, slices, tmp_path):
    archive, journal = tmp_path / "scan.zip", tmp_path / "out" / "slices.jsonl"
    count = 240
    with zipfile.ZipFile(archive, "w") as packed:
        for number in range(count):
            packed.writestr(f"{number:03}.png", slices[number % 4] if number % 3 else b"junk %d" % number)
    command = compose("score", archive, tmp_path / "out")
    command += ["--run", server.run, "--resume", "--concurrency", "4"]
    written = 0
    for kind in (signal.SIGKILL, signal.SIGKILL, signal.SIGINT):
        process = subprocess.Popen([*map(str, command)], stderr=subprocess.DEVNULL)
        wait_for_rows(process, journal, written + 20)
        process.send_signal(kind)
        assert process.wait(120) == (130 if kind == signal.SIGINT else -kind)
        written = journal.read_bytes().count(b"\n")
        assert written < count
    assert subprocess.run([*map(str, command)], check=False, capture_output=True, timeout=200).returncode == 1
    names = [json.loads(line)["file"] for line in journal.read_text().splitlines()]
    assert names == [f"{number:03}.png" for number in range(count)]
    whole = run_script("score", archive, tmp_path / "whole", "--run", server.run)
    assert whole.returncode == 1
    key = ("file", "sha256", "label", "error")
    for ours, theirs in zip(Journal(journal).rows(), Journal(tmp_path / "whole" / "slices.jsonl").rows(), strict=True):
        assert [ours.get(name) for name in key] == [theirs.get(name) for name in key]
    assert (tmp_path / "out" / "slices.csv").read_text().count("\n") == count + 1


@pytest.mark.server
def test_two_servers_share_a_run_and_one_that_is_down_is_passed_over(server, scans, tmp_path):
    gone = tmp_path / "gone"
    gone.mkdir()
    Instance(gone, tuple(find_ports(5))).write()
    fleet = Fleet([Local.read(gone), server], deadline_s=60)
    for path in sorted(scans.rglob("*.png")):
        assert fleet.predict(path.read_bytes())["label"] in CLASSES
    both = run_script("score", scans, tmp_path / "out", "--run", server.run, "--run", server.run)
    assert both.returncode == 1, both.stderr


def test_without_a_server_nothing_is_scored_and_one_sentence_says_so(tmp_path, scans):
    Instance(tmp_path, tuple(find_ports(5))).write()
    done = run_script("score", scans, tmp_path / "out", "--run", tmp_path, "--deadline", 0)
    assert done.returncode == 3
    assert len(done.stderr.strip().splitlines()) == 1
    assert "make serve" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nothing", "out"], "does not exist"),
        (["empty", "out"], "no files"),
        (["scans", "scans/out"], "inside IN"),
        (["scans", "used"], "--resume"),
        (["damaged.zip", "out"], "damaged"),
        (["slices.png", "out"], "server"),
    ],
)
def test_what_cannot_be_scored_is_refused_in_a_sentence_with_an_exit_code(arguments, words, tmp_path, scans):
    (tmp_path / "empty").mkdir()
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "slices.jsonl").write_text("")
    (tmp_path / "damaged.zip").write_bytes(b"PK\x03\x04junk")
    (tmp_path / "slices.png").write_bytes(b"slice")
    Instance(tmp_path, tuple(find_ports(5))).write()
    places = [tmp_path / name for name in arguments]
    done = run_script("score", *places, "--run", tmp_path, "--deadline", 0)
    assert done.returncode == (3 if words == "server" else 2)
    assert words in done.stderr
    assert done.stderr.startswith("score: ")
    assert "Traceback" not in done.stderr


@pytest.mark.server
def test_a_disk_that_is_full_is_told_with_the_place_and_the_rows_stay(server, scans, tmp_path):
    """The limit of a file's size fails as a full disk does: at a write, which names no file."""
    limited = ["prlimit", "--fsize=1200", *compose("score", scans, tmp_path / "out", "--run", server.run)]
    done = subprocess.run(limited, capture_output=True, text=True, timeout=240, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert f"score: cannot write {tmp_path / 'out'}: " in done.stderr
    done = run_script("score", scans, tmp_path / "out", "--run", server.run, "--resume")
    assert done.returncode == 1, done.stderr
    assert len((tmp_path / "out" / "slices.jsonl").read_text().splitlines()) == 6


MEMORY = """
import resource, sys, threading
from pathlib import Path
from lungct_client import RefusedError
from lungct_tools.folder.archive import open_source
from lungct_tools.folder.journal import Journal
from lungct_tools.folder.rollup import add_up
from lungct_tools.folder.scoring import Order, Run

class Refusing:
    count, tallies = 0, {}
    def predict(self, body, **options):
        self.count += 1
        if self.count == 10_000:
            print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
        raise RefusedError(415, "unsupported_format", "No.", None)

classes = ("Normal", "Benign", "Malignant")
with Journal(Path(sys.argv[2]) / "slices.jsonl") as journal:
    order = Order("none", None, False, classes, "")
    Run(open_source(Path(sys.argv[1])), journal, Refusing(), order, 8, threading.Event()).score()
    totals = add_up(journal.rows(), classes, 24)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, totals.slices)
"""


def test_memory_stays_flat_over_tens_of_thousands_of_files(tmp_path):
    scans, out = tmp_path / "scans", tmp_path / "out"
    out.mkdir()
    for folder in range(30):
        (scans / f"{folder:02}").mkdir(parents=True)
        for number in range(1000):
            (scans / f"{folder:02}" / f"{number:03}").write_bytes(b"junk %d" % number)
    command = [sys.executable, "-c", MEMORY, str(scans), str(out)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=True, cwd=ROOT)
    early, late, count = map(int, done.stdout.split())
    assert count == 30_000
    assert late - early < 8 * 1024, f"from {early} to {late} KiB"
