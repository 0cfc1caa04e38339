"""The units of systemd: it can read them, and ended as it would end them they leave no process and no busy port."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from lungct_tools import ROOT
from lungct_tools.proxy.nginx import make_certificate
from lungct_tools.server.health import check_ready
from lungct_tools.server.instance import Instance, find_ports
from lungct_tools.server.serve import answers, find_busy
from tests.support.calls import wait_until
from tests.support.gateways import skip_without_nginx
from tests.support.units import COMMAND, FOLDER, is_alive, read_unit, start_unit

pytestmark = pytest.mark.ops
SERVICES = sorted(path.stem.removeprefix("lung-ct-") for path in FOLDER.glob("lung-ct-*.service"))
CLEAN = {0, -15, 128 + 15}  # how systemd lets a service end that it has told to


def test_systemd_reads_every_line_of_every_unit(tmp_path):
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed: apt-get install systemd")
    units = tmp_path / "units"
    shutil.copytree(FOLDER, units)
    command = Path(sys.executable).with_name("lungct")  # it looks whether the program is there
    for path in units.glob("*.service"):
        path.write_text(path.read_text().replace(COMMAND, str(command)))
    found = sorted(map(str, (*units.glob("*.service"), *units.glob("*.target"))))

    def verify():
        return subprocess.run(["systemd-analyze", "verify", *found], capture_output=True, text=True, check=False)

    done = verify()
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    (dropped,) = units.glob("*.d/*.conf")
    dropped.write_text(dropped.read_text().replace("KillMode", "KilMode"))
    assert "KilMode" in verify().stderr, "the drop-in is not read"


def test_the_target_wants_every_service_and_the_others_end_before_the_server():
    target = (FOLDER / "lung-ct.target").read_text()
    for name in SERVICES:
        assert f"lung-ct-{name}.service" in target
        assert read_unit(name)["PartOf"] == ["lung-ct.target"]
        if name != "server":  # systemd stops in the order of the start, turned round
            assert "lung-ct-server.service" in read_unit(name)["After"][0]


def test_every_service_is_confined_and_the_gateway_alone_speaks_to_other_machines():
    for name in SERVICES:
        unit = read_unit(name)
        assert (unit["User"], unit["NoNewPrivileges"], unit["ProtectSystem"]) == (["lung-ct"], ["yes"], ["strict"])
        assert ("IPAddressDeny" in unit) == (name != "gateway")
        assert unit["CapabilityBoundingSet"] == [""]
        assert "research use only" in unit["Description"][0]


def test_port_443_wants_no_capability_behind_which_an_update_could_not_see_whom_nginx_asks():
    assert "net.ipv4.ip_unprivileged_port_start=443" in (FOLDER / "lung-ct-gateway.service").read_text()
    unit = read_unit("gateway")
    assert not {"AmbientCapabilities", "PrivateNetwork", "PrivateUsers"} & unit.keys(), "there the host's sysctl counts"


def test_the_page_of_operations_installs_them_all():
    page = (ROOT / "docs" / "operations.md").read_text()
    assert "config/systemd" in page
    assert "systemctl" in page


def check_end(started, ports):
    """Stop it by the unit's own words: clean, with nothing left for systemd to kill."""
    left = started.stop()
    wait_until(lambda: not any(map(is_alive, left)), 60, f"all have ended but {left}")
    assert started.process.returncode in CLEAN
    assert find_busy(tuple(ports)) == []


@pytest.mark.server
def test_the_servers_unit_ends_java_and_the_workers_and_logs_json_where_it_is_told_to(store, tmp_path):
    """`torchserve --foreground` alone ends its launcher only: Java and the workers go on and keep the ports."""
    ports = find_ports(5)
    options = ("--run", tmp_path, "--store", store, "--ports", *ports, "--log", "json")

    def ready():
        return (tmp_path / "instance.json").exists() and check_ready(Instance.read(tmp_path)) is None

    started = start_unit("server", tmp_path / "output", ready, more=options)
    try:
        assert len(started.list_processes()) >= 3  # `lungct serve`, Java, a worker
    finally:
        check_end(started, ports)
    lines = [json.loads(line) for line in (tmp_path / "output").read_text().splitlines()]
    assert {tuple(line) for line in lines} == {("time", "level", "logger", "message")}
    assert {"MODEL_LOG", "stdout"} <= {line["logger"] for line in lines}
    assert any(line["message"].startswith("Ready: model") for line in lines)


@pytest.mark.server
def test_the_gateways_unit_drains_it_and_ends_nginx(server, tmp_path):
    skip_without_nginx()
    (port,) = find_ports(1)
    certificate, key = make_certificate(tmp_path)
    swaps = {
        "0.0.0.0:8443": f"127.0.0.1:{port}",
        "/etc/lung-ct/tls/tls.crt": str(certificate),
        "/etc/lung-ct/tls/tls.key": str(key),
        "/run/lung-ct/uploads": str(tmp_path / "uploads"),
    }
    place = {"LUNG_CT_RUN": server.run, "LUNG_CT_CLIENTS": tmp_path / "clients.map"}
    started = start_unit("gateway", tmp_path / "output", lambda: answers("127.0.0.1", port), swaps, **place)
    try:
        wait_until(lambda: len(started.list_processes()) >= 2, 60, "nginx and a worker of it")
    finally:
        check_end(started, [port])
    assert server.running, "the gateway's end is not the server's"


@pytest.mark.server
@pytest.mark.parametrize("name", ["exporter", "page"])
def test_the_units_of_exporter_and_page_free_their_ports(server, tmp_path, name):
    (port,) = find_ports(1)
    options = ("--port", port)
    answered = start_unit(
        name, tmp_path / "output", lambda: answers("127.0.0.1", port), more=options, LUNG_CT_RUN=server.run
    )
    check_end(answered, [port])
