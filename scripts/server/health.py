"""Tell live from ready, with exit codes for probes.

    lungct health live     # 0: TorchServe answers
    lungct health ready    # 0: enough workers are READY and score a canary slice, or other batches before it
    lungct health ready --workers 2 --json

Exit codes: 0 yes, 1 no. /ping alone is no readiness: it is 200 while every worker crashes and starts again, and 500
only once TorchServe has given them up.
"""

from __future__ import annotations

import json
from typing import Any

from lungct_client import Client, RefusedError, ServerBusy, ServerDown, ServerError, ServerSilent, TokenError
from lungct_client.address import read_plain
from lungct_tools.commandline import add_run_option, make_parser
from lungct_tools.server.instance import Instance
from lungct_tools.server.processes import is_stopped

# What a server that is down, starting, stopping or sick makes a check raise; OSError where its canary is not there yet.
UNREADY = (ServerError, RefusedError, TokenError, OSError)
CANARY_TIMEOUT_S = 15  # less than the timeout of the probes in config/kubernetes and Containerfile


def count_ready(description: dict[str, Any]) -> int:
    """Workers that can answer now: TorchServe calls one READY, too, that was stopped and holds its batch."""
    return sum(worker["status"] == "READY" and not is_stopped(worker["pid"]) for worker in description["workers"])


def count_batches(client: Client) -> float:
    """Batches that the workers have answered since the server started."""
    rows = [line for line in client.metrics().splitlines() if line.startswith("lung_ct_batches_total{")]
    return sum(float(row.rpartition(" ")[2]) for row in rows)


def score_canary(client: Client, instance: Instance) -> dict[str, Any]:
    """The reply for the canary slice; metrics count it apart, so that probes do not pass for traffic.

    Raises:
        ServerBusy: as for a full queue, when it is late because others are answered before it.
    """
    before = count_batches(client)
    try:
        return client.predict(read_plain(instance.canary), canary="yes")
    except ServerSilent as error:
        if count_batches(client) > before:
            raise ServerBusy("Batches are answered, and the canary's has to wait.", 0) from error
        raise  # no worker got on; if one hangs, responseTimeout ends it


def check_live(instance: Instance) -> str | None:
    """None when TorchServe answers, whatever it says, else the reason."""
    try:
        Client(instance, deadline_s=0, timeout_s=5).ping()
    except (ServerDown, ServerSilent) as error:
        return str(error)
    except (ServerError, RefusedError, TokenError):
        pass  # an answer too
    return None


def check_ready(instance: Instance, workers: int | None = None) -> str | None:
    """None when at least `workers` (default: as many as configured) are READY and a canary is scored, else why not.

    A server that is only busy is ready: a restart would lose what it is about to answer.
    """
    if is_stopped(instance.pid):
        return "the server is stopped, not dead"
    client = Client(instance, deadline_s=0, timeout_s=CANARY_TIMEOUT_S)
    try:
        description = client.describe()
        wanted = workers if workers is not None else max(1, description["minWorkers"])
        ready = count_ready(description)
        if ready < wanted:
            return f"{ready} of {wanted} workers are READY"
        score_canary(client, instance)
    except ServerBusy:
        return None
    except UNREADY as error:
        return str(error)
    return None


def main() -> int:
    parser = make_parser(__doc__)
    add_run_option(parser)
    parser.add_argument("what", choices=("live", "ready"))
    parser.add_argument("--workers", type=int, help="ready: at least this many (default: as configured)")
    parser.add_argument("--json", action="store_true", help="print the answer as JSON")
    args = parser.parse_args()
    try:
        instance = Instance.read(args.run)
        reason = check_live(instance) if args.what == "live" else check_ready(instance, args.workers)
    except ServerError as error:  # its record is damaged
        reason = str(error)
    if args.json:
        print(json.dumps({args.what: reason is None, "reason": reason}))
    else:
        print(f"{args.what}: {'yes' if reason is None else f'no ({reason})'}")
    return 0 if reason is None else 1
