"""Start TorchServe with lung_ct.mar on loopback and wait until it is truly ready.

lungct serve                       # in the background; `make stop` ends it
lungct serve --foreground          # for containers and supervisors
lungct serve --run /tmp/b --ports 9080 9081 9082 9070 9071
lungct serve --front asgi          # the same API without TorchServe, see docs/leaving-torchserve.md

TorchServe runs what the archive holds, so an archive is served only if its sha256 is that of its seal, the file that
`lungct archive` wrote beside it. --seal FILE takes one that is kept where others cannot write.

Exit codes: 0 ready, or the same server runs already; 1 not ready; 2 no archive, a damaged or changed one or wrong
settings in it, a busy port, GPUs that are not named by index, another server runs, or a run folder of somebody else.
"""

from __future__ import annotations

import argparse
import os
import signal
import socket
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

from lungct.settings import list_given_folders
from lungct_client import ServerError
from lungct_client.address import default_ports
from lungct_tools import ROOT, TOOLS
from lungct_tools.commandline import add_run_option, make_parser, port
from lungct_tools.server import scribe
from lungct_tools.server.gpus import find_unreadable_gpus
from lungct_tools.server.instance import ASGI, FRONTS, Instance
from lungct_tools.server.java import compose_java, find_home
from lungct_tools.server.jsonlines import follow
from lungct_tools.server.modelconfig import count_most, read_settings
from lungct_tools.server.processes import holding_back, read_birth
from lungct_tools.server.properties import write_settings
from lungct_tools.server.runfolder import check_ours, claim, make_temp, resolve
from lungct_tools.server.seal import NAME, ArchiveError, check_seal, find_seal, take
from lungct_tools.server.shutdown import stop

WORKER = "lungct/serving/worker.py"  # of the front without TorchServe, in the archive
STAND_IN = TOOLS / "standin"  # holds a torch.py that says why


def environment(instance: Instance) -> dict[str, str]:
    """The server's environment: a Java runtime, private temporary files, and this Python first on PATH."""
    stand_in = [str(STAND_IN)] if instance.front == "torchserve" else []
    return {
        **os.environ,
        "JAVA_HOME": str(find_home()),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": os.pathsep.join([*stand_in, *list_given_folders()]),
        "LOG_LOCATION": str(instance.run),
        "METRICS_LOCATION": str(instance.run),
        "TEMP": instance.temp,
        "TMPDIR": instance.temp,
        "LC_ALL": "C.UTF-8",  # Java reads names of files as the locale says, and under plain C only those in ASCII
        "LUNG_CT_TRACES": instance.traces,
        "MALLOC_ARENA_MAX": "2",  # glibc keeps an arena a thread; worker memory would grow for hours
        # A 4k picture's memory goes back when it is done with, that of a slice stays for the next: glibc's own limits
        # grow with the largest that was freed.
        "MALLOC_MMAP_THRESHOLD_": str(4 * 2**20),
        "MALLOC_TRIM_THRESHOLD_": str(16 * 2**20),
    }


def launch(instance: Instance, settings: Path, store: Path, foreground: bool, form: str) -> subprocess.Popen[bytes]:
    """Start the server in a process group of its own; its working directory receives the token file.

    Its log is "text" or "json"; in the foreground the latter comes through a pipe, which `follow` reads.
    """
    instance.keys.unlink(missing_ok=True)
    other = [sys.executable, "-P", "-m", ASGI, str(settings)]
    command = other if instance.front == "asgi" else compose_java(instance, settings, store)
    place = {"cwd": instance.run, "env": environment(instance) | {"LUNG_CT_LOG": form}, "start_new_session": True}
    if foreground:
        pipe = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT} if form == "json" else {}
        return subprocess.Popen(command, **place, **pipe)
    scribe.begin(instance.log)
    with scribe.start(instance.log, form).stdin as output:
        return subprocess.Popen(command, stdout=output, stderr=output, **place)


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


def find_difference(running: Instance, wished: Instance) -> str | None:
    """What tells a server that runs from the one that is wished for; None when nothing does."""
    if running.options != wished.options:
        return "with other options"
    started_s = (running.run / "instance.json").stat().st_mtime  # written at each start
    if (running.store / "lung_ct.mar").stat().st_mtime > started_s:
        return "with the archive as it was before"
    return None


def check_machine(ports: tuple[int, ...]) -> str | None:
    """None where a server can start here, else why not."""
    if busy := find_busy(ports):
        others = "set LUNG_CT_PORTS to five free ones or stop what listens there."
        return f"port {', '.join(map(str, busy))} is in use; {others}"
    if unreadable := find_unreadable_gpus():
        advice = "give indexes as nvidia-smi has them and no spaces, such as CUDA_VISIBLE_DEVICES=0"
        return f"TorchServe cannot read the GPU {unreadable[0]!r}; {advice}."
    return None


