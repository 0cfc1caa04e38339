"""How the real gateway begins and ends: on addresses of any kind, after mistakes, when a part of it dies."""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

import pytest
import requests

from lungct_tools.commandline import compose
from lungct_tools.proxy.keys import write_clients
from lungct_tools.proxy.record import drain, find, find_guard
from lungct_tools.server.instance import find_ports
from lungct_tools.server.scribe import LIMIT
from lungct_tools.server.serve import answers
from tests.conftest import run_script
from tests.support.calls import wait_found, wait_until
from tests.support.gateways import open_gateway, skip_without_nginx
from tests.support.logs import read_lines
from tests.support.standins import run_stand_in

pytestmark = pytest.mark.ops
FOR_EVER = ("--patience", "inf")  # nobody starts the stand-in again
ANY_ADDRESS = ("0.0.0.0", "[::]")  # noqa: S104


@pytest.fixture
def server(tmp_path):
    """A process that passes for TorchServe, with its tokens; it answers nothing."""
    skip_without_nginx()
    with run_stand_in(tmp_path) as instance:
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


@pytest.mark.parametrize("listen", ["8443", "127.0.0.1", "unix:/tmp/socket", "127.0.0.1:0", "[::1]:99999"])
def test_what_is_no_address_and_port_is_refused_in_a_sentence(server, listen):
    refused = start(server, listen)
    assert (refused.returncode, "must be address:port" in refused.stderr) == (2, True)


def test_an_address_of_another_machine_is_refused(server):
    """Nobody has this one: it is for documentation."""
    refused = start(server, f"192.0.2.1:{find_ports(1)[0]}")
    assert refused.returncode == 2
    assert find(server.run) is None


def test_a_file_of_keys_that_nginx_would_take_and_we_do_not_is_told(server):
    (server.run / "clients.map").write_text("# keys\n")
    refused = start(server, f"127.0.0.1:{find_ports(1)[0]}")
    assert (refused.returncode, "clients.map is damaged" in refused.stderr) == (2, True)
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


def ask_ready(door):
    """Whether nginx and the sidecar behind it answer, whatever they say of the server."""
    with suppress(requests.RequestException):
        return "ready" in door.ask("GET", "/readyz").json()
    return False


def wait_guarded(run):
    return wait_found(lambda: find_guard(run), 60, "there is a guard")


def test_a_record_that_is_damaged_is_told_and_the_gateway_goes_on_with_what_it_read_before(server):
    with open_gateway(server, ("alice",), *FOR_EVER) as door:
        before = find(server.run)
        (server.run / "instance.json").write_text("{")
        wait_until(lambda: "is damaged" in (door.folder / "supervisor.log").read_text(), 60, "it is told")
        assert ask_ready(door)
        assert find(server.run) == before


def test_a_damaged_record_of_its_own_is_written_again(server):
    """Without it a drain would find nobody, and `make stop` would leave a gateway that starts the server again."""
    with open_gateway(server, ("alice",), *FOR_EVER) as door:
        before = find(server.run)
        (door.folder / "supervisor.json").write_text("")
        wait_until(lambda: find(server.run) == before, 60, "it is there again")


def test_of_a_supervisor_an_nginx_or_a_guard_that_is_killed_another_one_is_there_soon(server):
    with open_gateway(server, ("alice",), *FOR_EVER) as door:
        guard = wait_guarded(server.run)
        master = door.master()
        os.kill(master, signal.SIGKILL)
        wait_until(lambda: door.master() not in (0, master), 60, "another nginx")
        wait_until(lambda: ask_ready(door), 60, "which answers")
        os.kill(guard, signal.SIGKILL)
        wait_until(lambda: find_guard(server.run) not in (None, guard), 60, "another guard")
        before = find(server.run)
        os.kill(before.pid, signal.SIGKILL)
        wait_until(lambda: find(server.run) not in (None, before), 90, "another supervisor")
        wait_until(lambda: ask_ready(door), 60, "with its nginx")
    assert find_guard(server.run) is None, "a drain ends both"
    assert not answers("127.0.0.1", door.port)


def test_what_the_guard_starts_is_what_was_asked_for_last(server):
    with open_gateway(server, ("alice",), *FOR_EVER) as door:
        wait_guarded(server.run)
        listen = f"127.0.0.1:{find_ports(1)[0]}"
        assert start(server, listen, "--rate", 7).returncode == 0
        before = find(server.run)
        os.kill(before.pid, signal.SIGKILL)
        wait_until(lambda: find(server.run) not in (None, before), 90, "another supervisor")
        wait_until(lambda: answers(*listen.split(":")), 60, "it listens there")
        assert "rate=7r/s" in (door.folder / "nginx.conf").read_text()


