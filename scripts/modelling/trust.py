"""Set how far a model folder trusts a slice, and measure what that is worth. Research use only.

    lungct trust --data DIR [--model FOLDER] [--write]

On one half of the real slices, by case, it chooses the sharpness, the distance to the training data and the confidence
of each class from which a slice is reported, so that none of eight worse copies (smaller, blurred, lossy) of a referred
slice is reported, and the distance over which a picture is refused. On the other half it counts: such copies that are
reported all the same, and whole slices and crops of 200 to 300 mm that are refused, with exact bounds; and pictures
that are no chest CT. --write puts the limits into model.json; without it nothing is changed.

DIR holds iq_othnccd/cases.csv, lidc_clear/slices.csv, lungdx_a0001/slices.csv and dicom/lidc_0001 (judging only), and
not_ct/; what is not there is left out. Takes minutes; --every 10 looks at a tenth of the slices.
"""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from lungct_tools import ROOT
from lungct_tools.commandline import make_parser

LABELLED = "iq_othnccd/cases.csv"
TABLES = {LABELLED: "pseudo_case", "lidc_clear/slices.csv": "patient", "lungdx_a0001/slices.csv": ""}
JUDGED_ONLY = "lungdx_a0001"
SERIES = "dicom/lidc_0001"
OTHERS = "not_ct"


class Known(NamedTuple):
    """A slice file.

    Attributes:
        quarter: of its case: 0 and 2 set the limits, 1 and 3 judge them.
    """

    path: Path
    quarter: int


def list_slices(data: Path) -> list[Known]:
    """Every real slice under `data`; the cases of a source are dealt to the quarters in the order of their names.

    Of the labelled data those set limits that do so in `lungct train`, too: `lungct evaluate` judges by the others.
    """
    from lungct_tools.modelling.decision import is_calibrating
    from lungct_tools.modelling.pasting.backgrounds import name_case

    found = []
    for table, column in TABLES.items():
        path = data / table
        if path.is_file():
            with path.open(newline="") as stream:
                rows = list(csv.DictReader(stream))
            names = sorted({row.get(column, "") for row in rows})
            cases = {case: at % 4 for at, case in enumerate(names)}
            if table == LABELLED:
                sets = {case: is_calibrating(name_case(int(case))) for case in names}
                halves = [[case for case in names if sets[case] is half] for half in (True, False)]
                cases = {case: 2 * (at % 2) + rest for rest, half in enumerate(halves) for at, case in enumerate(half)}
            judged = path.parent.name == JUDGED_ONLY
            found += [Known(path.parent / row["file"], 1 if judged else cases[row.get(column, "")]) for row in rows]
    found += [Known(path, 1) for path in sorted((data / SERIES).glob("*.dcm"))]
    if not found:
        raise ValueError(f"{data} holds none of {', '.join((*TABLES, SERIES))}.")
    return found


