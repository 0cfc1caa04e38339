"""Damaged archives: at the start, under a server that runs, and as an update of it."""

import zipfile

import pytest

from lungct_tools.server.deputy import find_deputy
from lungct_tools.server.instance import Instance, find_ports
from lungct_tools.server.seal import write_seal
from tests.conftest import run_script
from tests.faults.site import build_store, change_archive, copy_archive, kill
from tests.faults.table import format_row

pytestmark = [pytest.mark.server, pytest.mark.ops, pytest.mark.timeout(600)]  # the site's start included


def test_a_damaged_model_never_becomes_ready_and_says_why(tmp_path, rows):
    build_store(tmp_path / "store", tmp_path / "no-crash")
    change_archive(tmp_path / "store" / "lung_ct.mar", {"weights.safetensors": lambda bits: bits[:-1] + b"?"})
    place = ("--run", tmp_path / "run", "--store", tmp_path / "store", "--ports", *find_ports(5))
    started = run_script("serve", *place)
    sees = "no server: `make serve` ends with 1 and names the file"
    rows.append(format_row("a damaged model at the start", sees))
    assert started.returncode == 1
    assert "the model does not load" in started.stderr
    assert "weights.safetensors has sha256" in started.stderr
    assert not Instance.read(tmp_path / "run").running


def test_garbage_in_place_of_the_archive_is_named_before_anything_starts(tmp_path, rows):
    (tmp_path / "lung_ct.mar").write_bytes(b"no archive")
    started = run_script("serve", "--run", tmp_path / "run", "--store", tmp_path, "--ports", *find_ports(5))
    rows.append(format_row("garbage in place of the archive at the start", "no server: `make serve` ends with 2"))
    assert started.returncode == 2
    assert f"{tmp_path / 'lung_ct.mar'} is no archive" in started.stderr
    assert not (tmp_path / "run").exists()


def test_an_archive_that_is_overwritten_with_garbage_does_not_hurt_the_server_that_runs(site, load):
    archive = site.store / "lung_ct.mar"
    good = archive.read_bytes()
    try:
        with load("archive overwritten with garbage, then a worker dies") as raw:
            archive.write_bytes(b"no archive")
            kill(site.worker_pids()[0])
    finally:
        archive.write_bytes(good)
    assert set(raw.failures()) <= {"503"}


def test_an_archive_that_somebody_changed_is_not_started(tmp_path, rows):
    build_store(tmp_path / "store", tmp_path / "no-crash")
    with zipfile.ZipFile(tmp_path / "store" / "lung_ct.mar", "a") as packed:
        packed.writestr("lungct/extra.py", "")
    started = run_script("serve", "--run", tmp_path / "run", "--store", tmp_path / "store", "--ports", *find_ports(5))
    sees = "no server: `make serve` ends with 2 before anything of it runs"
    rows.append(format_row("code added to the archive after it was built", sees))
    assert (started.returncode, "was changed or damaged" in started.stderr) == (2, True)
    assert not (tmp_path / "run").exists()


def fail_later(handler):
    """A handler that becomes READY and raises for every batch."""
    return handler.replace(b"jobs = [", b"raise RuntimeError('gone'); jobs = [")


@pytest.mark.parametrize(
    ("fault", "name", "damage", "says", "deadline"),
    [
        ("one damaged weight", "weights.safetensors", lambda bits: bits[:-1] + b"?", "weights.safetensors has", 120),
        ("a handler that does not start", "lung_ct_handler.py", lambda _: b"raise RuntimeError('gone')", "gone", 120),
        ("a handler that loads and then fails", "lung_ct_handler.py", fail_later, "Prediction failed", 50),  # takes all
    ],
)
def test_an_update_to_a_damaged_archive_changes_nothing_and_says_why(
    site, load, tmp_path, fault, name, damage, says, deadline
):
    before, served = site.instance.pid, (site.store / "lung_ct.mar").read_bytes()
    archive = copy_archive(site.store, tmp_path, {name: damage})
    with load(f"update to an archive with {fault}: refused", rest_s=0.5) as raw:  # it gives way to others
        updated = run_script("update", archive, "--run", site.run, "--deadline", deadline)
    assert updated.returncode == 1
    assert "the old one serves on" in updated.stderr
    assert says in updated.stderr
    assert not raw.failures()
    assert site.instance.pid == before
    assert find_deputy(site.run) is None
    assert (site.store / "lung_ct.mar").read_bytes() == served


def test_an_update_to_a_file_that_is_no_archive_is_refused_at_once(site, tmp_path):
    (tmp_path / "garbage.mar").write_bytes(b"no archive")
    updated = run_script("update", tmp_path / "garbage.mar", "--run", site.run)
    assert updated.returncode == 2
    assert "is no archive" in updated.stderr
    assert site.is_ready()


def test_without_a_gateway_an_update_restarts_the_server_itself(tmp_path):
    build_store(tmp_path / "store", tmp_path / "no-crash")
    place = ("--run", tmp_path / "run", "--store", tmp_path / "store", "--ports", *find_ports(5))
    try:
        assert run_script("serve", *place).returncode == 0
        before = Instance.read(tmp_path / "run").pid
        updated = run_script("update", tmp_path / "store" / "lung_ct.mar", "--run", tmp_path / "run")
        assert (updated.returncode, "no gateway runs" in updated.stderr) == (0, True), updated.stderr
        assert Instance.read(tmp_path / "run").pid not in (0, before)
    finally:
        run_script("stop", "--run", tmp_path / "run")


def test_an_update_without_a_server_says_how_to_start_one(tmp_path):
    with zipfile.ZipFile(tmp_path / "lung_ct.mar", "w") as archive:
        archive.writestr("file", b"")
    write_seal(tmp_path / "lung_ct.mar")
    updated = run_script("update", tmp_path / "lung_ct.mar", "--run", tmp_path)
    assert updated.returncode == 3
    assert "make serve" in updated.stderr