def test_a_drain_while_the_supervisor_is_gone_ends_its_guard_and_nothing_comes_back(server):
    with open_gateway(server, ("alice",), *FOR_EVER) as door:
        guard = wait_guarded(server.run)
        os.kill(guard, signal.SIGSTOP)
        os.kill(find(server.run).pid, signal.SIGKILL)
        wait_until(lambda: not answers("127.0.0.1", door.port), 60, "nginx ends with its supervisor")
        os.kill(guard, signal.SIGCONT)
        assert drain(server.run, 60)
        assert find_guard(server.run) is None
        assert not answers("127.0.0.1", door.port)


def test_in_the_foreground_who_started_the_gateway_starts_it_again(server):
    listen = f"127.0.0.1:{find_ports(1)[0]}"
    place = ("--run", server.run, "--clients", server.run / "clients.map", "--listen", listen)
    with subprocess.Popen(compose("gateway", *place, "--foreground", *FOR_EVER)) as process:
        wait_until(lambda: find(server.run) and answers(*listen.split(":")), 60, "it listens")
        process.kill()
    wait_until(lambda: not answers(*listen.split(":")), 60, "nginx ends with it")
    assert not (server.run / "gateway" / "guard.json").exists()
    assert start(server, listen).returncode == 0
    assert drain(server.run, 60)


def test_a_fault_of_our_own_ends_the_supervisor_and_another_one_starts(server):
    """The second thread meets an error that nobody foresaw."""
    code = (
        "import sys; from lungct_tools.proxy import gateway, supervisor\n"
        "def fail(*_): raise RuntimeError('unforeseen')\n"
        "supervisor.check_ready = supervisor.Supervisor._read_instance = fail; sys.exit(gateway.main())"
    )
    listen = f"127.0.0.1:{find_ports(1)[0]}"
    place = ("--run", server.run, "--clients", server.run / "clients.map", "--listen", listen, *FOR_EVER)
    place = (*map(str, place), "--foreground")
    done = subprocess.run([sys.executable, "-c", code, *place], capture_output=True, text=True, check=False)
    assert (done.returncode, "unforeseen" in done.stderr) == (1, True)
    assert (server.run / "gateway" / "supervisor.json").exists(), "which tells a guard that it did not drain"
    assert not answers(*listen.split(":"))


def test_logs_are_put_aside_when_they_are_large_and_nginx_goes_on_in_new_ones(server, monkeypatch):
    with open_gateway(server, ("alice",), *FOR_EVER) as door:
        log = door.folder / "access.log"
        with log.open("ab") as file:
            file.truncate(LIMIT + 1)
        wait_until(lambda: log.with_name("access.log.1").exists(), 60, "it is put aside")
        assert log.with_name("access.log.1").stat().st_size > LIMIT

        def goes_on():  # what comes while nginx opens the new one may still go into the old one
            assert door.ask("GET", "/models", door.keys["alice"]).status_code == 403
            return any('"status": 403' in line for line in read_lines(log))

        wait_until(goes_on, 60, "a line of the new one")
        assert log.stat().st_size <= LIMIT


def test_a_run_folder_may_have_blanks_in_its_path(tmp_path):
    skip_without_nginx()
    with tempfile.TemporaryDirectory() as short:
        run = Path(short) / "my run"
        run.mkdir()
        with run_stand_in(run) as server:
            server.keys.write_text(json.dumps({"inference": {"key": "k"}}))
            with open_gateway(server, ("alice",), *FOR_EVER) as door:
                assert ask_ready(door)


def test_for_containers_it_logs_to_its_output_and_fills_no_folder(server):
    with open_gateway(server, ("alice",), *FOR_EVER, "--console", "--uploads", server.run / "elsewhere") as door:
        assert door.ask("GET", "/models").status_code == 401
        wait_until(lambda: '"status": 401' in (door.folder / "supervisor.log").read_text(), 60, "the line")
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
        wait_until(lambda: door.ask("GET", "/readyz").status_code == 503, 60, "not ready")
        os.kill(door.master(), signal.SIGTERM)
        wait_until(lambda: find(server.run) is None, 60, "the supervisor ends")
