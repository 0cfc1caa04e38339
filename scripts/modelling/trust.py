"""Set how far a model folder trusts a slice, and measure what that is worth. Research use only.

    lungct trust --data DIR [--model FOLDER] [--write]

On one half of the real slices, by case, it chooses the sharpness, the distance to the training data and the confidence
of each class from which a slice is reported, so that none of eight worse copies (smaller, blurred, lossy) of a referred
slice is reported, and the distance over which a picture is refused. On the other half it counts: such copies that are
reported all the same, and whole slices and crops of 200 to 300 mm that are refused, with exact bounds; and pictures
that are no chest CT. --write puts the limits into model.json; without it nothing is changed.

DIR holds iq_othnccd/cases.csv, lidc_clear/slices.csv, lungdx_a0001/slices.csv (for judging only), dicom/lidc_0001 and
not_ct/; what is not there is left out. Takes minutes; --every 10 looks at a tenth of the slices.
"""

from __future__ import annotations

import csv
import json
import sys
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from lungct.errors import LungCTError
from lungct.pixels import Slice, decode
from lungct.settings import Settings
from lungct.window import LUNG
from lungct_tools import ROOT
from lungct_tools.commandline import make_parser

TABLES = {"iq_othnccd/cases.csv": "pseudo_case", "lidc_clear/slices.csv": "patient", "lungdx_a0001/slices.csv": ""}
JUDGED_ONLY = "lungdx_a0001"
SERIES = "dicom/lidc_0001"
OTHERS = "not_ct"


class Known(NamedTuple):
    """A slice file, and whether its case is in the half that sets the limits."""

    path: Path
    sets: bool


def list_slices(data: Path) -> list[Known]:
    """Every real slice under `data`; cases are split in two by their names, so that a half is the same every time."""
    found = []
    for table, column in TABLES.items():
        path = data / table
        if path.is_file():
            with path.open(newline="") as stream:
                for row in csv.DictReader(stream):
                    case = f"{path.parent.name}:{row.get(column, '')}"
                    found.append(Known(path.parent / row["file"], path.parent.name != JUDGED_ONLY and is_first(case)))
    found += [Known(path, is_first(SERIES)) for path in sorted((data / SERIES).glob("*.dcm"))]
    if not found:
        raise ValueError(f"{data} holds none of {', '.join((*TABLES, SERIES))}.")
    return found


def is_first(case: str) -> bool:
    """Whether a case is in the half that sets the limits."""
    return zlib.crc32(case.encode()) % 2 == 0


def read(path: Path) -> Slice:
    """A file as the server reads it; ValueError for one that it refuses."""
    try:
        return decode(path.read_bytes(), None, None, LUNG, Settings())
    except LungCTError as error:
        raise ValueError(f"{path.name}: {error.message}") from error


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
        contract.write(args.model)
    print(json.dumps(found, indent=2))
    return 0


def measure(folder: Any, known: list[Known], others: Path, wanted: str) -> tuple[dict[str, Any], Any]:
    """What the command prints, and the contract with the limits."""
    # Not at the top: torch takes seconds to import, which --help need not wait for.
    from rich.console import Console
    from rich.progress import track

    from lungct.engines import choose_engine
    from lungct.settings import count_cores
    from lungct_tools.modelling.copies import COPIES, FIELDS, crop
    from lungct_tools.modelling.trusting import (
        Limits,
        choose_limits,
        choose_refusal,
        count_refused,
        count_risen,
        look,
    )

    engine = choose_engine(folder, threads=count_cores(), wanted=wanted)
    console, contract = Console(stderr=True), folder.contract
    setting = np.array([one.sets for one in known])

    def see(said: str, change: Callable[[npt.NDArray[np.uint8]], npt.NDArray[np.uint8]]) -> Any:
        def change_all() -> Iterator[Slice]:
            for one in track(known, said, console=console, transient=True):
                slice_ = read(one.path)
                yield replace(slice_, pixels=change(slice_.pixels))

        return look(folder, engine, change_all())

    slices = see("slices", lambda pixels: pixels)
    copies = {name: see(name, change) for name, change in COPIES.items()}
    rng = np.random.default_rng(0)
    crops = {share: see(f"crops to {share}", lambda pixels, share=share: crop(pixels, share, rng)) for share in FIELDS}

    below = np.array([contract.refer_below.get(name, np.inf) for name in contract.classes])
    start = Limits(contract.gate["least_sharpness"], contract.gate["refer_above"], below)
    limits = choose_limits(slices.take(setting), [some.take(setting) for some in copies.values()], start)
    cropped = [some.take(setting) for some in (slices, *crops.values())]
    refuse_above = choose_refusal(cropped, contract.gate["refuse_above"])
    malignant, rest = contract.classes.index("Malignant"), ~setting

    found: dict[str, Any] = {
        "engine": engine.name,
        "slices": {"setting": int(setting.sum()), "judged": int(rest.sum())},
        "limits": {
            "least_sharpness": limits.sharpness,
            "refer_above": limits.distance,
            "refuse_above": refuse_above,
            "refer_below": dict(zip(contract.classes, limits.below.tolist(), strict=True)),
        },
        "reported": {
            "before": int(start.report(slices.take(rest)).sum()),
            "after": int(limits.report(slices.take(rest)).sum()),
        },
        "copies_of_referred_slices_reported": {
            name: count_risen(slices.take(rest), {key: some.take(rest) for key, some in copies.items()}, by, malignant)
            for name, by in (("before", start), ("after", limits))
        },
        "refused": {"whole": count_refused(slices.take(rest), refuse_above)}
        | {f"crops to {share}": count_refused(some.take(rest), refuse_above) for share, some in crops.items()},
    }
    for kind in sorted(path for path in others.glob("*") if path.is_dir()):
        pictures = look(folder, engine, (read(path) for path in sorted(kind.iterdir())))
        found["refused"][kind.name] = count_refused(pictures, refuse_above, least_lung=0.0)
    gate = {"least_sharpness": limits.sharpness, "refer_above": limits.distance, "refuse_above": refuse_above}
    return found, replace(contract, gate=gate, refer_below=found["limits"]["refer_below"])


if __name__ == "__main__":
    sys.exit(main())
