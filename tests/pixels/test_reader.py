"""A file that crashes, stalls or bloats its decoder costs itself, never the worker or another file."""

import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import psutil
import pytest
from pydicom import uid

from lungct.errors import LungCTError
from lungct.pixels import reader
from lungct.pixels.rendering import Terms
from lungct.settings import Settings
from lungct.window import LUNG
from lungct_tools import ROOT
from tests.support.dicoms import DEADLINE_S, HU, PATIENT, build_ct, read

# A nursery whose decoder obeys the file: what a hostile file can make a codec do.
HOSTILE = """
import os, signal
from lungct.pixels import nursery
from lungct.pixels.rendering import translate_faults
usual = nursery.decode
def decode(body, kind, terms):
    with translate_faults("damaged"):
        if kind == "DICOM": return usual(body, kind, terms)
        if kind == "CRASH": os.abort()
        if kind == "QUIT": os._exit(0)
        if kind == "HANG":
            while True: sum(range(10**6))
        if kind == "WAIT": signal.pause()  # uses no CPU
        if kind == "BLOAT": bytearray(10**9)
    raise ValueError("PLANTED^NAME")
nursery.decode, nursery.WALL_SECONDS = decode, 3  # for what hangs; DEADLINE_S allows for the usual ones
nursery.main()
"""
# A nursery on a machine that has no room for its first reader.
FULL = """
import os
from lungct.pixels import nursery
usual, calls = os.fork, []
def fork():
    calls.append(1)
    if len(calls) == 1: raise BlockingIOError(11, "no more processes")
    return usual()
os.fork = fork
nursery.main()
"""
TERMS = Terms(None, None, LUNG, Settings())
FOR_A_READER = build_ct(syntax=uid.RLELossless)  # uncompressed ones are read in the calling thread


@pytest.fixture(scope="module")
def hostile():
    reader.close()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reader.Nursery, "command", (sys.executable, "-W", "ignore", "-c", HOSTILE))
        assert_good_file_is_read()
    yield
    reader.close()


def assert_good_file_is_read():
    assert np.array_equal(reader.read(build_ct(), "DICOM", TERMS).pixels, LUNG.render(HU))


@pytest.mark.parametrize("kind", ["CRASH", "QUIT"])
def test_a_crash_is_an_error_of_its_file_alone(hostile, kind):
    for _ in range(3):
        with pytest.raises(LungCTError, match="crashed its decoder") as caught:
            reader.read(b"x", kind, TERMS)
        assert caught.value.code == "corrupt_image"
        assert_good_file_is_read()


@pytest.mark.parametrize("kind", ["HANG", "WAIT"])
def test_a_decoder_that_hangs_is_ended_by_the_clock(hostile, kind):
    started = time.process_time(), time.monotonic()
    with pytest.raises(LungCTError, match="takes too long") as caught:
        reader.read(b"x", kind, TERMS)
    assert caught.value.code == "corrupt_image"
    assert time.monotonic() - started[1] < DEADLINE_S
    assert time.process_time() - started[0] < 0.5  # the worker only waits
    assert_good_file_is_read()


def test_a_decoder_that_asks_for_too_much_memory_is_refused_it(hostile):
    with pytest.raises(LungCTError) as caught:
        reader.read(b"x", "BLOAT", TERMS)
    assert caught.value.code == "too_many_bytes"
    assert_good_file_is_read()


def test_a_bug_of_ours_is_reported_by_place_without_its_message(hostile, caplog):
    with pytest.raises(RuntimeError) as caught:
        reader.read(b"x", "BUG", TERMS)
    assert "ValueError in " in caplog.text
    assert PATIENT not in caplog.text + str(caught.value)
    assert_good_file_is_read()


def test_good_files_in_threads_are_unharmed_by_crashes_beside_them(hostile):
    def job(i: int) -> bool:
        if i % 3:
            return np.array_equal(reader.read(build_ct(), "DICOM", TERMS).pixels, LUNG.render(HU))
        with pytest.raises(LungCTError):
            reader.read(b"x", "CRASH", TERMS)
        return True

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(job, range(48)))
    assert len(reader._idle) <= 4


def test_a_dead_nursery_is_replaced():
    read(FOR_A_READER)
    nursery = reader._nursery._process
    assert nursery is not None
    nursery.kill()
    nursery.wait(60)
    while reader._idle:
        reader._idle.pop().close()
    assert np.array_equal(read(FOR_A_READER).pixels, LUNG.render(HU))


