"""Stop the server that `make serve` started, with all its workers.

    python scripts/stop.py

A gateway before it is drained first: it refuses new requests and finishes those in flight. TorchServe has no drain of
its own. Where the gateway does not end, the server is left to it.

Exit codes: 0 stopped or not running, 1 it would not stop.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import time
from contextlib import suppress

from scripts.instance import Instance, add_run_option, make_parser
from scripts.proxy.record import drain

DRAIN_S = 160.0  # after the notice; a little over worker_shutdown_timeout of config/nginx/nginx.conf


def group_is_alive(pid: int) -> bool:
    """Whether any process of the group that `pid` leads is left."""
    try:
        os.killpg(pid, 0)
    except ProcessLookupError:
        return False
    return True


def end(instance: Instance, grace_s: float = 20) -> bool:
    """End the whole process group, by force after `grace_s`. True once it is gone."""
    if not instance.pid:  # none was started; signals to group 0 would reach our own
        return True
    for number, patience_s in ((signal.SIGTERM, grace_s), (signal.SIGKILL, 5.0)):
        with suppress(ProcessLookupError):
            os.killpg(instance.pid, number)
        ends = time.monotonic() + patience_s
        while group_is_alive(instance.pid) and time.monotonic() < ends:
            with suppress(ChildProcessError):
                os.waitpid(-instance.pid, os.WNOHANG)
            time.sleep(0.05)
        if not group_is_alive(instance.pid):
            break
    return not group_is_alive(instance.pid)


def stop(instance: Instance) -> bool:
    """End the server; its tokens and sockets go with it. True once it is gone."""
    ended = end(instance)
    instance.keys.unlink(missing_ok=True)
    shutil.rmtree(instance.temp, ignore_errors=True)
    (instance.run / "instance.json").unlink(missing_ok=True)
    return ended


def main() -> int:
    parser = make_parser(__doc__)
    add_run_option(parser)
    parser.add_argument("--quiet", action="store_true", help="say nothing when no server runs")
    args = parser.parse_args()
    if not drain(args.run, DRAIN_S):
        print(f"stop: the gateway of {args.run} does not end", file=sys.stderr)
        return 1
    instance = Instance.read(args.run)
    if not instance.running:
        if not args.quiet:
            print(f"stop: no server runs from {args.run}")
        return 0
    if not stop(instance):
        print(f"stop: process group {instance.pid} does not end", file=sys.stderr)
        return 1
    print("stop: stopped")
    return 0


if __name__ == "__main__":
    sys.exit(main())
