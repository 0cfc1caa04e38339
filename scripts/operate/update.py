"""Put another archive in the place of the one that is served, once it has shown that it works.

    make archive ARGS='--model my_model --out new'
    make update MAR=new/lung_ct.mar
    make update ARGS=--back          # to the archive of before
    make update MAR=new/lung_ct.mar ARGS='--canary 10%'  # first a share of the gateway's requests: a canary, then
    make update MAR=new/lung_ct.mar ARGS=--shadow        # or: it scores copies of them, and the old one answers; then
    make update ARGS=--promote       # all of them, or --back to none

A second server starts from the new archive, on other ports and giving way to the first, and must score a canary;
callers notice nothing. Then the archive takes its place in the model store (the old one stays beside it, as
lung_ct.mar.previous) and the server restarts. Where a gateway runs, it asks the second server meanwhile, and no request
is lost; without one, callers find nobody for some seconds. Beside each archive its seal has to lie, as `lungct archive`
writes it.

A canary needs a gateway. The second server, half of the threads and niced until it is promoted, answers that share of
the requests by their id; what it does not answer the first one does. So does a shadow, whose server gets copies: what
it says is compared and counted. `lungct status` tells of either, `make stop` ends it.

Exit codes: 0 the new archive serves, or has its share, 1 it did not become ready, could not be put in its place, finds
no room beside the old one, or another update, canary or shadow, or the gateway, is in its way: the old one serves on;
2 that file is no archive or not the one that was sealed, or there is none of before, or nothing to promote, 3 no server
runs, 4 in its place it was not ready after all: the old one is back there, or the message says why not.
"""

from __future__ import annotations

import argparse
import fcntl
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path

from rich.console import Console

from lungct_tools.operate.order import find_archive, read_options, say_done
from lungct_tools.operate.place import put
from lungct_tools.operate.trial import hand_back, hand_over, serve, share_out, try_out
from lungct_tools.proxy.record import find, find_guard
from lungct_tools.proxy.turning import HiddenError, list_asked
from lungct_tools.server.courtesy import Share
from lungct_tools.server.deputy import FOLDER, RUN, end_deputy, find_deputy, find_route, is_divided, note
from lungct_tools.server.health import check_ready
from lungct_tools.server.instance import Instance
from lungct_tools.server.polling import poll
from lungct_tools.server.room import check_room
from lungct_tools.server.runfolder import check_ours, open_lock, resolve
from lungct_tools.server.seal import NAME, ArchiveError, check_seal, find_seal, take, write_seal
from lungct_tools.server.shutdown import send, stop

NOBODY = "no server runs; start one with `make serve`."
UNDIVIDED = "this needs a running gateway, which divides the requests; start one with `make gateway`."


def restart(instance: Instance, deadline_s: float, share: Share | None = None) -> str | None:
    """Start the server again; None once it is ready, else why it is not.

    `share`: what it had of the machine, and has once it is ready; until then it gives way to a deputy. None: no deputy.
    """
    gateway = find(instance.run)
    if gateway is None or not gateway.revives:
        stop(instance)
        with share.lower().lend() if share else nullcontext():
            reason = None if serve(*instance.options, "--deadline", deadline_s) else "see above"
    else:
        reason = await_another(instance, deadline_s, share)
    if share:
        Share(share.niceness).give(Instance.read(instance.run))
    return reason


def await_another(instance: Instance, deadline_s: float, share: Share | None) -> str | None:
    """End the server: the gateway's watchdog, or who supervises, starts another one at once. As `restart`."""
    last = Instance.read(instance.run)  # another than at first, if it was started again during the trial
    before = last.pid
    send(last, signal.SIGTERM)
    reason: str | None = "nobody started it"
    with Console(stderr=True).status("update: waiting for the server"):
        for _ in poll(deadline_s, 0.2):
            now = Instance.read(instance.run)
            if now.pid in (0, before):
                continue
            if share and now.pid != last.pid:
                share.lower().give(now)
            last = now
            reason = check_ready(now)
            if reason is None:
                return None
    return reason


@contextmanager
def locking(run: Path) -> Iterator[bool]:
    """Whether this is the only update that is under way from a run folder; nobody starts another one meanwhile."""
    with open_lock(run / "update.lock") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True


def refuse(sentence: object, code: int = 1) -> int:
    print(f"update: {sentence}", file=sys.stderr)
    return code


def check_start(instance: Instance, archive: Path) -> str | None:
    """None where a second server can be started, else why not; one that is left and that nobody asks is ended."""
    run = instance.run
    try:
        busy = {run / RUN, run / FOLDER} & list_asked(run)
    except HiddenError as error:
        return str(error)
    left = find_deputy(run)
    if left and left.percent:
        return f"a {left.kind} is under way; `lungct update --promote` or `--back` comes first"
    if busy or (left and left.asked and (find(run) or find_guard(run))):
        return "an update was ended half-way, and its server answers until the first is ready; try again then"
    end_deputy(run)
    return check_room(instance, archive)