def test_a_reader_that_died_while_it_waited_costs_no_file():
    read(FOR_A_READER)
    assert reader._idle
    nursery = psutil.Process(reader._nursery._process.pid)
    for child in nursery.children():
        child.kill()
    assert np.array_equal(read(FOR_A_READER).pixels, LUNG.render(HU))


def test_a_fork_that_fails_is_our_fault_and_the_next_file_is_read(monkeypatch, caplog):
    reader.close()
    monkeypatch.setattr(reader.Nursery, "command", (sys.executable, "-W", "ignore", "-c", FULL))
    with pytest.raises(RuntimeError):
        reader.read(build_ct(), "DICOM", TERMS)
    assert "no reader could be forked" in caplog.text
    assert_good_file_is_read()
    reader.close()


def test_nobody_waits_for_a_nursery_that_dies_while_its_readers_live(monkeypatch):
    reader.close()
    read(FOR_A_READER)
    nursery, at_work = reader._nursery._process, reader._idle.pop()
    waits, usual = threading.Event(), reader.receive
    monkeypatch.setattr(reader, "receive", lambda peer: waits.set() or usual(peer))
    nursery.send_signal(signal.SIGSTOP)
    with ThreadPoolExecutor(1) as pool, at_work:
        job = pool.submit(reader.read, build_ct(), "DICOM", TERMS)
        assert waits.wait(60)
        nursery.kill()
        with pytest.raises(RuntimeError, match="has ended"):
            job.result(60)
    assert_good_file_is_read()


def test_a_nursery_that_cannot_start_is_our_fault_and_not_the_file_s(monkeypatch):
    reader.close()
    monkeypatch.setattr(reader.Nursery, "command", (sys.executable, "-c", "import no_such_codec"))
    with pytest.raises(RuntimeError):
        reader.prove()
    monkeypatch.undo()
    reader.close()
    reader.prove()


def test_a_nursery_that_has_begun_to_end_is_our_fault_and_not_the_file_s(monkeypatch):
    """On a busy machine a process has closed its sockets long before it can be waited for."""
    reader.close()
    ends = "import os, signal; os.close(0); signal.pause()"
    monkeypatch.setattr(reader.Nursery, "command", (sys.executable, "-c", ends))
    with pytest.raises(RuntimeError, match="has ended"):
        reader.read(build_ct(), "DICOM", TERMS)
    monkeypatch.undo()
    ending = reader._nursery._process
    assert_good_file_is_read()
    ending.kill()
    ending.wait(60)


def test_readers_share_nothing_with_the_next_file():
    one = read(FOR_A_READER).pixels
    other = read(build_ct((HU + 1100).astype(np.uint16), uid.RLELossless)).pixels
    assert np.array_equal(read(FOR_A_READER).pixels, one)
    assert not np.array_equal(one, other)


PARENT = """
import os, sys
from pathlib import Path
from lungct.pixels import reader
from lungct.pixels.rendering import Terms
from lungct.settings import Settings
from lungct.window import LUNG
job = Path(sys.argv[1]).read_bytes(), "DICOM", Terms(None, None, LUNG, Settings())
first = reader.read(*job).pixels
child = os.fork()
if child == 0:
    os._exit(0 if (reader.read(*job).pixels == first).all() else 1)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
assert (reader.read(*job).pixels == first).all()
print(reader._nursery._process.pid, flush=True)
sys.stdin.readline()
"""


@pytest.mark.parametrize("way", ["killed", "finished"])
def test_readers_end_with_their_parent_and_forks_of_it_have_their_own(way, tmp_path):
    (tmp_path / "slice").write_bytes(FOR_A_READER)
    command = [sys.executable, "-W", "error", "-c", PARENT, tmp_path / "slice"]
    paths = str(ROOT / "handler")
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, env={**os.environ, "PYTHONPATH": paths}, **pipes) as parent:
        nursery = psutil.Process(int(parent.stdout.readline()))
        family = [nursery, *nursery.children()]
        assert len(family) > 1
        if way == "killed":
            parent.kill()
        else:
            parent.stdin.close()
        assert parent.wait(60) == (-signal.SIGKILL if way == "killed" else 0)
    assert psutil.wait_procs(family, timeout=60)[1] == []
