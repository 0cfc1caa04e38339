"""What peers confirm or refuse is remembered: of each where several speak at once, and once the disk has room."""

import errno
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from lungct_tools.pacs import folder as folders
from lungct_tools.pacs.outbox import Outbox, StoreDestination
from tests.support.peers import Clock, peer


class Together:
    """A peer that confirms a result in the same moment as another one."""

    def __init__(self, name, moment):
        self.name, self._moment = name, moment

    def send(self, version):
        self._moment.wait(30)
        return False


def test_what_several_peers_confirm_at_once_is_remembered_of_each(spool, version):
    folder, first = version
    versions = [first, *(folder.add_version(number, iter(()), first.manifest) for number in range(2, 30))]
    moment = threading.Barrier(2)
    outbox = Outbox([Together(name, moment) for name in "ab"], spool)
    for each in versions:
        outbox.add(folder, each)
    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(outbox.deliver, "ab")) == [None, None]
    assert {frozenset(each.sent()) for each in versions} == {frozenset("ab")}


@pytest.mark.parametrize("status", [0, 0xA900])
def test_a_disk_that_is_full_when_a_peers_word_is_to_be_kept_makes_it_be_asked_again(
    spool, version, monkeypatch, status
):
    def fail(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    clock = Clock()
    with peer(lambda event: status) as (name, _):
        outbox = Outbox([StoreDestination(name, "US")], spool, clock)
        outbox.add(*version)
        with monkeypatch.context() as full:
            full.setattr(folders, "write_durably", fail)
            outbox.deliver(name)
        assert outbox.waiting()
        clock.now += 2
        outbox.deliver(name)
    assert not outbox.waiting()
    assert not outbox.lacking(version[1])
