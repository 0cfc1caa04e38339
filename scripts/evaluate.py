"""Compute every number of the model card again, and write MODEL_CARD.md, evaluation.json and the figures.

    python scripts/evaluate.py --data DIR

DIR holds cases.csv and its images, or iq_othnccd/ with both and, for the gate, not_ct/ and dicom/. The folds and the
out-of-fold answers come with the model folder, so this takes minutes where training took an hour. No figure shows a
slice.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from lungct.errors import ModelFolderError
from lungct.model import load_model_folder
from PIL import Image

from scripts import phantom
from scripts.anatomy import NODULES, draw_slice
from scripts.instance import ROOT, make_parser
from scripts.modelling.card import write_card
from scripts.modelling.dataset import Cases, find_table, read_cases
from scripts.modelling.evidence import measure_evidence
from scripts.modelling.figures import draw_figures
from scripts.modelling.judgement import NOT_CT, Evaluation, judge_distance, judge_folds, judge_shipped, pass_gate
from scripts.modelling.recipe import predict
from scripts.modelling.surroundings import measure_surroundings

PHANTOM_SEEDS = range(6)


def gather_pictures(data: Path) -> dict[str, list[Path]]:
    """Files of each kind in `data`/not_ct and `data`/dicom; kinds that are not there are left out."""
    folders = {kind: data / "not_ct" / kind for kind in NOT_CT} | {"lidc_dicom": data / "dicom" / "lidc_0001"}
    return {kind: sorted(p for p in f.iterdir() if p.is_file()) for kind, f in folders.items() if f.is_dir()}


def judge_gate(evaluation: Evaluation, data: Path) -> dict[str, Any]:
    """The gate as the server applies it, by kind of picture, and the feature gate alone."""
    folder, cases = evaluation.folder, evaluation.cases
    pictures = gather_pictures(data)
    images = find_table(data).parent
    bodies = {kind: [path.read_bytes() for path in files] for kind, files in pictures.items()}
    bodies["kept_out_ct"] = [(images / cases.files[row]).read_bytes() for row in evaluation.kept_out]
    bodies["phantom"] = [phantom.encode_dicom(draw_slice(seed, kind)) for seed in PHANTOM_SEEDS for kind in NODULES]
    found: dict[str, Any] = {"kinds": {kind: pass_gate(folder, files) for kind, files in bodies.items()}}
    others = [np.asarray(Image.open(path).convert("L")) for kind in NOT_CT for path in pictures.get(kind, [])]
    if others:
        inside = np.flatnonzero(~np.isin(np.arange(len(cases.labels)), evaluation.kept_out))
        size, network = folder.contract.size, folder.network
        strange = replace(cases, slices=others)
        found["features"] = judge_distance(
            evaluation,
            predict(network, cases, inside, size)[1],
            evaluation.features[evaluation.kept_out],
            predict(network, strange, np.arange(len(others)), size)[1],
        )
    return found


def evaluate(path: Path, cases: Cases, data: Path, sample: int) -> dict[str, Any]:
    """All numbers of the card for the model folder `path`."""
    started = time.monotonic()
    folder = load_model_folder(path)
    evaluation = Evaluation.read(path, folder, cases)
    model = (folder.network, folder.contract.temperature)
    answers = predict(folder.network, cases, evaluation.kept_out, folder.contract.size)[0].astype(np.float64)
    return {
        "model": {"version": folder.contract.version, "weights_sha256": folder.contract.weights_sha256},
        "cross_validation": judge_folds(evaluation),
        "shipped": judge_shipped(evaluation, answers),
        "gate": judge_gate(evaluation, data),
        "heatmap": measure_evidence(*model, cases, evaluation.kept_out, sample),
        "surroundings": measure_surroundings(*model, cases, evaluation.kept_out),
        "minutes": round((time.monotonic() - started) / 60, 1),
    }


def main() -> int:
    parser = make_parser(__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of the data, see above")
    parser.add_argument(
        "--model", type=Path, default=ROOT / "model_store" / "lung_ct", help="model folder (%(default)s)"
    )
    parser.add_argument("--out", type=Path, help="folder to write to (default: the model folder)")
    parser.add_argument("--sample", type=int, default=30, help="slices for the costly heatmap tests (%(default)s)")
    args = parser.parse_args()
    out = args.out or args.model
    try:
        cases = read_cases(args.data)
        found = evaluate(args.model, cases, args.data, args.sample)
    except (ModelFolderError, ValueError, OSError) as error:
        print(f"evaluate: {error}", file=sys.stderr)
        return 2
    out.mkdir(parents=True, exist_ok=True)
    (out / "evaluation.json").write_text(json.dumps(found, indent=2) + "\n")
    evaluation = Evaluation.read(args.model, load_model_folder(args.model), cases)
    draw_figures(out / "figures", evaluation, found)
    write_card(out, evaluation.folder.contract, found, json.loads((args.model / "trials.json").read_text()))
    print(f"evaluate: wrote {out / 'MODEL_CARD.md'}, evaluation.json and figures in {found['minutes']} minutes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
