"""A server with its gateway that tests may break: it crashes on request, gives up early, and its tokens expire fast."""

import os
import subprocess
import time
import zipfile
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
import yaml

from lungct_client import Client
from lungct_tools import ROOT
from lungct_tools.proxy.record import find
from lungct_tools.server.health import UNREADY
from lungct_tools.server.instance import Instance, find_ports
from lungct_tools.server.seal import write_seal
from tests.conftest import run_script
from tests.support.calls import wait_until
from tests.support.gateways import Door, open_gateway, skip_without_nginx

QUEUE, WORKERS, RETRY_S, PATIENCE_S = 32, 2, 5, 45  # longer than a worker takes to load on a busy machine
RESPONSE_S = 30  # less than the patience: TorchServe gives a stopped worker up before the watchdog restarts all
BACK_S = 120  # to be ready again, on a machine that is busy with other things
CROWD = tuple(f"crowd-{i}" for i in range(4))  # the gateway lets no key fill the queue alone
DISK = "384m"  # two servers and their logs: 260 MB
CRASH = "\nimport os, pathlib\nif pathlib.Path({flag!r}).exists():\n    os._exit(3)\n"


@dataclass(frozen=True)
class Site:
    """Attributes: `flag` is the file that makes every worker crash while it is loading."""

    run: Path
    store: Path
    flag: Path
    door: Door

    @property
    def instance(self):
        """As it is now: the watchdog may have started another one."""
        return Instance.read(self.run)

    def describe(self):
        return Client(self.instance).describe()

    def worker_pids(self):
        return [worker["pid"] for worker in self.describe()["workers"] if worker["status"] == "READY"]

    def java(self):
        """TorchServe itself."""
        return psutil.Process(self.instance.pid)

    def is_ready(self):
        with suppress(*UNREADY):  # a gateway, or a server, that is about to come back
            return self.door.ask("GET", "/readyz").status_code == 200 and len(self.worker_pids()) == WORKERS
        return False

    @contextmanager
    def scaled_to(self, workers):
        """So many workers for a while."""
        assert run_script("scale", workers, "--run", self.run).returncode == 0
        try:
            yield
        finally:
            assert run_script("scale", WORKERS, "--run", self.run).returncode == 0

    @property
    def has_disk(self):
        """Whether the run folder has a disk of its own, which may be filled."""
        return os.path.ismount(self.run)

    def processes(self):
        """Server, workers, nginx and sidecar by pid."""
        roots = [psutil.Process(pid) for pid in (self.instance.pid, find(self.run).pid)]
        return {p.pid: p for root in roots for p in (root, *root.children(recursive=True))}

    def memory(self):
        """Resident bytes of each of these, by pid and name."""
        held = {}
        for pid, process in self.processes().items():
            with suppress(psutil.NoSuchProcess):  # a worker of nginx that has just made room for the next one
                held[pid, process.name()] = process.memory_info().rss
        return held


class GivenUp:
    """Whether TorchServe has left its dead workers alone for longer than any pause between two of its tries."""

    def __init__(self, site):
        self._site = site
        self._busy = time.monotonic()

    def __call__(self):
        try:
            busy = self._site.java().children()
        except (psutil.NoSuchProcess, StopIteration):  # a busy machine: the watchdog has another one started by now
            busy = True
        if busy:
            self._busy = time.monotonic()
        return time.monotonic() > self._busy + RETRY_S


def build_store(store, flag):
    """The shipped archive with the crash in its handler and small limits in its settings."""
    assert run_script("archive", "--out", store).returncode == 0
    settings = yaml.safe_load((ROOT / "config" / "model-config.yaml").read_text())
    settings.update(minWorkers=WORKERS, maxWorkers=WORKERS, maxRetryTimeoutInSec=RETRY_S)
    settings.update(jobQueueSize=QUEUE, responseTimeout=RESPONSE_S)
    settings["handler"]["threads"] = 1
    change_archive(
        store / "lung_ct.mar",
        {
            "lung_ct_handler.py": lambda text: text + CRASH.format(flag=str(flag)).encode(),
            "model-config.yaml": lambda _: yaml.safe_dump(settings).encode(),
        },
    )


def change_archive(path, changes):
    """Rewrite files inside an archive, and seal it anew, as who builds it does."""
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(path.with_suffix(".new"), "w") as new:
        for item in old.infolist():
            new.writestr(item, changes.get(item.filename, lambda text: text)(old.read(item)))
    path.with_suffix(".new").replace(path)
    write_seal(path)


def copy_archive(store, folder, changes):
    """The archive of a store, with other contents."""
    archive = folder / "candidate.mar"
    archive.write_bytes((store / "lung_ct.mar").read_bytes())
    change_archive(archive, changes)
    return archive


@contextmanager
def open_site(tmp):
    """Server and gateway, ready; stopped at the end, drained first."""
    skip_without_nginx()
    store, flag = tmp / "store", tmp / "crash"
    build_store(store, flag)
    with own_disk(tmp / "run") as run:
        yield from open_on(run, store, flag)


@contextmanager
def own_disk(run):
    """A small disk of its own for the run folder, where this machine lets us have one: a test fills it."""
    run.mkdir(mode=0o700)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK},mode=0700", "none", str(run)]
    mounted = subprocess.run(mount, capture_output=True, check=False).returncode == 0
    try:
        yield run
    finally:
        if mounted:
            subprocess.run(["umount", "--lazy", str(run)], check=True)


def open_on(run, store, flag):
    """The site, once."""
    options = ("--run", run, "--store", store, "--ports", *find_ports(5), "--set", "token_expiration_min=1")
    started = run_script("serve", *options)
    assert started.returncode == 0, started.stdout + started.stderr
    try:
        limits = ("--rate", 1000, "--patience", PATIENCE_S)
        with open_gateway(Instance.read(run), ("alice", "raw", *CROWD), *limits) as door:
            site = Site(run, store, flag, door)
            wait_until(site.is_ready, BACK_S, "ready")
            yield site
    finally:
        run_script("stop", "--run", run)


def kill(pid):
    os.kill(pid, 9)
