"""Ports for a server that is still to be started: nobody else gets them meanwhile."""

from pathlib import Path

from lungct_tools.server.instance import find_ports


def test_free_ports_are_none_that_the_system_hands_out_to_whoever_connects_or_asks_for_any():
    first, last = map(int, Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split())
    found = find_ports(50)
    assert len(set(found)) == 50
    assert not [port for port in found if first <= port <= last]
