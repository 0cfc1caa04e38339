"""When the watchdog restarts a server, and when it leaves it alone."""

import threading

import pytest

from lungct_tools.proxy.watchdog import GONE_LONGEST_S, LONGEST_S, Watchdog, restart
from lungct_tools.server.instance import Instance
from tests.support.standins import run_stand_in

pytestmark = pytest.mark.ops
SICK = "0 of 1 workers are READY"


def restarts(watchdog, seconds, running=True, reason=SICK):
    """At which seconds it restarts a server that stays as it is."""
    return [now for now in range(seconds) if watchdog.is_due(reason, running, now)]


def test_a_ready_server_is_left_alone():
    assert restarts(Watchdog(60), 500, reason=None) == []


def test_a_server_that_is_not_ready_gets_its_time_and_after_each_restart_twice_as_much():
    assert restarts(Watchdog(60), 500) == [60, 180, 420]


def test_the_pauses_do_not_grow_for_ever():
    found = restarts(Watchdog(60), 10_000)
    assert found[-1] - found[-2] == LONGEST_S


def test_a_server_that_is_gone_is_started_at_once_and_again_after_seconds_that_double():
    assert restarts(Watchdog(60), 100, running=False) == [0, 2, 6, 14, 30, 62]
    found = restarts(Watchdog(60), 10_000, running=False)
    assert found[-1] - found[-2] == GONE_LONGEST_S, "a disk may be full for hours, and has room again at any minute"


def test_starts_of_one_that_was_gone_do_not_cost_the_patience_with_one_that_is_there():
    watchdog = Watchdog(60)
    assert restarts(watchdog, 20, running=False) == [0, 2, 6, 14]
    assert not watchdog.is_due(SICK, True, 70)
    assert watchdog.is_due(SICK, True, 74)


def test_infinite_patience_leaves_restarts_to_others():
    assert restarts(Watchdog(float("inf")), 10_000) == []
    assert restarts(Watchdog(float("inf")), 10_000, running=False) == []


def test_a_supervised_server_is_ended_when_it_is_sick_and_left_to_others_when_it_is_gone():
    watchdog = Watchdog(60, supervised=True)
    assert restarts(watchdog, 100) == [60]
    assert restarts(watchdog, 10_000, running=False) == []
    assert restarts(watchdog, 300) == [120], "the next one gets its time from its start, and twice as much"


def test_a_supervised_server_is_ended_whole_and_what_the_next_one_wrote_stays(tmp_path):
    with run_stand_in(tmp_path) as instance:
        instance.keys.write_text("{}")
        restart(instance, True, threading.Event())
        assert not instance.running
    assert (instance.keys.is_file(), Instance.read(tmp_path)) == (True, instance)


def test_how_a_server_was_started_is_still_known_when_it_does_not_come_back(tmp_path):
    """Its supervisor may be killed meanwhile: the next one took the default run folder and ports for meant."""
    with run_stand_in(tmp_path, options=("--run", str(tmp_path), "--store", str(tmp_path / "none"))) as instance:
        restart(instance, False, threading.Event())
        assert not instance.running
    assert Instance.read(tmp_path) == instance


def test_where_nobody_knows_how_it_was_started_no_other_server_is(tmp_path, monkeypatch):
    python, started = tmp_path / "python", tmp_path / "started"
    python.write_text(f"#!/bin/sh\ntouch '{started}'\n")
    python.chmod(0o700)
    monkeypatch.setattr("sys.executable", str(python))
    restart(Instance(tmp_path, options=("--run", str(tmp_path))), False, threading.Event())
    assert started.is_file()
    started.unlink()
    restart(Instance(tmp_path), False, threading.Event())
    assert not started.exists()


def test_one_that_dies_while_it_is_not_ready_is_started_at_once():
    watchdog = Watchdog(60)
    assert not watchdog.is_due(SICK, True, 0)
    assert watchdog.is_due(SICK, False, 5)


def test_a_server_that_recovered_starts_anew():
    watchdog = Watchdog(60)
    assert restarts(watchdog, 100) == [60]
    assert not watchdog.is_due(None, True, 100)
    assert not watchdog.is_due(SICK, True, 1000)
    assert not watchdog.is_due(SICK, True, 1059)
    assert watchdog.is_due(SICK, True, 1060)