def leave(instance: Instance) -> None:
    """End the second server, unless callers may still depend on it: then the gateway ends it, see turning.relieve."""
    if find_route(instance).server is not instance:  # the server does not start, and somebody has to answer
        return
    if is_divided(instance.run):
        return
    done = False
    with suppress(HiddenError):
        done = not {instance.run / RUN, instance.run / FOLDER} & list_asked(instance.run)
    if done:
        end_deputy(instance.run)
    else:
        print("update: the gateway is not done with the second server yet, and ends it then.", file=sys.stderr)


def bring(instance: Instance, archive: Path, args: argparse.Namespace) -> int:
    """Try a sealed archive, then put it in its place, or give it a share of the requests; the exit code.

    Raises:
        ArchiveError: it is no archive, or not the one that was sealed.
        HiddenError: see `list_asked`.
        OSError: a file cannot be written.
    """
    note(instance.run, asked=False)
    candidate = take(archive, find_seal(archive), instance.run / FOLDER)  # what is tried is what is put there
    write_seal(candidate)
    if not try_out(candidate, instance, args.deadline):
        return refuse("the new archive does not work, see above; the old one serves on.")
    if not (args.canary or args.shadow):
        return change(instance, candidate, args.deadline)
    if not share_out(instance, args.canary or args.shadow, shadow=bool(args.shadow)):
        return refuse("the gateway divides nothing; stop it and start it again. The old archive serves on.")
    return 0


def settle(instance: Instance, promote: bool, deadline_s: float) -> int:
    """Put the archive of what is under way in its place, or take its share back; the exit code. Raises as `bring`."""
    if not is_divided(instance.run):
        return refuse("it has just ended.")
    if not promote:
        with suppress(OSError):  # a full disk; else this process ends the server, and the gateway does not
            note(instance.run, asked=False)
        hand_back(instance)
        return 0
    if find(instance.run) is None:
        return refuse(UNDIVIDED)
    if reason := check_ready(Instance.read(instance.run / RUN)):
        return refuse(f"its server is not ready: {reason}; `lungct update --back` ends it.")
    archive = instance.run / FOLDER / NAME
    check_seal(archive, find_seal(archive))
    return change(instance, archive, deadline_s)


def change(instance: Instance, archive: Path, deadline_s: float) -> int:
    """Put a sealed archive in its place that a second server was tried with; the exit code."""
    guarded, share = find(instance.run) is not None, Share.read(instance.pid)
    if not guarded:
        print("update: no gateway runs, so callers find nobody while the server restarts.", file=sys.stderr)
        stop(Instance.read(instance.run / RUN))
    elif not hand_over(instance, deadline_s):
        return refuse("the gateway asks no other server; stop it and start it again. The old archive serves on.")
    try:
        put(archive, instance.store, instance.seal)
    except OSError as error:
        if guarded:
            hand_back(instance)
        return refuse(f"{error}; the old archive serves on.")
    reason, again = restart(instance, deadline_s, share if guarded else None), None
    if reason:
        previous = instance.store / f"{NAME}.previous"
        try:
            put(previous, instance.store, instance.seal)
        except OSError as error:
            return refuse(f"not ready with the new archive: {reason}. Nor can {previous} be put back: {error}.", 4)
        again = restart(instance, deadline_s, share if guarded else None)
    if guarded and not again:
        hand_back(instance)
    if reason:
        state = f"is not ready either: {again}" if again else "serves again"
        if again and guarded:
            state += "; until it is, the one that was tried answers"
        return refuse(f"not ready with the new archive: {reason}. The old one is back and {state}.", 4)
    return 0


def act(args: argparse.Namespace, instance: Instance, archive: Path | None) -> int:
    """Update to an archive, or settle what is under way; the exit code. One at a time, see `locking`."""
    if archive and (reason := check_start(instance, archive)):
        return refuse(f"{reason}; the old archive serves on.")
    try:
        if archive:
            return bring(instance, archive, args)
        return settle(instance, args.promote, args.deadline)
    except ArchiveError as error:
        return refuse(error, 2)
    except (OSError, HiddenError) as error:  # a full disk, above all
        return refuse(f"{error}.")
    finally:
        leave(instance)


def main() -> int:
    args = read_options(__doc__)
    run = resolve(args.run)
    check_ours(run)
    instance = Instance.read(run)
    settling = is_divided(run) and not args.archive
    if args.back and not (settling or instance.options):  # which name the place of the archives
        return refuse(NOBODY, 3)
    try:
        archive = None if settling else find_archive(args, instance)
    except ArchiveError as error:
        return refuse(error, 2)
    if not instance.running and not (settling and args.back):
        return refuse(NOBODY, 3)
    if (args.canary or args.shadow) and not (find(run) or find_guard(run)):
        return refuse(UNDIVIDED)
    with locking(run) as only:
        code = act(args, instance, archive) if only else refuse("another update is under way.")
    if code == 0:
        print(f"update: {say_done(args, settling)}")
    return code
