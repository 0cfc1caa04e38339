"""What a reader must know of a model before believing it, told from its contract (model.json)."""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil
from typing import Any

ABOUT = "about_model"
NEVER = "never reported"  # beside a class of which the model reports no slice
FOUND = 0.05  # recall below which a class is as good as never found


def list_never_reported(contract: Mapping[str, Any]) -> list[str]:
    """The classes of which no slice is reported, whatever the confidence: a limit above 1, or none, says so."""
    limits = contract.get("refer_below", {})
    return [name for name in contract["classes"] if limits.get(name, 2.0) > 1]


def tell_never(contract: Mapping[str, Any]) -> str:
    """The same as a sentence; empty where every class may be reported."""
    never = list_never_reported(contract)
    if len(never) == len(contract["classes"]):
        return "This model reports nothing: every slice is referred to a person."
    return f"This model never reports {_join(never)}: such slices are always referred." if never else ""


def tell_model(contract: Mapping[str, Any]) -> dict[str, str]:
    """Facts by name, those that matter most first; only such as the contract holds."""
    metrics, limits, never = contract.get("metrics", {}), contract.get("refer_below", {}), list_never_reported(contract)
    allowed = [name for name in contract["classes"] if name not in never]
    reported = [f"{name} from a confidence of {tell_limit(limits[name])}" for name in allowed]
    missed = [name for name in contract["classes"] if metrics.get(f"recall_{name.lower()}", 1.0) < FOUND]
    facts = {
        "Reports": _join(reported) or "nothing: every slice is referred to a person",
        "Never reports": _join(never),
        "Does not find": f"{_join(missed)}: such slices are given another class" if missed else "",
        "Made from": contract.get("data", ""),
        "Judged by": metrics.get("of", ""),
    }
    if reported and "reported_accuracy" in metrics:
        facts["Right among those reported"] = (
            f"{metrics['reported_accuracy']:.0%}, and {_tell_share(metrics['reported_share'])} of the slices are "
            f"reported, as judged above{_tell_cases(metrics)}; the model card has the interval"
        )
    elif reported and metrics.get("reported_share") == 0:
        facts["Right among those reported"] = "not known: none of the slices that it was judged on was reported"
    facts["Not known"] = (
        "how it does on scanners, kernels, slice thicknesses and patients that it was not judged on; expect worse"
    )
    return {name: fact for name, fact in facts.items() if fact}


def tell_limit(limit: float) -> str:
    """A limit of confidence as people read it, never lower than it is: 0.9969 is 99.7%, which 99.6% does not reach."""
    return f"{ceil(round(1000 * limit, 6)) / 10:g}%"


def tell_once(facts: Mapping[str, str]) -> dict[str, str]:
    """The facts as one text by the name that they have in tables: a cell, or a file's metadata."""
    return {ABOUT: " | ".join(f"{name}: {fact}" for name, fact in facts.items())}


def _tell_share(share: float) -> str:
    """A share as whole per cent; a small one with two digits: half of a per cent is not one."""
    return f"{share:.0%}" if share >= 0.1 else f"{100 * share:.2g}%"


def _join(names: list[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def _tell_cases(metrics: Mapping[str, Any]) -> str:
    if "reported_cases" not in metrics:
        return ""
    right, count = metrics["reported_cases"]
    return f", in {right} of {count} patients or cases without an error"
