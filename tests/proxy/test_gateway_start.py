"""How the real gateway begins and ends: on addresses of any kind, after mistakes, when a part of it dies."""

import json
import os
import signal
import socket

import pytest

from lungct_tools.proxy.keys import write_clients
from lungct_tools.proxy.record import drain, find
from lungct_tools.server.instance import Instance, find_ports
from lungct_tools.server.serve import answers
from tests.conftest import run_script
from tests.support.calls import wait_until
from tests.support.gateways import open_gateway, skip_without_nginx
from tests.support.standins import idle_torchserve

pytestmark = pytest.mark.ops
FOR_EVER = ("--patience", "inf")  # nobody starts the stand-in again
ANY_ADDRESS = ("0.0.0.0", "[::]")  # noqa: S104


@pytest.fixture
def server(tmp_path):
    """A process that passes for TorchServe, with its tokens; it answers nothing."""
    skip_without_nginx()
    with idle_torchserve() as process:
        instance = Instance(tmp_path, tuple(find_ports(5)), process.pid)
        instance.write()
        instance.keys.write_text(json.dumps({"inference": {"key": "k"}}))
        write_clients(tmp_path / "clients.map", {})
        yield instance


def start(server, listen, *options):
    place = ("--run", server.run, "--clients", server.run / "clients.map", "--listen", listen)
    return run_script("gateway", *place, *FOR_EVER, *options)


def test_an_address_that_another_program_has_is_refused(server):
    with socket.create_server(("127.0.0.1", 0)) as other:
        listen = f"127.0.0.1:{other.getsockname()[1]}"
        refused = start(server, listen)
    assert (refused.returncode, f"{listen} is in use" in refused.stderr) == (2, True)
    assert find(server.run) is None


@pytest.mark.parametrize("host", ["[::1]", "0.0.0.0", "[::]", "127.0.0.2"])  # noqa: S104
def test_any_address_of_this_machine_will_do_and_root_is_warned_of_those_that_others_reach(server, host):
    started = start(server, f"{host}:{find_ports(1)[0]}")
    assert started.returncode == 0, started.stderr
    assert ("root's nginx" in started.stderr) == (os.getuid() == 0 and host in ANY_ADDRESS)
    assert drain(server.run, 60)


@pytest.mark.parametrize("listen", ["8443", "127.0.0.1", "unix:/tmp/socket"])
def test_what_is_no_address_and_port_is_refused_in_a_sentence(server, listen):
    refused = start(server, listen)
    assert (refused.returncode, "must be address:port" in refused.stderr) == (2, True)


def test_an_address_of_another_machine_is_refused(server):
    """Nobody has this one: it is for documentation."""
    refused = start(server, f"192.0.2.1:{find_ports(1)[0]}")
    assert refused.returncode == 2
    assert find(server.run) is None


def test_a_mistake_does_not_reach_a_gateway_that_runs(server):
    with open_gateway(server, ("alice",), *FOR_EVER) as door:
        settings = door.folder / "nginx.conf"
        before, listen = settings.read_bytes(), f"127.0.0.1:{door.port}"
        wrong = server.run / "wrong.pem"
        wrong.write_text("no certificate")
        refused = start(server, listen, "--certificate", wrong, "--certificate-key", wrong)
        assert (refused.returncode, "nginx does not accept" in refused.stderr) == (2, True)
        assert settings.read_bytes() == before


def test_what_a_gateway_that_runs_cannot_change_is_refused(server):
    with open_gateway(server, ("alice",), *FOR_EVER) as door:
        refused = start(server, f"127.0.0.1:{door.port}", "--notice", 5)
        assert refused.returncode == 2
        assert "has --patience inf --notice 0" in refused.stderr
        assert "make stop" in refused.stderr
        assert start(server, f"127.0.0.1:{door.port}", "--rate", 7).returncode == 0


def test_no_nginx_is_left_alone_when_its_supervisor_fails(server):
    with open_gateway(server, ("alice",), *FOR_EVER) as door:
        (server.run / "instance.json").write_text("{")
        wait_until(lambda: find(server.run) is None, 30, "the supervisor ends")
        assert not answers("127.0.0.1", door.port)


def test_nginx_ends_with_a_supervisor_that_is_killed_and_leaves_its_port(server):
    with open_gateway(server, ("alice",), *FOR_EVER) as door:
        os.kill(find(server.run).pid, signal.SIGKILL)
        wait_until(lambda: not answers("127.0.0.1", door.port), 10, "the port is free")
        assert start(server, f"127.0.0.1:{door.port}").returncode == 0


def test_for_containers_it_logs_to_its_output_and_fills_no_folder(server):
    with open_gateway(server, ("alice",), *FOR_EVER, "--console", "--uploads", server.run / "elsewhere") as door:
        assert door.ask("GET", "/models").status_code == 401
        wait_until(lambda: '"status": 401' in (door.folder / "supervisor.log").read_text(), 10, "the line")
        assert {path.name for path in door.folder.glob("*.log")} == {"supervisor.log"}
        assert (server.run / "elsewhere").is_dir()


def test_a_server_that_does_not_answer_is_neither_live_nor_ready(server):
    with open_gateway(server, ("alice",), *FOR_EVER) as door:
        answers_no = [(503, {"live": False}), (503, {"ready": False})]
        asked = [door.ask("GET", path) for path in ("/healthz", "/readyz")]
        assert [(answer.status_code, answer.json()) for answer in asked] == answers_no


def test_a_drain_ends_when_nginx_dies_during_its_notice(server):
    with open_gateway(server, ("alice",), *FOR_EVER, "--notice", 200) as door:
        os.kill(find(server.run).pid, signal.SIGTERM)
        wait_until(lambda: door.ask("GET", "/readyz").status_code == 503, 15, "not ready")
        os.kill(int((door.folder / "nginx.pid").read_text()), signal.SIGTERM)
        wait_until(lambda: find(server.run) is None, 30, "the supervisor ends")
