"""What to do next, in words, when a server or a file is not as it should be."""

from __future__ import annotations

from collections.abc import Mapping
from math import floor
from typing import Any

from lungct.gate.checks import find_doubt
from lungct_client import ServerDown, TokenError
from lungct_tools.folder.modelfacts import tell_limit

STILL_HERE = "Your files are still here: press Analyze again once it is ready."


def explain_failure(error: Exception) -> str:
    """A sentence for a call that no server answered."""
    if isinstance(error, ServerDown):
        return f"The server is not running. Start it with `make serve`. {STILL_HERE}"
    if isinstance(error, TokenError):
        return f"The server does not accept this page's token. Restart it with `make stop serve`. {STILL_HERE}"
    busy = f"The server is busy or restarting a worker ({error}). Wait a few seconds; `make status` tells more."
    return f"{busy} {STILL_HERE}"


def explain_state(state: Mapping[str, Any]) -> str:
    """A sentence for the server's state: ready with what, or what to do."""
    if state["ready"]:
        workers = len(state["workers"])  # none are told of a server behind a gateway
        told = f", {workers} worker{'s' if workers != 1 else ''}" if workers else ""
        return f"Ready: model {state['version']} on {state['engine']}{told}"
    if not state["live"]:
        return "Not running. Start it with `make serve`."
    if not state["workers"]:
        return f"Not ready: {state['reason']}. Unless it is just starting, `make scale WORKERS=1` brings a worker."
    return f"Not ready yet: {state['reason']}. It may still be loading; `make status` tells more."


def explain_decision(reply: Mapping[str, Any], refer_below: Mapping[str, float]) -> tuple[str, str]:
    """Headline and reason of a reply's decision, given the contract's limit of confidence of each class."""
    label = reply["label"]
    if reply["decision"] != "refer":
        return "Report", "The slice passed the model's own limit for this class. The model can still be wrong."
    if label not in refer_below:
        reason = "No limit of confidence is known for this model, so every slice is referred."
    elif min(refer_below.values()) > 1:
        reason = "No confidence of this model is trusted: every slice is referred."
    elif refer_below[label] > 1:
        reason = f"No confidence of this model is trusted for slices that it calls {label}: all of them are referred."
    elif reply["confidence"] < refer_below[label]:
        confidence = floor(1000 * reply["confidence"]) / 10  # never as high as the limit that it is under
        limit = f"{tell_limit(refer_below[label])} for {label}"
        reason = f"The confidence, {confidence:.1f}%, is below this model's limit of {limit}."
    else:
        reason = find_doubt(reply["warnings"], label) or "The slice is unlike those that the model was trained on."
    return "Refer", f"A person must read this slice; do not rely on the class. {reason}"
