"""Shared fixtures. Slices are synthetic; the server is the real TorchServe."""

from __future__ import annotations

import importlib
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import hypothesis
import numpy as np
import pytest

from lungct.engines import choose_engine
from lungct.model.folder import ModelFolder, load_model_folder
from lungct.pipeline import Pipeline
from lungct.settings import Settings
from lungct.window import LUNG
from lungct_client import Client
from lungct_tools import ROOT
from lungct_tools.commandline import COMMANDS, compose
from lungct_tools.phantom.anatomy import draw_slice
from lungct_tools.server.instance import Instance, find_ports
from tests.support.pictures import encode
from tests.support.rooms import Rooms, rank
from tests.support.watching import Page, exporting

# A busy machine is slow, not wrong; and what passed passes again. New examples: pytest --hypothesis-profile=curious.
PATIENT = {"deadline": None, "suppress_health_check": [hypothesis.HealthCheck.too_slow], "print_blob": True}
hypothesis.settings.register_profile("curious", **PATIENT)
hypothesis.settings.register_profile("patient", **PATIENT, derandomize=True)
hypothesis.settings.load_profile("patient")

MODEL = ROOT / "model_store" / "lung_ct"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--no-skips", action="store_true", help="fail when a test is skipped, except for a missing GPU")
    parser.addoption("--faults", metavar="FILE", help="write the measured table of faults into this file")


def pytest_configure() -> None:
    """Tests send Ctrl-C to programs. A shell has what it starts in the background ignore it, and so all these would."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=rank)


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> Rooms:
    return Rooms(config, log)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Who may be skipped is told by the marker: the words of a reason, or of a path in it, could be anything."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None:  # a process of several: the first one counts
        return
    skipped = [r for r in reporter.stats.get("skipped", []) if "gpu" not in getattr(r, "keywords", ())]
    if session.config.getoption("--no-skips") and skipped:
        reporter.write_line(f"--no-skips: {len(skipped)} tests were skipped", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """How many minutes each room of the tests took, fixtures included, the longest first."""
    seconds: Counter[str] = Counter()
    for report in chain.from_iterable(terminalreporter.stats.values()):
        if isinstance(report, pytest.TestReport):
            room = Path(report.nodeid.partition("::")[0]).parent.name
            seconds[room if room != "tests" else "(flat)"] += report.duration
    terminalreporter.section("minutes of each room")
    for room, spent in seconds.most_common():
        terminalreporter.write_line(f"{spent / 60:6.1f}  {room}")
    terminalreporter.write_line(f"{sum(seconds.values()) / 60:6.1f}  in all")


@pytest.fixture(scope="session")
def phantoms() -> list[np.ndarray]:
    """Four different slices, (512, 512) uint8 at the lung window."""
    kinds = ("none", "smooth", "spiculated", "none")
    return [LUNG.render(draw_slice(seed, kind)) for seed, kind in enumerate(kinds)]


@pytest.fixture(scope="session")
def slices(phantoms: list[np.ndarray]) -> list[bytes]:
    """The same as files: PNG and JPEG in turn."""
    return [encode(pixels, "JPEG", quality=92) if i % 2 else encode(pixels, "PNG") for i, pixels in enumerate(phantoms)]


@pytest.fixture(scope="session")
def folder() -> ModelFolder:
    """The model folder that ships."""
    return load_model_folder(MODEL)


@pytest.fixture(scope="session")
def pipeline(folder: ModelFolder) -> Pipeline:
    """The pipeline on the CPU, in this process."""
    return Pipeline(folder, choose_engine(folder, threads=2), Settings(library_cams=True), threads=2)


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of real data, outside the project."""
    if "LUNG_CT_DATA" not in os.environ:
        pytest.skip("LUNG_CT_DATA is not set")
    return Path(os.environ["LUNG_CT_DATA"])


@pytest.fixture(scope="session")
def cases(data: Path) -> Path:
    """The folder of small inputs that an earlier version got wrong, beside that of the data."""
    folder = data.parent / "cases"
    if not folder.is_dir():
        pytest.skip(f"there is no {folder}")
    return folder


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A made-up data set, for reading only."""
    from tests.support.madeup import make_data  # brings torch, which the core's tests can do without

    return make_data(tmp_path_factory.mktemp("made") / "iq_othnccd")


@dataclass(frozen=True)
class Trained:
    """A model trained by our commands on made-up data."""

    data: Path
    nodules: Path
    start: Path
    work: Path
    model: Path


@pytest.fixture(scope="session")
def nodules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Made-up nodules, for reading only."""
    from tests.support.madeup import make_nodules

    return make_nodules(tmp_path_factory.mktemp("made") / "nodules")


@pytest.fixture(scope="session")
def trained(made: Path, nodules: Path, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """Two batches of parts of 64 pixels, then shipped."""
    from tests.support.madeup import RECIPE, make_start

    root = tmp_path_factory.mktemp("trained")
    found = Trained(made, nodules, make_start(root / "start.pth"), root / "work", root / "model")
    places = ("--data", made, "--nodules", nodules, "--init", found.start, "--work", found.work, "--out", found.model)
    done = run_script("train", *places, "--recipe", RECIPE, "--version", "7")
    assert done.returncode == 0, done.stderr
    return found


def run_script(name: str, *arguments: object, timeout_s: float = 240) -> subprocess.CompletedProcess[str]:
    """Run one of our commands as a user would."""
    return subprocess.run(
        compose(name, *arguments), capture_output=True, text=True, timeout=timeout_s, check=False, cwd=ROOT
    )


@pytest.fixture
def run_here(monkeypatch, capsys):
    """Run one of our commands in this process, where what it imports is there already: exit code and standard error."""

    def run(name: str, *arguments: object) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", [name, *map(str, arguments)])
        return importlib.import_module(f"lungct_tools.{COMMANDS[name]}").main(), capsys.readouterr().err

    return run


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the archive of the shipped model."""
    folder = tmp_path_factory.mktemp("store")
    built = run_script("archive", "--out", folder)
    assert built.returncode == 0, built.stderr
    return folder


@contextmanager
def serving(store: Path, run: Path, *options: str) -> Iterator[Instance]:
    """A server with the shipped model on free ports, ready, until the block ends."""
    started = run_script("serve", "--run", run, "--store", store, "--ports", *find_ports(5), *options)
    assert started.returncode == 0, started.stdout + started.stderr
    yield Instance.read(run)
    stopped = run_script("stop", "--run", run)
    assert stopped.returncode == 0, stopped.stderr


@pytest.fixture(scope="session")
def torchserve(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Instance]:
    """TorchServe with the shipped model."""
    with serving(store, tmp_path_factory.mktemp("run")) as instance:
        yield instance


@pytest.fixture(scope="session")
def asgi(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Instance]:
    """The front without TorchServe, with the same model."""
    with serving(store, tmp_path_factory.mktemp("asgi"), "--front", "asgi") as instance:
        yield instance


@pytest.fixture(scope="session")
def server(torchserve: Instance) -> Instance:
    """The server that most tests ask; those in tests/fronts ask every front."""
    return torchserve


@pytest.fixture(scope="session")
def client(server: Instance) -> Client:
    return Client(server)


@pytest.fixture(scope="module")
def exporter(server: Instance, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """The page of the exporter beside the server."""
    with exporting(server.run, tmp_path_factory.mktemp("exporter"), find_ports(1)[0]) as page:
        yield page
