"""Stop the server that `make serve` started, with all its workers.

    lungct stop

A gateway before it is drained first: it refuses new requests and finishes those in flight. TorchServe has no drain of
its own. Where the gateway does not end, the server is left to it.

Exit codes: 0 stopped or not running, 1 it would not stop, 2 the run folder is another user's, or damaged.
"""

from __future__ import annotations

import sys

from lungct_tools.commandline import add_run_option, make_parser
from lungct_tools.proxy.keeper import end_left
from lungct_tools.proxy.record import FINISH_S, drain
from lungct_tools.server.deputy import end_deputy
from lungct_tools.server.instance import Instance
from lungct_tools.server.polling import poll
from lungct_tools.server.runfolder import check_ours, resolve
from lungct_tools.server.shutdown import stop


def main() -> int:
    parser = make_parser(__doc__)
    add_run_option(parser)
    parser.add_argument("--quiet", action="store_true", help="say nothing when no server runs")
    args = parser.parse_args()
    run = resolve(args.run)
    check_ours(run)
    if not drain(run, FINISH_S):
        print(f"stop: the gateway of {run} does not end", file=sys.stderr)
        return 1
    for _ in poll(FINISH_S, 0.05):
        if not end_left(run):  # until they have finished, whom the server still has to answer
            break
    end_deputy(run)  # left by an update that was killed
    instance = Instance.read(run)
    if not instance.running:
        if not args.quiet:
            print(f"stop: no server runs from {run}")
        return 0
    if not stop(instance):
        print(f"stop: process group {instance.pid} does not end", file=sys.stderr)
        return 1
    print("stop: stopped")
    return 0
