"""`lungct bulk ray` on real Ray nodes: every file once and as `score` has it, whatever is killed on the way."""

import os
import secrets
import signal
import stat
import subprocess
import sys
import tempfile
from collections import Counter
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest

from lungct_tools import ROOT
from lungct_tools.bulk.listing import list_series
from lungct_tools.bulk.manifest import Manifest, write_manifest
from lungct_tools.bulk.plan import read_plan
from lungct_tools.commandline import compose
from lungct_tools.folder.source import Folder
from lungct_tools.phantom.series import draw_volume
from tests.support.calls import wait_until
from tests.support.desk import Desk, score_folder

DEADLINE_S = 240
SHARDS = 5  # two are done at the first look at most, and two in hand
# Two nodes that are alone here, and one that dies by a signal of ours.
NODES = """
import os, sys, tempfile
options = {"num_cpus": 1, "node_ip_address": "127.0.0.1", "object_store_memory": 80 << 20}
with tempfile.TemporaryDirectory() as os.environ["RAY_TMPDIR"]:
    from ray.cluster_utils import Cluster
    cluster = Cluster(True, head_node_args={**options, "include_dashboard": False})
    other = cluster.add_node(**options)
    print(cluster.address, flush=True)
    sys.stdin.readline()
    cluster.remove_node(other, allow_graceful=False)
    print("killed", flush=True)
    sys.stdin.read()
    cluster.shutdown()
"""

pytestmark = [pytest.mark.ops, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """Of nodes and drivers. A package of our tests costs whatever imports jsonschema seconds, as each of Ray's does."""
    without = tmp_path_factory.mktemp("without")
    (without / "rfc3987_syntax.py").write_text("raise ImportError\n")
    token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    alone = {"RAY_USAGE_STATS_ENABLED": "0"}
    return os.environ | token | alone | {"PYTHONPATH": str(without)}


@pytest.fixture(scope="module")
def scans(tmp_path_factory, slices):
    """A folder of many small series, with files that are no slices."""
    root = tmp_path_factory.mktemp("cluster") / "scans"
    for name in map(str, range(12)):
        (root / name).mkdir(parents=True)
        for number, body in enumerate(draw_volume(2, size=128, name=name)):
            (root / name / f"{number}.dcm").write_bytes(body)
        (root / name / "picture").write_bytes(slices[int(name) % 4])
    for name, bad in {"empty.png": b"", "junk": b"\x93junk", "cut.dcm": body[:-900]}.items():
        (root / name).write_bytes(bad)
    write_manifest(list_series(Folder(root), 1), root, root.parent / "manifest")
    return root


@pytest.fixture(scope="module")
def expected(scans, pipeline):
    """The rows of `score`."""
    out = scans.parent / "scored"
    score_folder(scans, out, Desk(pipeline))
    return sorted((out / "slices.jsonl").read_bytes().splitlines())


@contextmanager
def driving(scans, out, environment, *options):
    """The command at work; it is ended if it has not ended by itself."""
    command = compose("bulk", "ray", scans.parent / "manifest", out, "--threads", 1, "--shards", SHARDS, *options)
    with (out.parent / "said").open("wb") as said:
        driver = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=said, stderr=said)
    try:
        yield driver
    finally:
        driver.kill()
        driver.wait()


def await_part(driver, out, said):
    """Wait for the first part. The driver is stopped then: it hands out no more shards while we look around."""
    wait_until(lambda: driver.poll() is not None or list_parts(out), DEADLINE_S, "a part")
    assert driver.poll() is None, said.read_text()
    driver.send_signal(signal.SIGSTOP)


def list_parts(out):
    return sorted((out / "parts").rglob("*.jsonl"))


def read_lines(out):
    return sorted(line for path in list_parts(out) for line in path.read_bytes().splitlines())


def list_listeners(process):
    """The addresses on which a process and all that it started listen."""
    found, sockets = psutil.Process(process), []
    for part in (found, *found.children(recursive=True)):
        with suppress(psutil.NoSuchProcess):  # Ray starts and ends some all the time
            sockets += part.net_connections("tcp")
    return {each.laddr.ip.removeprefix("::ffff:") for each in sockets if each.status == psutil.CONN_LISTEN}


def test_one_of_two_nodes_is_killed_and_every_file_has_the_row_of_score(scans, expected, environment, tmp_path):
    out = tmp_path / "out"
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", NODES], env=environment, **pipes) as nodes:
        address = nodes.stdout.readline().strip()
        assert address, "they are up"
        with driving(scans, out, environment, "--address", address) as driver:
            await_part(driver, out, tmp_path / "said")
            nodes.stdin.write("kill\n")
            nodes.stdin.flush()
            assert nodes.stdout.readline() == "killed\n"
            assert len(list_parts(out)) < SHARDS, "it is killed in the middle"
            driver.send_signal(signal.SIGCONT)
            assert driver.wait(DEADLINE_S) == 0, (tmp_path / "said").read_text()
    assert read_lines(out) == expected
    assert Counter(b'"error"' in line for line in expected) == {False: 36, True: 3}


def test_a_driver_that_is_killed_is_started_again_and_does_what_is_missing(scans, expected, environment, tmp_path):
    out = tmp_path / "out"
    closed = tempfile.TemporaryDirectory(
        ignore_cleanup_errors=True
    )  # two of Ray's processes outlive the others by a minute
    with closed as room, driving(scans, out, {**environment, "TMPDIR": room}) as driver:
        await_part(driver, out, tmp_path / "said")
        assert list_listeners(driver.pid) == {"127.0.0.1"}
        assert [stat.S_IMODE(each.stat().st_mode) for each in Path(room).glob("lung-ct-*")] == [0o700]
        driver.send_signal(signal.SIGKILL)
        driver.wait(60)
    standing = {path: path.stat().st_mtime_ns for path in list_parts(out)}
    assert len(standing) < SHARDS
    with driving(scans, out, environment) as driver:
        assert driver.wait(DEADLINE_S) == 0, (tmp_path / "said").read_text()
    assert read_lines(out) == expected
    assert {path: path.stat().st_mtime_ns for path in standing} == standing
    assert f"bulk: all {SHARDS} shards are done" in (tmp_path / "said").read_text()
    assert read_plan(out)[0].manifest_sha256 == Manifest(scans.parent / "manifest").header.sha256
