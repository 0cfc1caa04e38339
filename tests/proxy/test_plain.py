"""A gateway without TLS: where it may listen, whom it believes, and that it says what is in the open."""

import json
import os
import sys
from contextlib import suppress

import pytest

from lungct_tools.proxy.gateway import warn
from lungct_tools.proxy.nginx import GatewayError
from lungct_tools.proxy.plain import WARNING, check_address, read_proxies
from tests.conftest import run_script
from tests.support.gateways import open_gateway, skip_without_nginx
from tests.support.logs import await_line
from tests.support.standins import run_stand_in

pytestmark = pytest.mark.ops
FOR_EVER = ("--patience", "inf")  # nobody starts the stand-in again


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "10.1.2.3", "fd00::7"])
def test_loopback_will_do_and_one_address(host):
    check_address(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "::0", "0:0:0:0:0:0:0:0", "::ffff:0.0.0.0"])  # noqa: S104
def test_every_address_is_refused_however_it_is_written(host):
    with pytest.raises(GatewayError, match="every network of this machine"):
        check_address(host)


@pytest.mark.parametrize("host", ["*", "0", "0x0", "ct.example.org", "", "1.2.3"])
def test_what_could_turn_out_to_be_any_address_is_refused(host):
    with pytest.raises(GatewayError, match="one address in numbers"):
        check_address(host)


def test_a_proxy_is_an_address_or_a_network():
    assert read_proxies(["10.0.0.7", "10.244.0.0/16", "fd00::/8"]) == ("10.0.0.7/32", "10.244.0.0/16", "fd00::/8")


@pytest.mark.parametrize("word", ["0.0.0.0/0", "::/0", "0.0.0.0/1", "10.0.0.7/8", "mesh", "", "1.2.3.4;", "unix:"])
def test_nobody_and_nearly_everybody_are_no_proxy(word):
    with pytest.raises(GatewayError, match="--trusted-proxy"):
        read_proxies([word])


@pytest.mark.parametrize(
    "words",
    [("--trusted-proxy", "10.0.0.7"), ("--plain", "--certificate", "a.pem", "--certificate-key", "b.pem")],
)
def test_options_that_contradict_each_other_are_refused(run_here, capsys, words):
    with pytest.raises(SystemExit, match="2"):
        run_here("gateway", *words)
    assert "--plain" in capsys.readouterr().err


@pytest.fixture
def server(tmp_path):
    """A process that passes for TorchServe, with its tokens; it answers nothing."""
    skip_without_nginx()
    with run_stand_in(tmp_path) as instance:
        instance.keys.write_text(json.dumps({"inference": {"key": "k"}}))
        yield instance


def test_it_is_never_the_default_warns_at_its_start_and_cannot_become_one_while_it_runs(server):
    with open_gateway(server, ("alice",), *FOR_EVER) as door:
        place = ("--run", server.run, "--clients", door.clients, "--listen", f"127.0.0.1:{door.port}", *FOR_EVER)
        refused = run_script("gateway", *place, "--plain")
        assert (refused.returncode, "`make stop` first" in refused.stderr) == (2, True)
        assert door.ask("GET", "/models", door.keys["alice"]).status_code == 403, "over TLS"
        assert WARNING not in (door.folder / "supervisor.log").read_text()
    with open_gateway(server, ("alice",), *FOR_EVER, "--plain", "--trusted-proxy", "127.0.0.2") as door:
        await_line(door.folder / "supervisor.log", WARNING)
        assert door.ask("GET", "/models").status_code == 401
        assert door.ask("GET", "/models", door.keys["alice"]).status_code == 403
        place = ("--run", server.run, "--clients", door.clients, "--listen", f"127.0.0.1:{door.port}", *FOR_EVER)
        again = run_script("gateway", *place, "--plain")
        assert (again.returncode, WARNING in again.stderr, "http://" in again.stdout) == (0, True, True)
        everywhere = run_script("gateway", *place, "--plain", "--listen", f"0.0.0.0:{door.port}")
        assert (everywhere.returncode, "every network" in everywhere.stderr) == (2, True)


def test_a_warning_that_nobody_reads_any_more_ends_no_start(monkeypatch):
    """The writer of the gateway's log was killed, and then its supervisor, which has to come back."""
    reading, writing = os.pipe()
    os.close(reading)
    with suppress(BrokenPipeError), os.fdopen(writing, "w") as output:
        monkeypatch.setattr(sys, "stderr", output)
        for host in ("127.0.0.1", "10.1.2.3"):
            warn(host, plain=True)