def check_front(front: str, archive: Path) -> str | None:
    """None where this environment and the archive have what a front needs, else what is lacking."""
    if front == "torchserve":
        return None
    with zipfile.ZipFile(archive) as packed:
        if WORKER not in packed.namelist():
            return f"{archive} is of before --front asgi; `make archive ARGS=--force` builds it anew."
    from lungct_tools.packages.lacking import explain_lacking  # takes long to load

    return explain_lacking("asgi")


def prepare(instance: Instance, archive: Path, seal: Path, chosen: list[str]) -> tuple[Path, Path]:
    """Fill the run folder: the settings, and the folder of a copy of the archive that was found to be good.

    Raises:
        ArchiveError: it is not the one that was sealed, or is set up wrongly, or with more workers than fit here.
    """
    (instance.run / "no-workflows").mkdir(exist_ok=True)
    check_ours(instance.run / "no-workflows")
    copy = take(archive, seal, Path(instance.temp) / "store")
    workers, most = read_settings(copy)["minWorkers"], 2 * count_most()  # an update tries it on half of the cores
    if workers > most:
        raise ArchiveError(f"{archive}: minWorkers is {workers}; more than {most} are refused on these cores.")
    return write_settings(instance, copy.parent, chosen), copy.parent


def finish(instance: Instance) -> None:
    """What may wait until Java is at work: the record of the server, and its canary. OSError, and no server, if not."""
    from lungct_tools.server.canary import draw_canary  # brings NumPy

    try:
        instance.write()
        draw_canary(instance)
    except OSError:
        stop(instance)
        raise


def start(args: argparse.Namespace) -> int:
    """Start the server that the options name; the exit code.

    Raises:
        ArchiveError: its archive cannot be served.
        ServerError: its run folder cannot be used.
        OSError: a file in it cannot be written.
    """
    run, store = resolve(args.run), args.store.resolve()
    archive, seal = store / NAME, (args.seal or find_seal(store / NAME)).resolve()
    kept = (*(("--seal", seal) if args.seal else ()), *(("--log", args.log) if args.log != "text" else ()))
    kept += ("--traces", args.traces) if args.traces else ()
    kept += ("--front", args.front) if args.front != FRONTS[0] else ()
    options = ("--run", run, "--store", store, "--ports", *args.ports, *kept, *(f"--set={each}" for each in args.set))
    instance = Instance(run, tuple(args.ports), options=tuple(map(str, options)))
    check_ours(run)
    running = Instance.read(run)
    if running.running:
        difference = find_difference(running, instance)
        print(
            f"serve: a server {difference or 'like this'} already runs from {run}; `make stop` ends it", file=sys.stderr
        )
        return 2 if difference or args.foreground else 0
    check_seal(archive, seal)
    if reason := check_machine(instance.ports) or check_front(args.front, archive):
        print(f"serve: {reason}", file=sys.stderr)
        return 2
    claim(run)
    instance = replace(instance, temp=make_temp(run, running.temp))
    settings, copy = prepare(instance, archive, seal, args.set)
    with holding_back(signal.SIGTERM, signal.SIGINT):  # a server that is not recorded would be nobody's to end
        process = launch(instance, settings, copy, args.foreground, args.log)
        instance = replace(instance, pid=process.pid, birth=read_birth(process.pid))
        finish(instance)
    if args.foreground:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop(instance))
        return follow(process)
    from lungct_tools.server.startup import read_log, wait_ready  # brings requests

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


def main() -> int:
    parser = make_parser(__doc__)
    add_run_option(parser)
    parser.add_argument("--store", type=Path, default=ROOT / "model_store", help="folder that holds lung_ct.mar")
    parser.add_argument("--seal", type=Path, help="file with the archive's sha256 (default: beside the archive)")
    parser.add_argument(
        "--ports",
        type=port,
        nargs=5,
        default=default_ports(),
        metavar=("INFERENCE", "MANAGEMENT", "METRICS", "GRPC_INFERENCE", "GRPC_MANAGEMENT"),
        help="default: $LUNG_CT_PORTS or 8080 8081 8082 7070 7071",
    )
    parser.add_argument("--front", choices=FRONTS, default=FRONTS[0], help="what speaks HTTP (default %(default)s)")
    help_set = "a setting over config/config.properties"
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help=help_set)
    parser.add_argument("--log", choices=("text", "json"), default="text", help="a line as text or JSON (%(default)s)")
    parser.add_argument(
        "--traces",
        default=os.environ.get("LUNG_CT_TRACES", ""),
        metavar="URL",
        help="OTLP/HTTP collector (default: $LUNG_CT_TRACES or none)",
    )
    parser.add_argument("--foreground", action="store_true", help="stay, log to standard output, stop on SIGTERM")
    parser.add_argument("--deadline", type=float, default=180, help="seconds to become ready (default %(default)s)")
    args = parser.parse_args()
    if 0 in args.ports or len({*args.ports}) < len(args.ports):
        parser.error("--ports must be five different ports, none of them 0")
    try:
        return start(args)
    except (ArchiveError, ServerError) as error:
        print(f"serve: {error}", file=sys.stderr)
    except OSError as error:  # a full disk, above all
        print(f"serve: {error.filename or args.run}: {error.strerror}.", file=sys.stderr)
    return 2
