"""Put another archive in the place of the one that is served, once it has shown that it works.

    make archive ARGS='--model my_model --out new'
    make update MAR=new/lung_ct.mar

A second server starts from the new archive, on other ports, and must score a canary; callers notice nothing. Only then
the archive takes its place in the model store (the old one stays beside it, as lung_ct.mar.previous: updating to that
goes back) and the server restarts. Callers of the gateway get 503 with Retry-After meanwhile, for some seconds. Beside
each archive its seal has to lie, as `lungct archive` writes it.

Exit codes: 0 the new archive serves, 1 it did not become ready, or could not be put in its place: the old one serves
on, 2 that file is no archive or not the one that was sealed, 3 no server runs, 4 in its place it was not ready after
all: the old one is back there.
"""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console

from lungct_tools.commandline import add_run_option, compose, make_parser
from lungct_tools.proxy.record import find
from lungct_tools.server.health import check_ready
from lungct_tools.server.instance import Instance, find_ports
from lungct_tools.server.polling import poll
from lungct_tools.server.runfolder import resolve, write_whole
from lungct_tools.server.seal import NAME, ArchiveError, find_seal, take, write_seal
from lungct_tools.server.shutdown import send, stop


def serve(*options: object) -> bool:
    """Start a server as a user does and wait; False when it does not become ready, which it has said by then."""
    command = compose("serve", *options)
    return subprocess.run(command, stdout=subprocess.DEVNULL, check=False).returncode == 0


def try_out(archive: Path, instance: Instance, deadline_s: float) -> bool:
    """Whether a server of its own, set up like `instance`, becomes ready with a sealed archive in a folder of ours."""
    run, seal = archive.parent / "run", find_seal(archive)
    place = ("--run", run, "--store", archive.parent, "--seal", seal, "--ports", *find_ports(5))
    try:
        with Console(stderr=True).status("update: trying the new archive beside the server"):
            return serve(
                *instance.options, *place, "--deadline", deadline_s
            )  # of options that stand twice the last ones count
    finally:
        stop(Instance.read(run))


def put(archive: Path, store: Path, seal: Path) -> None:
    """Give a sealed archive its place in one stroke, and its seal; the one before stays as .previous, with its own.

    What may fail for want of room or leave comes first: OSError leaves the one that is there as it is.
    """
    fresh, place, previous = store / f"{NAME}.new", store / NAME, store / f"{NAME}.previous"
    vouched = seal.with_name(f"{seal.name}.next")
    shutil.copy(archive, fresh)
    write_whole(vouched, find_seal(archive).read_text())
    if place.exists():
        shutil.copy(place, store / f"{NAME}.previous.new")
        (store / f"{NAME}.previous.new").replace(previous)
        write_whole(find_seal(previous), seal.read_text() if seal.is_file() else "")
    fresh.replace(place)
    vouched.replace(seal)


def restart(instance: Instance, deadline_s: float) -> str | None:
    """Start the server again; None once it is ready, else why it is not."""
    gateway = find(instance.run)
    if gateway is None or not gateway.revives:
        stop(instance)
        return None if serve(*instance.options, "--deadline", deadline_s) else "see above"
    running = Instance.read(instance.run)  # another than at first, if it was started again during the trial
    before = running.pid
    send(running, signal.SIGTERM)  # the gateway's watchdog, or who supervises, starts another one at once
    reason: str | None = "nobody started it"
    with Console(stderr=True).status("update: waiting for the server"):
        for _ in poll(deadline_s, 0.2):
            now = Instance.read(instance.run)
            if now.pid not in (0, before):
                reason = check_ready(now)
                if reason is None:
                    return None
    return reason


def main() -> int:
    parser = make_parser(__doc__)
    add_run_option(parser)
    parser.add_argument("archive", type=Path, help="the new lung_ct.mar")
    parser.add_argument("--deadline", type=float, default=180, help="seconds to become ready (default %(default)s)")
    args = parser.parse_args()
    instance = Instance.read(resolve(args.run))
    with tempfile.TemporaryDirectory(prefix="lung-ct-update-") as folder:
        try:
            candidate = take(args.archive, find_seal(args.archive), Path(folder))  # what is tried is what is put there
        except ArchiveError as error:
            print(f"update: {error}", file=sys.stderr)
            return 2
        if not instance.running:
            print("update: no server runs; start one with `make serve`.", file=sys.stderr)
            return 3
        write_seal(candidate)
        if not try_out(candidate, instance, args.deadline):
            print("update: the new archive does not work, see above; the old one serves on.", file=sys.stderr)
            return 1
        try:
            put(candidate, instance.store, instance.seal)
        except OSError as error:
            print(f"update: {error}; the old archive serves on.", file=sys.stderr)
            return 1
    if reason := restart(instance, args.deadline):
        put(instance.store / f"{NAME}.previous", instance.store, instance.seal)
        again = restart(instance, args.deadline)
        state = f"is not ready either: {again}" if again else "serves again"
        print(f"update: not ready with the new archive: {reason}. The old one is back and {state}.", file=sys.stderr)
        return 4
    print(f"update: {args.archive} serves")
    return 0
