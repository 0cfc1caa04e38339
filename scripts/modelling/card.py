"""MODEL_CARD.md, from model.json, evaluation.json, unseen.json and tried.json, so that no number in it can drift."""

from __future__ import annotations

import json
from math import ceil
from pathlib import Path
from typing import Any

from lungct.model.contract import ModelContract
from lungct_tools.documents.markdown import fill, tabulate
from lungct_tools.modelling.losses import describe_losses
from lungct_tools.modelling.reproduction import describe_reproduction
from lungct_tools.modelling.table import list_cells, list_rows, show

CARD, EVALUATION, TRIED, FIGURE = "MODEL_CARD.md", "evaluation.json", "tried.json", "phantoms.png"
UNSEEN = "unseen.json"


def write_card(folder: Path, contract: ModelContract, found: dict[str, Any]) -> None:
    """Write `folder`/MODEL_CARD.md from the contract and the numbers of `evaluate`.

    What was tried against a miss is read from `folder`/tried.json, a sentence by measure, and what `unseen` found from
    `folder`/unseen.json, if these are there.
    """
    tried, unseen = (
        json.loads(path.read_text()) if (path := folder / name).is_file() else {} for name in (TRIED, UNSEEN)
    )
    sections = (
        describe_model(contract, found),
        describe_material(contract),
        describe_table(contract, found, tried),
        describe_losses(found, unseen),
        describe_decision(contract, found),
        describe_gate(found),
        describe_failures(found),
        describe_limits(found),
        *([describe_reproduction(contract, found, unseen)] if "recipe" in contract.training else []),
        describe_sources(),
    )
    (folder / CARD).write_text(fill("\n\n".join(sections)) + "\n")


def describe_model(contract: ModelContract, found: dict[str, Any]) -> str:
    pooling = contract.pooling
    return f"""# Model card: {contract.name} {contract.version}

**Research use only. Not a medical device; not for diagnosis, triage or any decision about a patient.**

A ResNet18 that sorts one axial lung-CT slice into Normal, Benign or Malignant, with calibrated probabilities, a
decision to report or refer, and Grad-CAM evidence. 7 x 7 cells of evidence are pooled by "{pooling.kind}"
{f"(log-sum-exp, r = {pooling.r:g})" if pooling.kind == "lse" else ""}, so that a small nodule counts. Weights
{found["weights_sha256"][:12]}..., {contract.licence}.

**Intended use:** research on classifiers and their explanations; a worked example of serving one. Users: ML engineers
and radiology researchers. **Out of scope:** patients, other organs, whole volumes, screening, other windows than centre
{contract.window.center:g}, width {contract.window.width:g}."""


def describe_material(contract: ModelContract) -> str:
    made = contract.training
    if "nodules" not in made:
        return "## What it was made from\n\nNot by `lungct train`, so model.json does not say."
    slices = ", ".join(f"{count} of {name[7:]}" for name, count in made.items() if name.startswith("slices_"))
    return f"""## What it was made from

No slice of a patient with cancer was shown to it. {made["nodules"]} real nodules of {made["nodule_patients"]} patients
(LIDC-IDRI), with the contours that readers drew, were pasted into nodule-free slices ({slices};
{made["background_groups"]} cases and patients), scaled, turned, some enlarged to solid masses of 22 to 80 mm. All three
classes share backgrounds, places, controls and augmentation, so that only the nodule tells them apart; Normal gets
patches of nodule-free lung, drawn vessels, scars, fluid and collapse as the others do.

**Benign and Malignant mean suspicion, not pathology**: a median rating of the readers of 2 and less, or of 4 and more
of 5; a rating of 3 is not in the data. Most nodules have no proof. Ground-glass, solid and calcified nodules are in it
as they come; collapse and effusion are drawn distractors and never a class, and disease of the hilum or mediastinum is
in it only as far as nodules and masses were pasted there.

Where a nodule lies was told to the network: besides the class of the slice, each cell of evidence was taught to be high
on a nodule of its class and low away from it. One fixed split by hash keeps out every fifth case of IQ-OTH/NCCD and
every fifth patient of the nodules; every nodule-free slice of other scanners was trained on."""


def describe_table(contract: ModelContract, found: dict[str, Any], tried: dict[str, str]) -> str:
    rows = list_rows(found)
    beside = found.get("beside")
    named = f" {beside['version']}: the same command on its folder." if beside else ""
    missed = [row for row in rows if not row.met]
    told = "\n".join(f"- *{row.measure}*: {tried.get(row.measure, 'nothing more.')}" for row in missed) or "- none."
    pasted = found["pasted"]
    engines = "; ".join(
        f"{name} {each.label:.2%}, {each.probability:.4f}" for name, each in sorted(contract.agreement.items())
    )
    agreeing = f" The same class as in fp32, and how far probabilities are from it: {engines}." if engines else ""
    return f"""## What it reaches

By `lungct evaluate` with the engine {found["engine"]}, through the server's whole pipeline, once for the model that
ships; [docs/trials.md](../../docs/trials.md) tells earlier looks.{agreeing} Intervals are 95 %,
by patient or case ({pasted["nodule_patients"]} patients of nodules and {pasted["background_cases"]} cases of
backgrounds in {pasted["slices"]} pasted slices). A series of one patient has no interval: it is one patient.{named}

{tabulate(*list_cells(found))}

{sum(row.met for row in rows)} of {len(rows)} are met. What was tried against each miss:

{told}"""


