"""Ports for a server that is about to start: free, and nobody's by chance before it listens."""

import socket
from pathlib import Path

import pytest

from lungct_tools.server import instance
from lungct_tools.server.instance import find_ports

GIVEN = Path("/proc/sys/net/ipv4/ip_local_port_range")


def test_they_are_free_all_different_and_none_that_the_kernel_gives_to_whoever_asks_for_any():
    lowest, highest = map(int, GIVEN.read_text().split())
    found = find_ports(50)
    assert len(set(found)) == 50
    assert not [port for port in found if lowest <= port <= highest]
    for port in found:
        socket.create_server(("127.0.0.1", port)).close()


def test_one_that_is_taken_is_not_found(monkeypatch):
    free = sorted(find_ports(2))
    monkeypatch.setattr(instance, "list_ports", lambda: free)
    with socket.create_server(("127.0.0.1", free[0])):
        assert find_ports(1) == free[1:]


@pytest.mark.parametrize("told", ["1024\t65535\n", None])
def test_where_the_kernel_gives_all_or_does_not_tell_any_will_do(monkeypatch, tmp_path, told):
    if told is not None:
        (tmp_path / "range").write_text(told)
    monkeypatch.setattr(instance, "GIVEN_PORTS", tmp_path / "range")
    assert len(set(find_ports(5))) == 5
