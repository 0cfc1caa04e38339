"""nginx turns to another server: what one has been asked it answers, and one can see when nobody asks it any more."""

import signal
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from lungct_tools.proxy.turning import list_asked, wait_turned
from lungct_tools.server.instance import Instance
from tests.support.calls import wait_until
from tests.support.gateways import read_master

pytestmark = pytest.mark.ops


def are_leaving(master, asked):
    """Whether every worker that stands elsewhere has been told to end, which its title says."""
    for worker in master.children():
        with suppress(psutil.NoSuchProcess):
            if Path(worker.cwd()) != asked and "shutting down" not in " ".join(worker.cmdline()):
                return False
    return True


def test_requests_in_flight_are_answered_by_the_server_that_has_them_and_new_ones_by_the_other(
    nginx, post, upstream, holding, tmp_path
):
    run, here = nginx.folder.parent, nginx.instance
    other = Instance(tmp_path, (holding.server_port, 9, 9, 9, 9))
    other.keys.write_text('{"inference": {"key": "of the other"}}')

    def turn_to(instance):
        replace(nginx, instance=instance).write_route()
        master = psutil.Process(read_master(nginx.folder))
        master.send_signal(signal.SIGHUP)
        wait_until(lambda: instance.run in list_asked(run), 60, "nginx turns")
        wait_until(lambda: are_leaving(master, instance.run), 60, "those of before take no new requests")

    with ThreadPoolExecutor(1) as pool:
        wait_until(lambda: list_asked(run) == {here.run}, 60, "its workers stand where they are to")
        turn_to(other)
        held = pool.submit(post)
        wait_until(lambda: holding.held, 60, "the other one has a request")
        turn_to(here)
        assert post().status_code == 200
        assert [headers["Authorization"] for _, headers, _ in upstream.seen] == ["Bearer of the hour"]
        assert list_asked(run) == {here.run, other.run}, "one worker waits for an answer"
        holding.release.set()
        assert held.result().status_code == 200
    assert [headers["Authorization"] for _, headers, _ in holding.seen] == ["Bearer of the other"]
    wait_until(lambda: list_asked(run) == {here.run}, 60, "nobody asks the other one")


def test_where_no_gateway_runs_nothing_turns_and_nobody_waits(tmp_path):
    assert list_asked(tmp_path) == set()
    assert not wait_turned(tmp_path, tmp_path)
