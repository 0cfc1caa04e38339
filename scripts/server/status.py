"""Show the server: ready or not and why, model, engine, workers; and a canary or shadow that is under way.

    lungct status [--json]

Exit codes: 0 ready, 1 not ready.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from lungct_client import Client, Gateway, Local, RefusedError, ServerError, TokenError
from lungct_tools.commandline import add_run_option, make_parser
from lungct_tools.server.deputy import find_asked, find_deputy, find_route
from lungct_tools.server.health import check_live, check_ready
from lungct_tools.server.instance import Instance
from lungct_tools.server.ledger import ask
from lungct_tools.server.processes import read_resident


def describe(server: Local | Gateway) -> dict[str, Any]:
    """State, model and workers as one document; of a server behind a gateway no workers are told."""
    if isinstance(server, Gateway):
        return describe_remote(Client(server, deadline_s=0))
    try:
        instance = find_asked(Instance.read(server.run))  # during an update its deputy answers
    except ServerError as error:  # its record is damaged
        return {"live": False, "ready": False, "reason": str(error), "workers": []}
    if (reason := check_live(instance)) is not None:
        return {"live": False, "ready": False, "reason": reason, "workers": []}
    reason = check_ready(instance)
    document: dict[str, Any] = {"live": True, "ready": reason is None, "reason": reason, "workers": []}
    client = Client(instance, deadline_s=0)
    try:
        document["workers"] = client.describe()["workers"]
        contract = client.contract() if reason is None else {}
    except (ServerError, RefusedError, TokenError) as error:
        return {**document, "reason": document["reason"] or str(error)}
    return {**document, **{k: contract[k] for k in ("version", "engine", "classes") if k in contract}}


def describe_candidate(run: Path) -> dict[str, Any]:
    """The canary or shadow that is under way, if one is: kind, share, whether its server runs, its model's version if
    told; of a shadow what was counted."""
    deputy = find_deputy(run)
    if deputy is None or not deputy.percent:
        return {}
    state: dict[str, Any] = {"kind": deputy.kind, "percent": deputy.percent, "running": False}
    if deputy.shadow and (counted := ask(run)):
        state["counted"] = counted["shadow"]
    with suppress(ServerError, RefusedError, TokenError):
        if candidate := find_route(Instance.read(run)).candidate:
            state["running"] = True
            state["version"] = Client(candidate, deadline_s=0, timeout_s=5).contract()["version"]
    return {"candidate": state}


def show_candidate(state: dict[str, Any]) -> str:
    """A sentence for people."""
    if not state["running"]:
        told = "[yellow]its server has ended[/], so all requests go to the model above; `lungct update --back`"
        return f"{state['kind']}: {told}"
    model = f"model {state['version']}" if "version" in state else "a model that does not answer"
    how = "are copied for" if state["kind"] == "shadow" else "go to"
    told = f"{state['kind']}: {state['percent']:g} % of the gateway's requests {how} {escape(model)}"
    return f"{told}; {show_comparison(state['counted'])}" if "counted" in state else told


def show_comparison(counted: Mapping[str, Any]) -> str:
    """What the gateway counted of a shadow, see its comparer, in half a sentence."""
    copies = counted["copies"]
    told = f"{copies['compared']} compared, {copies['dropped']} dropped, {copies['failed']} failed"
    if not copies["compared"]:
        return told
    label, decision = (
        sum(count for old, new, count in counted[name] if old == new) / copies["compared"]
        for name in ("labels", "decisions")
    )
    apart = counted["difference"] / copies["compared"]
    return f"{told}: same label {label:.1%}, same decision {decision:.1%}, confidence {apart:.4f} apart on average"


def describe_remote(client: Client) -> dict[str, Any]:
    """State and model of a server behind a gateway."""
    document: dict[str, Any] = {"live": False, "ready": False, "reason": None, "workers": []}
    try:
        client.ping()
        document["live"] = True
        contract = client.contract()
        client.call("GET", "inference", "/readyz")
    except (ServerError, RefusedError, TokenError) as error:
        return {**document, "reason": str(error)}
    return {**document, "ready": True, **{k: contract[k] for k in ("version", "engine", "classes")}}


def show_workers(workers: list[dict[str, Any]]) -> Table:
    """A line a worker, with its memory of now: TorchServe's own figure may be of before it loaded the model."""
    table = Table("worker", "status", "pid", "memory MB", "GPU")
    for worker in workers:
        colour = "green" if worker["status"] == "READY" else "yellow"
        table.add_row(
            worker["id"],
            f"[{colour}]{worker['status']}[/]",
            str(worker["pid"]),
            show_memory(worker["pid"]),
            str(worker["gpu"]),
        )
    return table


def show_memory(pid: int) -> str:
    """MB of a process, "?" when it has ended."""
    try:
        return f"{read_resident(Path(f'/proc/{pid}')) / 1e6:.0f}"
    except OSError:
        return "?"


def main() -> int:
    parser = make_parser(__doc__)
    add_run_option(parser)
    parser.add_argument("--json", action="store_true", help="print the state as JSON")
    args = parser.parse_args()
    document = {**describe(Local(args.run)), **describe_candidate(args.run)}
    if args.json:
        print(json.dumps(document))
    else:
        console = Console()
        state = "[green]ready[/]" if document["ready"] else f"[yellow]not ready[/]: {escape(document['reason'])}"
        console.print(state, soft_wrap=True)  # a path in it stays whole
        if "engine" in document:
            console.print(f"model {document['version']} on {document['engine']}: {', '.join(document['classes'])}")
        if "candidate" in document:
            console.print(show_candidate(document["candidate"]), soft_wrap=True)
        if document["workers"]:
            console.print(show_workers(document["workers"]))
    return 0 if document["ready"] else 1