def main() -> int:
    parser = make_parser(__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of the data, see above")
    parser.add_argument("--model", type=Path, default=ROOT / "model_store" / "lung_ct", help="folder (%(default)s)")
    parser.add_argument("--engine", default="auto", help="engine that answers (%(default)s)")
    parser.add_argument("--every", type=int, default=1, help="look at every so many slices only (%(default)s)")
    parser.add_argument("--write", action="store_true", help="write the limits into model.json")
    args = parser.parse_args()
    from lungct.errors import ModelFolderError
    from lungct.model import load_model_folder

    try:
        folder = load_model_folder(args.model)
        found, contract = measure(folder, list_slices(args.data)[:: args.every], args.data / OTHERS, args.engine)
    except (ModelFolderError, ValueError, OSError, RuntimeError) as error:
        print(f"trust: {error}", file=sys.stderr)
        return 2
    if args.write:
        risen = found["copies_of_referred_slices_reported"]["after"]["any"]
        training = {**contract.training, "trust": {"every": args.every, **risen}}  # for the model card
        replace(contract, training=training).write(args.model)
    print(json.dumps(found, indent=2))
    return 0


def measure(folder: Any, known: list[Known], others: Path, wanted: str) -> tuple[dict[str, Any], Any]:
    """What the command prints, and the contract with the limits."""
    # Not at the top: torch takes seconds to import, which --help need not wait for.
    from lungct.engines import choose_engine
    from lungct.settings import count_cores
    from lungct_tools.modelling.copies import COPIES, CROPS
    from lungct_tools.modelling.decision import NEVER
    from lungct_tools.modelling.sights import look
    from lungct_tools.modelling.trusting import (
        Limits,
        choose_limits,
        choose_refusal,
        count_refused,
        count_risen,
    )

    engine, contract = choose_engine(folder, threads=count_cores(), wanted=wanted), folder.contract
    paths = follow([one.path for one in known], "slices")
    seen = look(folder, engine, paths, {"whole": np.asarray} | COPIES | CROPS)
    quarters = np.array([one.quarter for one in known])
    setting = quarters % 2 == 0
    rest = {name: some.take(~setting) for name, some in seen.items()}
    mine = {name: some.take(setting) for name, some in seen.items()}

    below = np.array([contract.refer_below.get(name, NEVER) for name in contract.classes])
    start = Limits(folder.gate.least_sharpness, folder.gate.refer_above, below)
    malignant = contract.classes.index("Malignant") if "Malignant" in contract.classes else -1  # which none is called
    limits = choose_limits(mine["whole"], [mine[name] for name in COPIES], start, quarters[setting] // 2, malignant)
    gate = {
        "least_sharpness": limits.sharpness,
        "refer_above": limits.distance,
        "refuse_above": choose_refusal([mine[name] for name in ("whole", *CROPS)], folder.gate.refuse_above),
    }
    refer_below = dict(zip(contract.classes, limits.below.tolist(), strict=True))
    copies = {name: rest[name] for name in COPIES}
    found: dict[str, Any] = {
        "engine": engine.name,
        "slices": {"setting": int(setting.sum()), "judged": int((~setting).sum())},
        "limits": {**gate, "refer_below": refer_below},
        "reported": {name: int(by.report(rest["whole"]).sum()) for name, by in (("before", start), ("after", limits))},
        "copies_of_referred_slices_reported": {
            name: count_risen(rest["whole"], copies, by, malignant)
            for name, by in (("before", start), ("after", limits))
        },
        "refused": {name: count_refused(rest[name], gate["refuse_above"]) for name in ("whole", *CROPS)},
    }
    for kind in sorted(path for path in others.glob("*") if path.is_dir()):
        if files := sorted(path for path in kind.iterdir() if path.is_file()):
            pictures = look(folder, engine, files, {kind.name: np.asarray})[kind.name]
            found["refused"][kind.name] = count_refused(pictures, gate["refuse_above"], least_lung=0.0)
    metrics = renew_shares(contract.metrics, contract.refer_below, refer_below)
    return found, replace(contract, gate=gate, refer_below=refer_below, metrics=metrics)


def renew_shares(metrics: Mapping[str, Any], before: Mapping[str, float], after: Mapping[str, float]) -> dict[str, Any]:
    """What a contract promises of reported slices, with other limits of confidence: measured anew by `evaluate` only.

    Where no class can be reported the share is known, and the exporter expects it.
    """
    if before == after:
        return dict(metrics)
    kept = {name: value for name, value in metrics.items() if not name.startswith("reported_")}
    return kept | ({"reported_share": 0.0} if min(after.values()) > 1 else {})


def follow(paths: list[Path], said: str) -> Iterator[Path]:
    """The paths, with a bar that tells how far they are."""
    from rich.console import Console
    from rich.progress import track

    yield from track(paths, said, console=Console(stderr=True), transient=True)


if __name__ == "__main__":
    sys.exit(main())
