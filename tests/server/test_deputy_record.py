"""The deputy of a server: whom the gateway is to ask, what becomes of it, and what it gets of the machine meanwhile."""

import errno
import json
import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from lungct_client import ServerError
from lungct_tools import ROOT
from lungct_tools.server import courtesy
from lungct_tools.server import deputy as deputies
from lungct_tools.server.courtesy import NICENESS, Share
from lungct_tools.server.deputy import (
    FOLDER,
    RECORD,
    RUN,
    SHARE,
    Deputy,
    dismiss,
    end_deputy,
    find_asked,
    find_deputy,
    note,
)
from lungct_tools.server.processes import is_stopped, lives
from lungct_tools.server.room import check_room, find_free, measure_held
from tests.conftest import run_script
from tests.support.calls import wait_until
from tests.support.standins import run_stand_in


@contextmanager
def deputising(run, asked=True):
    """A process that passes for the deputy of a run folder."""
    note(run, asked)
    (run / RUN).mkdir(mode=0o700)
    with run_stand_in(run / RUN) as deputy:
        yield deputy


@pytest.fixture
def server(tmp_path):
    with run_stand_in(tmp_path) as instance:
        yield instance


def test_a_deputy_is_asked_while_it_is_appointed_and_runs(server):
    assert find_asked(server) is server
    with deputising(server.run) as deputy:
        assert find_asked(server) == deputy
        dismiss(server.run)
        assert find_asked(server) is server
        note(server.run, asked=True)
        assert find_asked(server) == deputy
    assert find_asked(server) is server, "it has ended"


def test_one_that_is_stopped_not_dead_is_not_asked_until_it_goes_on(server):
    with deputising(server.run) as deputy:
        for number, stopped, asked in ((signal.SIGSTOP, True, server), (signal.SIGCONT, False, deputy)):
            os.kill(deputy.pid, number)
            wait_until(lambda: is_stopped(deputy.pid) == stopped, 30, "it has the signal")  # noqa: B023 -- waited for here
            assert find_asked(server) == asked


def test_it_is_dismissed_on_a_full_disk_too(server, monkeypatch):
    def write_whole(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with deputising(server.run):
        monkeypatch.setattr(deputies, "write_whole", write_whole)
        dismiss(server.run)
        assert find_asked(server) is server
        assert find_deputy(server.run), "the gateway ends it, should its update be killed"


@pytest.mark.parametrize(
    "text", ["{", "[]", "{}", '{"pid": "1", "birth": ""}', '{"asked": true, "pid": 1, "birth": ""}']
)
def test_a_record_that_is_damaged_appoints_nobody(server, text):
    with deputising(server.run):
        (server.run / RECORD).write_text(text)
        assert find_asked(server) is server


def test_a_deputy_in_a_folder_that_everybody_can_write_to_is_not_asked(server):
    with deputising(server.run):
        (server.run / FOLDER).chmod(0o777)
        assert find_asked(server) is server


def test_a_share_that_comes_and_goes_while_one_looks_hides_no_deputy(server):
    """The gateway would ask the server, which may just be starting again."""
    ended = threading.Event()

    def give_and_take():
        while not ended.is_set():
            note(server.run, asked=True, percent=10)
            (server.run / SHARE).unlink()

    with deputising(server.run), ThreadPoolExecutor(1) as pool:
        writer = pool.submit(give_and_take)
        try:
            assert all(find_deputy(server.run) for _ in range(3000))
        finally:
            ended.set()
    writer.result()


def test_who_brought_it_up_may_be_gone_and_whoever_dismisses_it_does_not_take_it_over(server):
    with deputising(server.run):
        assert not find_deputy(server.run).orphaned
        gone = subprocess.Popen([sys.executable, "-c", ""])
        gone.wait()
        Deputy(True, gone.pid, "another boot").write(server.run)
        dismiss(server.run)
        assert find_deputy(server.run).orphaned
        assert not find_deputy(server.run).asked


def test_ending_it_leaves_no_process_and_no_file_and_the_server_as_it_is(server):
    with deputising(server.run) as deputy:
        end_deputy(server.run)
        assert not deputy.running
    assert not (server.run / FOLDER).exists()
    assert server.running
    end_deputy(server.run)  # there is none any more


def test_make_stop_ends_a_deputy_that_an_update_has_left(server):
    with deputising(server.run) as deputy:
        assert run_script("stop", "--run", server.run).returncode == 0
        assert not lives(deputy.pid, deputy.birth)
    assert not (server.run / FOLDER).exists()


def test_status_tells_of_the_deputy_while_it_is_asked(server):
    with deputising(server.run) as deputy:
        told = run_script("status", "--run", server.run, "--json")
        assert str(deputy.ports[0]) in json.loads(told.stdout)["reason"]


def test_what_gives_way_has_half_of_the_cores_and_gets_all_when_it_need_not(tmp_path):
    own = Share.read()
    with own.halve().lend(), run_stand_in(tmp_path) as instance:
        modest = Share.read(instance.pid)
    assert Share.read() == own
    assert len(modest.cores) == (len(own.cores) + 1) // 2
    assert modest.niceness == (own.niceness + NICENESS if courtesy.may_take(own.niceness) else own.niceness)
    with run_stand_in(tmp_path) as instance:
        own.lower().give(instance)
        assert Share.read(instance.pid).cores == own.cores, "who is served beside a deputy keeps its cores"
        own.give(instance)
        assert Share.read(instance.pid) == own


def test_an_archive_with_as_many_workers_as_fit_the_machine_can_be_tried_on_its_half(monkeypatch):
    for number in range(1, 9):
        monkeypatch.setattr(courtesy, "count_cores", lambda number=number: number)
        half = len(Share(0, frozenset(range(number))).halve().cores)
        assert 2 * half >= number > half or number == half == 1


def test_niceness_that_could_not_be_taken_back_is_not_given(monkeypatch):
    monkeypatch.setattr(courtesy, "may_take", lambda _: False)
    assert Share(0).lower() == Share(0)


def test_room_for_a_second_server_is_what_the_first_one_holds(server, monkeypatch):
    held, archive = measure_held(server), ROOT / "Makefile"
    assert 10**6 < held < 10**9
    assert check_room(server, archive) is None
    monkeypatch.setattr("lungct_tools.server.room.find_free", lambda: held // 2)
    assert "too little memory for two servers" in check_room(server, archive)


def test_free_memory_is_what_the_narrowest_control_group_leaves(tmp_path):
    group, files = tmp_path / "sys/fs/cgroup/a/b", tmp_path / "proc/self/cgroup"
    for folder in (group, files.parent):
        folder.mkdir(parents=True)
    files.write_text("0::/a/b\n")
    (tmp_path / "proc/meminfo").write_text("MemTotal:  9000 kB\nMemAvailable:  8000 kB\nHugePages_Total:  0\n")
    assert find_free(tmp_path) == 8_192_000
    for folder, limit in ((group, "max"), (group.parent, "5000")):
        (folder / "memory.max").write_text(f"{limit}\n")
        (folder / "memory.current").write_text("4000\n")
        (folder / "memory.stat").write_text("anon 1\ninactive_file 1500\n")
    assert find_free(tmp_path) == 2500, "what is only cached is given back"


def test_a_damaged_record_of_its_server_asks_nobody_and_says_so_when_it_is_to_end(server):
    with deputising(server.run) as deputy:
        (deputy.run / "instance.json").write_text("{")
        assert find_asked(server) is server
        with pytest.raises(ServerError, match="damaged"):
            end_deputy(server.run)