def describe_decision(contract: ModelContract, found: dict[str, Any]) -> str:
    reports = found["reports"]
    parts = {"all sources": reports["all"], **reports["by_source"]}
    rows = [
        (
            name,
            part["slices"],
            show(part["reported"], True),
            show(part["right"]),
            f"{part['groups_without_error']} of {part['groups_reported']}",
            show(part["interval_by_group"][0]) + " to " + show(part["interval_by_group"][1])
            if part["interval_by_group"]
            else "none",
        )
        for name, part in parts.items()
    ]
    limits = ", ".join(
        f"{name} {limit:.3g}" if limit <= 1 else f"{name} never" for name, limit in contract.refer_below.items()
    )
    trust = contract.training.get("trust")
    trusted = (
        ", and that of `lungct trust`, which is chosen so that no worse copy of a referred slice is reported; on "
        f"slices that set no limit {trust['count']} of {trust['of']} were (at most {percent_up(trust['at_most'])})"
        if trust
        else ""
    )
    judged = contract.judged
    scans = (
        f"{judged.thinnest_mm:g} to {judged.thickest_mm:g} mm and kernel {', '.join(judged.kernels)}"
        if judged
        else "any thickness and kernel"
    )
    head = ("source", "slices", "reported", "right among them", "patients or cases without an error", "exact interval")
    return f"""## Decision

Temperature {contract.temperature:g} from pasted slices. `report` from a confidence of: {limits}. Each limit is the
highest of those from which real slices (IQ-OTH/NCCD, half of the unseen cases by hash, and every background) called so
are right in 95 %, from which pasted ones are{trusted}. Judged on real slices that set no limit; IQ-OTH's Benign counts
as wrong only if called Malignant.

{tabulate(head, rows)}

Referred whatever the confidence: slices unlike the training data, smoother than nearly all that set the limits, DICOM
outside of {scans}. Pictures say neither; `warnings` tells so. A slice with little lung is never reported
Malignant."""


def percent_up(bound: float) -> str:
    """An upper bound as people read it, which must not be told lower than it is."""
    return f"{ceil(1000 * bound) / 10:g}%"


def describe_gate(found: dict[str, Any]) -> str:
    rows = [
        (name, part["files"], show(part["refused"], True), show(part["reported"], True))
        for name, part in found["gate"].items()
    ]
    return f"""## Gate

What is no axial chest CT is refused by its shape, or by its features' distance from the training data.

{tabulate(("pictures", "files", "refused", "reported"), rows)}"""


def describe_failures(found: dict[str, Any]) -> str:
    rows = [
        (one["source"], f"`{one['file']}`", *(one[key] for key in ("is", "called", "confidence", "decision")))
        for one in found["reports"]["worst"]
    ]
    return f"""## Worst failures

Real slices, most confident errors first, reported ones before referred ones:

{tabulate(("source", "file", "is", "called", "confidence", "decision"), rows)}

Drawn slices: the first without a nodule that is not called Normal, and the first of each kind of nodule where the
strongest cell lies elsewhere (white ring: the nodule; colour: evidence for the class that is named).

![Drawn slices on which the model fails, with their maps]({FIGURE})"""


def describe_limits(found: dict[str, Any]) -> str:
    clear = len(found.get("free_of_nodules", {}))
    others = sum(name in found for name in ("lungdx_a0001", "lidc_0001"))
    return f"""## Limits

- Nodules were pasted. A real one may pull on vessels and pleura around it; none of that was learned.
- Patients of other scanners: {clear} gave backgrounds, {others} more judge it. So few say little of the next scanner.
- At 224 pixels a nodule of 4 to 7 mm is three to five pixels wide and near chance. Benign against Malignant is mostly
  size.
- Not judged on: contrast media apart from what came, children, implants, other kernels than the listed, low dose.
- Confidence is calibrated for slices like these. A slice is not a patient: no volume, no history, no earlier scan."""


def describe_sources() -> str:
    return """## Sources

- LIDC-IDRI (Armato et al. 2011), The Cancer Imaging Archive, CC BY 3.0: nodules, nodule-free slices, one judged series.
- Lung-PET-CT-Dx (Li et al. 2020), The Cancer Imaging Archive, CC BY 4.0: one judged patient, never trained on.
- IQ-OTH/NCCD lung cancer dataset (Alyasriy and AL-Huseiny), Mendeley Data, DOI 10.17632/bhmdr45bh2, CC BY 4.0 by
  secondary evidence: normal slices as backgrounds; the rest judges."""
