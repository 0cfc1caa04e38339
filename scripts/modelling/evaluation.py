"""Every number of the model card, computed again."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from lungct.engines import choose_engine
from lungct.model.folder import load_model_folder
from lungct.settings import count_cores
from lungct_tools.modelling.dataset import Cases, find_table
from lungct_tools.modelling.evidence import measure_evidence
from lungct_tools.modelling.judgement import NOT_CT, Evaluation, judge_distance, judge_shipped, pass_gate
from lungct_tools.modelling.recipe import predict
from lungct_tools.modelling.smoothing import measure_smoothing
from lungct_tools.modelling.surroundings import measure_surroundings
from lungct_tools.modelling.validation import judge_folds
from lungct_tools.phantom import files as phantom
from lungct_tools.phantom.anatomy import NODULES, draw_slice

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
    engine = choose_engine(folder, threads=count_cores())
    kinds = {kind: pass_gate(folder, engine, files) for kind, files in bodies.items()}
    found: dict[str, Any] = {"engine": engine.name, "kinds": kinds}
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
        "smoothing": measure_smoothing(evaluation),
        "minutes": round((time.monotonic() - started) / 60, 1),
    }
