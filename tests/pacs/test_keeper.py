"""Series to their results with a real server, when disk and server come and go."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from pydicom import dcmread

from lungct_client import ServerDown
from lungct_tools import ROOT
from lungct_tools.folder.fleet import Fleet
from lungct_tools.pacs.keeper import Keeper, Terms
from lungct_tools.pacs.outbox import Outbox
from lungct_tools.pacs.results import Choice
from lungct_tools.pacs.scorer import Scorer
from lungct_tools.pacs.spool import Spool
from tests.support.calls import wait_until
from tests.support.series import draw_series, read_header

pytestmark = pytest.mark.server
FILES = draw_series(3, name="kept")


class Peer:
    """Confirms everything."""

    name = "peer"

    def __init__(self):
        self.got = []

    def send(self, version):
        self.got.append((version.folder, version.files))


@pytest.fixture
def spool(tmp_path):
    with Spool(tmp_path / "spool", 10**9) as found:
        yield found


def keep(spool, connect, terms=Terms(0.2, 3600, 3600), peers=()):  # noqa: B008 - a tuple
    outbox = Outbox(list(peers), spool)
    return Keeper(spool, connect, Choice(), outbox, terms, 2), outbox


def arrive(spool, keeper, *bodies):
    for body in bodies:
        series, name = spool.put(body, read_header(body))
        if name:
            keeper.arrive(series, name)
    return series


def settle(keeper, series):
    def built():
        keeper.tick()
        return series.slices() == series.covered()

    wait_until(built, 120, "a result")


def test_slices_are_scored_while_others_arrive_and_the_result_waits_for_quiet(spool, server):
    keeper, _ = keep(spool, lambda: Scorer(Fleet([server], 60)), Terms(3600, 1, 1))
    series = arrive(spool, keeper, FILES[0])

    def scored():
        keeper.tick()
        return len(series.rows()) == 1

    wait_until(scored, 60, "a row")
    assert series.versions() == []
    keeper._terms = Terms(0, 1, 1)
    settle(keeper, series)
    keeper.close()


def test_a_server_that_is_away_makes_nothing_fail(spool, server):
    tries = []

    def connect():
        tries.append(1)
        if len(tries) < 3:
            raise ServerDown("away")
        return Scorer(Fleet([server], 60))

    keeper, _ = keep(spool, connect)
    series = arrive(spool, keeper, *FILES)
    settle(keeper, series)
    keeper.close()
    assert len(tries) == 3
    events = [json.loads(line)["event"] for line in (spool.root / "journal.jsonl").read_text().splitlines()]
    assert events == ["waits", "waits", "built"]


def test_other_weights_are_asked_again_and_never_mixed(spool, server):
    keeper, _ = keep(spool, lambda: Scorer(Fleet([server], 60)))
    series = arrive(spool, keeper, *FILES)
    old = {"file": min(series.slices()), "label": "Normal", "weights_sha256": "0" * 64}
    series.append(old)
    keeper, _ = keep(spool, lambda: Scorer(Fleet([server], 60)))  # a new process after the model was changed
    settle(keeper, series)
    keeper.close()
    assert {row["weights_sha256"] for row in series.rows().values()} != {old["weights_sha256"]}
    assert len({row["weights_sha256"] for row in series.rows().values()}) == 1


def test_a_series_is_deleted_when_its_peer_confirmed_and_the_time_is_over(spool, server):
    peer = Peer()
    keeper, outbox = keep(spool, lambda: Scorer(Fleet([server], 60)), Terms(0, 0, 3600), [peer])
    series = arrive(spool, keeper, *FILES)
    settle(keeper, series)
    keeper.sweep()
    assert series.slices()  # the peer has not confirmed
    assert not keeper.idle()
    outbox.deliver("peer")
    assert keeper.idle()
    keeper.sweep()
    assert not series.slices()
    assert list(series.root.iterdir()) == [series.root / "closed.json"]
    assert len(peer.got) == 1
    arrive(spool, keeper, *FILES, draw_series(4, name="kept")[3])
    settle(keeper, series)
    (version,) = series.versions()
    report = next(version.folder.glob("*report.dcm"))
    assert (version.number, "PredecessorDocumentsSequence" in dcmread(report)) == (2, False)  # of one slice
    assert b"does not replace" in report.read_bytes()
    keeper.close()


def test_a_result_that_a_peer_refused_is_kept_longer(spool, server):
    peer = Peer()
    keeper, _ = keep(spool, lambda: Scorer(Fleet([server], 60)), Terms(0, 0, 3600), [peer])
    series = arrive(spool, keeper, *FILES[:1])
    settle(keeper, series)
    series.versions()[0].note_refusal("peer", "0xA900")
    keeper.sweep()
    assert series.slices()
    assert keeper.refusals() == 1
    keeper.close()


def test_a_series_that_cannot_be_built_stops_no_other(spool, server):
    keeper, _ = keep(spool, lambda: Scorer(Fleet([server], 60)))
    broken, good = arrive(spool, keeper, *FILES), arrive(spool, keeper, *draw_series(2, name="good"))
    for path in (broken.root / "in").glob("*.json"):
        path.write_text("{")
    settle(keeper, good)

    def noted():
        keeper.tick()
        return "build_failed" in (spool.root / "journal.jsonl").read_text()

    wait_until(noted, 60, "the journal says so")
    for _ in range(3):
        keeper.tick()
    keeper.close()
    assert (spool.root / "journal.jsonl").read_text().count("build_failed") == 1
    assert len(broken.slices()) == 3


FULL = """
import json, subprocess, sys, threading
from pathlib import Path
from lungct_client import Local
from lungct_tools.folder.fleet import Fleet
from lungct_tools.pacs.spool import FullError, Spool
from lungct_tools.pacs.scorer import Scorer
from tests.support.series import draw_series
from tests.pacs.test_keeper import arrive, keep, settle

run, root = Path(sys.argv[1]), Path(sys.argv[2])
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=500k", "tmpfs", root], check=True)
with Spool(root, 10**9) as spool:
    keeper, _ = keep(spool, lambda: Scorer(Fleet([Local.read(run)], 60)))
    files = draw_series(4, name="full")
    series = arrive(spool, keeper, *files[:3])
    try:
        arrive(spool, keeper, files[3])
        raise AssertionError("there was room")
    except FullError:
        assert len(series.slices()) == 3 and not list(root.rglob("*.new"))
    subprocess.run(["mount", "-o", "remount,size=1500k", root], check=True)
    while keeper._pause_s < 4:
        keeper.tick()
        threading.Event().wait(0.1)
    assert series.versions() == [] and len(series.slices()) == 3
    subprocess.run(["mount", "-o", "remount,size=50m", root], check=True)
    settle(keeper, series)
    keeper.close()
    sys.stdout.write(json.dumps([version.files for version in series.versions()]))
"""


@pytest.mark.ops
def test_a_full_disk_loses_nothing_and_the_result_comes_when_there_is_room(server, tmp_path):
    if not shutil.which("unshare") or subprocess.run(["unshare", "-rm", "true"], check=False).returncode:
        pytest.skip("this machine gives no mount namespaces")
    command = ["unshare", "-rm", sys.executable, "-c", FULL, str(server.run), str(tmp_path)]
    environment = {"PATH": "/usr/bin:/bin:/usr/sbin:/sbin", "PYTHONPATH": f"{ROOT}:{ROOT / 'handler'}"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    assert len(json.loads(done.stdout)[0]) == 5
    assert Path(tmp_path).exists()
