"""What the model was meant to reach, and whether it does: the table of the card."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple


class Row(NamedTuple):
    """One line of the table: on what, what is measured, version 1.4, wanted, reached, and whether that is met."""

    judged_on: str
    measure: str
    before: str
    wanted: str
    reached: str
    met: bool


def show(value: float | None, percent: bool = False) -> str:
    """A number as people read it."""
    if value is None or value != value:
        return "none"
    return f"{value:.0%}" if percent else f"{value:.2f}"


def at_least(limit: float) -> Callable[[float | None], bool]:
    """Whether a number is there and reaches `limit`."""
    return lambda value: value is not None and value >= limit


def at_most(limit: float) -> Callable[[float | None], bool]:
    """Whether a number is there and does not pass `limit`."""
    return lambda value: value is not None and value <= limit


def list_rows(found: dict[str, Any]) -> list[Row]:
    """Every row whose data was there."""
    pasted, cuts, drawn, reports = found["pasted"], found["shortcuts"], found["phantoms"], found["reports"]["all"]
    interval = pasted["intervals"]

    def bounded(name: str) -> str:
        low, high = interval[name]
        return f"{pasted[name]:.2f} ({low:.2f} to {high:.2f})"

    here = "pasted, unseen patients and backgrounds"
    rows = [
        Row(
            here,
            "balanced accuracy",
            "0.37",
            ">= 0.74",
            bounded("balanced_accuracy"),
            at_least(0.74)(pasted["balanced_accuracy"]),
        ),
        Row(here, "Benign recall", "0.00", ">= 0.60", bounded("Benign"), at_least(0.60)(pasted["Benign"])),
        Row(
            here,
            "Benign recall from 7 mm",
            "-",
            ">= 0.72",
            show(pasted["benign_recall_7mm"]),
            at_least(0.72)(pasted["benign_recall_7mm"]),
        ),
        Row(here, "Malignant recall", "0.26", ">= 0.86", bounded("Malignant"), at_least(0.86)(pasted["Malignant"])),
        Row(
            here,
            "AUC, Benign against Malignant",
            "0.59",
            ">= 0.93",
            f"{show(pasted['benign_malignant_auc'])} (diameter alone {show(pasted['diameter_alone_auc'])})",
            at_least(0.93)(pasted["benign_malignant_auc"]),
        ),
    ]
    for size, limit in (("0", 0.90), ("7", 0.93), ("10", 0.97)):
        value = pasted["present_auc"][size]
        name = "AUC, nodule present" + (f", from {size} mm" if size != "0" else "")
        rows.append(
            Row(here, name, "0.53" if size == "0" else "-", f">= {limit:.2f}", show(value), at_least(limit)(value))
        )
    if boxed := found.get("lungdx_a0001"):
        here = "real, another scanner: lungdx_a0001"
        aucs = list(boxed["auc_by_series"].values())
        rows += [
            Row(
                here,
                "boxes touched by the strongest cell",
                "14 of 20",
                f">= 19 of {boxed['boxes']}",
                f"{boxed['touched']} of {boxed['boxes']}",
                boxed["touched"] >= 19,
            ),
            Row(
                here,
                "AUC by series, tumour against slices 20 mm and more away",
                "0.50",
                ">= 0.97",
                ", ".join(show(value) for value in aucs),
                all(at_least(0.97)(value) for value in aucs),
            ),
            Row(
                here,
                "those far slices called Malignant",
                "87%",
                "<= 10%",
                show(boxed["far_called_malignant"], True),
                at_most(0.10)(boxed["far_called_malignant"]),
            ),
        ]
    if series := found.get("lidc_0001"):
        here = "real, another scanner: lidc_0001"
        rows += [
            Row(
                here,
                "rank of the slice with the nodule, by 1 - P(Normal)",
                "-",
                f"1 or 2 of {series['slices']}",
                f"{series['rank']['anything']} (by P(Malignant) {series['rank']['malignant']})",
                series["rank"]["anything"] <= 2,
            ),
            Row(
                here,
                "nodule-free slices reported Malignant",
                "most",
                "none",
                str(series["free_reported_malignant"]),
                series["free_reported_malignant"] == 0,
            ),
        ]
    labelled = found["labelled"]
    normal = labelled["called"]["Normal"]
    called = normal["Malignant"] / max(1, sum(normal.values()))
    here = "IQ-OTH/NCCD, cases that training did not see"
    rows += [
        Row(
            here,
            "AUC, Malignant (none was trained on) against Normal",
            "1.00",
            ">= 0.92",
            show(labelled["malignant_normal_auc"]),
            at_least(0.92)(labelled["malignant_normal_auc"]),
        ),
        Row(here, "normal slices called Malignant", "0%", "<= 2%", show(called, True), at_most(0.02)(called)),
    ]
    for sigma, limit, before in (("1", 0.03, "10%"), ("2", 0.03, "90%"), ("3", 0.05, "100%")):
        value = cuts["smoothed"][sigma]
        rows.append(
            Row(
                "short cuts",
                f"normal slices called Malignant after a Gaussian of sigma {sigma}",
                before,
                f"<= {limit:.0%}",
                show(value, True),
                at_most(limit)(value),
            )
        )
    rows.append(
        Row(
            "short cuts",
            "labels changed by other surroundings",
            "up to 6%",
            "<= 3%",
            show(cuts["changed_by_surroundings"], True),
            at_most(0.03)(cuts["changed_by_surroundings"]),
        )
    )
    points = [drawn[kind]["strongest_cell_on_nodule"] for kind in ("smooth", "spiculated")]
    rows += [
        Row(
            "drawn phantoms",
            "without a nodule called Normal",
            "nearly none",
            ">= 80%",
            show(drawn["without_called_normal"], True),
            at_least(0.80)(drawn["without_called_normal"]),
        ),
        Row(
            "drawn phantoms",
            "strongest cell on the drawn nodule, smooth and spiculated",
            "no",
            ">= 80%",
            " and ".join(show(value, True) for value in points),
            all(at_least(0.80)(value) for value in points),
        ),
    ]
    known = [name for name, count in reports["called"].items() if count["reported"]]
    here = "real slices that set nothing and were not trained on, every source"
    rows += [
        Row(
            here,
            "accuracy among reported",
            "0.97 in its own set",
            ">= 0.95",
            show(reports["right"]),
            at_least(0.95)(reports["right"]),
        ),
        Row(
            here,
            "share reported",
            "40%",
            ">= 30%",
            show(reports["reported"], True),
            at_least(0.30)(reports["reported"]),
        ),
        Row(
            here,
            "classes reported",
            "Malignant",
            "Normal and Malignant",
            ", ".join(known) or "none",
            {"Normal", "Malignant"} <= set(known),
        ),
    ]
    return rows
