"""Change the number of workers and wait until that many are READY.

    lungct scale 2

Workers x threads (config/model-config.yaml) should equal the cores; more than four for each core are refused, as each
holds hundreds of MB. Exit codes: 0 done, 1 not in time, 2 too many, 3 server down.
"""

from __future__ import annotations

import json
import sys

from rich.console import Console

from lungct_client import Client, Local, RefusedError, ServerError, TokenError
from lungct_tools.commandline import add_run_option, make_parser
from lungct_tools.server.choice import connect
from lungct_tools.server.health import count_ready
from lungct_tools.server.modelconfig import MOST_A_CORE, count_most
from lungct_tools.server.polling import poll
from lungct_tools.server.status import show_workers


def wait_workers(client: Client, workers: int, deadline_s: float) -> bool:
    """True once exactly `workers` exist and all are READY."""
    with Console(stderr=True).status("scale: waiting") as status:
        for _ in poll(deadline_s, 0.2):
            description = client.describe()
            ready = count_ready(description)
            if ready == len(description["workers"]) == workers:
                return True
            status.update(f"scale: {ready} of {workers} READY")
    return False


def main() -> int:
    parser = make_parser(__doc__)
    add_run_option(parser)
    parser.add_argument("workers", type=int, help="how many workers, 0 or more")
    parser.add_argument("--deadline", type=float, default=120, help="seconds to wait (default %(default)s)")
    parser.add_argument("--json", action="store_true", help="print the workers as JSON")
    args = parser.parse_args()
    if not 0 <= args.workers <= count_most():
        parser.error(f"workers must be 0 to {count_most()}, {MOST_A_CORE} for each core of this machine")
    try:
        client = connect(Local.read(args.run))
        client.scale(args.workers)
        done = wait_workers(client, args.workers, args.deadline)
        workers = client.describe()["workers"]
        if args.json:
            print(json.dumps({"ready": done, "workers": workers}))
        else:
            Console().print(show_workers(workers))
    except (ServerError, TokenError, RefusedError) as error:
        print(f"scale: {error}", file=sys.stderr)
        return 3
    if not done:
        print(f"scale: not {args.workers} READY workers within {args.deadline:g} s; see `make status`", file=sys.stderr)
        return 1
    return 0
