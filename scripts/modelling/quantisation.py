"""The int8 graph by NNCF, and how far it agrees with fp32."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from rich.progress import track

from lungct.engines import TOLERANCES, Engine, prove
from lungct.engines.graph import POOLING, build_graph
from lungct.engines.openvino import OpenVinoEngine, has_bf16
from lungct.engines.torch import TorchEngine
from lungct.model.agreement import Agreement, compare
from lungct.model.calibration import softmax
from lungct.model.folder import QUANTISED, QUANTISED_WEIGHTS, ModelFolder, load_model_folder, sha256_of
from lungct.model.weights import fold_batchnorm
from lungct.settings import count_cores
from lungct_tools.modelling.dataset import read_cases
from lungct_tools.modelling.pasting.backgrounds import take_normal
from lungct_tools.modelling.pasting.nodules import read_nodules
from lungct_tools.modelling.pasting.settings import Settings
from lungct_tools.modelling.shipping import Material
from lungct_tools.modelling.sources import read_labelled

# isort: split
# After lungct, which keeps both from reporting their use to their makers.
import nncf  # noqa: E402
import openvino as ov  # noqa: E402
from nncf.quantization.range_estimator import RangeEstimatorParametersSet  # noqa: E402

UInt8 = npt.NDArray[np.uint8]

# They cost next to nothing in fp32: one channel in, or three classes out. In int8 they did most of the harm, and the
# evidence would not add up to the logit.
IN_FP32 = ("conv1", "evidence", "feature_means", *POOLING)
CALIBRATION, RANKING, UNSEEN = 120, 40, 100  # slices, at most; of the unseen so many real and so many pasted ones
PASTED_SEED = 3000  # training and judging have others
HARM = 0.002  # mean difference of a probability on the ranking slices at which no more layers return to fp32


def perturb(inputs: UInt8, seed: int) -> UInt8:
    """What scanners and windows may change: gain, offset, noise, position, mirroring of (N, 1, S, S)."""
    random = np.random.default_rng(seed)
    changed = []
    for item in inputs.astype(np.float32):
        gray = item * random.uniform(0.9, 1.1) + random.uniform(-12, 12) + random.normal(0, 4, item.shape)
        moved = np.roll(gray, random.integers(-12, 13, 2), (1, 2))
        changed.append(moved[:, :, :: random.choice((-1, 1))])
    return np.clip(np.rint(changed), 0, 255).astype(np.uint8)


def perturb_half(inputs: UInt8, seed: int) -> UInt8:
    """Every other one perturbed: the ranges are to fit both."""
    mixed = inputs.copy()
    mixed[::2] = perturb(inputs[::2], seed)
    return mixed


def quantise(folder: ModelFolder, calibration: UInt8, ranking: UInt8) -> ov.Model:
    """The int8 graph, with as many layers back in fp32 as it takes to stay under HARM on `ranking`.

    Args:
        folder: a verified model folder.
        calibration: (N, 1, S, S) inputs that set the ranges.
        ranking: (M, 1, S, S) other inputs, to tell which layers do the harm.

    Raises:
        RuntimeError: the graph cannot be quantised.
    """
    plain = build_graph(fold_batchnorm(folder.read_weights()), folder.contract.size, folder.contract.pooling)

    def classify(graph: ov.CompiledModel, row: int) -> npt.NDArray[np.float64]:
        return softmax(graph([ranking[row : row + 1]])["logits"][0], folder.contract.temperature)

    compiled = ov.compile_model(plain, "CPU")
    expected = [classify(compiled, row) for row in range(len(ranking))]

    def validate(graph: ov.CompiledModel, rows: Iterable[int]) -> tuple[float, list[float]]:
        scores = [1 - float(np.abs(classify(graph, row) - expected[row]).mean()) for row in rows]
        return float(np.mean(scores)), scores

    return nncf.quantize_with_accuracy_control(
        plain,
        nncf.Dataset(list(calibration[:, None])),
        nncf.Dataset(range(len(ranking))),
        validation_fn=validate,
        max_drop=HARM,
        subset_size=len(calibration),
        preset=nncf.QuantizationPreset.MIXED,
        fast_bias_correction=False,  # halves the slices whose class changes
        ignored_scope=nncf.IgnoredScope(names=list(IN_FP32), validate=False),
        # The largest activations are what a nodule says: a mean of the maxima, the default, cuts them off, and
        # probabilities move twice as far.
        advanced_quantization_parameters=nncf.AdvancedQuantizationParameters(
            activations_range_estimator_params=RangeEstimatorParametersSet.MINMAX
        ),
        advanced_accuracy_restorer_parameters=nncf.AdvancedAccuracyRestorerParameters(
            ranking_subset_size=len(ranking) // 2
        ),
    )


def measure_agreement(folder: ModelFolder, engines: Iterable[Engine], inputs: UInt8) -> dict[str, Agreement]:
    """Each of the engines against fp32 torch on (N, 1, S, S) inputs, by name."""
    parts = {}
    batches = np.array_split(inputs, min(20, len(inputs)))
    for engine in (*engines, reference := TorchEngine(folder)):
        found = [engine.predict(batch) for batch in track(batches, f"Scoring with {engine.name}")]
        logits, maps = (np.concatenate([getattr(part, name) for part in found]) for name in ("logits", "maps"))
        parts[engine.name] = softmax(logits, folder.contract.temperature), maps
    expected = parts.pop(reference.name)
    return {name: compare(*found, expected) for name, found in parts.items()}


def write(graph: ov.Model, folder: ModelFolder) -> ModelFolder:
    """Put the graph beside the weights and its hashes into model.json, its agreement not known yet."""
    ov.save_model(graph, folder.path / QUANTISED)
    hashes = {name: sha256_of(folder.path / name) for name in (QUANTISED, QUANTISED_WEIGHTS)}
    replace(folder.contract, files={**folder.contract.files, **hashes}, agreement={}).write(folder.path)
    return load_model_folder(folder.path)


class Slices(NamedTuple):
    """Network inputs (N, 1, S, S), real ones and pasted ones in a drawn order: trained on, and never seen."""

    trained: UInt8
    unseen: UInt8


def gather(data: Path, nodules: Path, size: int) -> Slices:
    """Real slices of cases.csv and pasted ones, half and half.

    Raises:
        ValueError, KeyError, OSError: the data cannot be used.
    """
    cases = read_cases(data)
    material = Material(list(take_normal(cases)), read_nodules(nodules))
    known = read_labelled(data, cases)
    rng = np.random.default_rng(0)

    def draw(kept_out: bool, count: int) -> UInt8:
        rows = rng.permutation([row for row, one in enumerate(known) if one.seen != kept_out])[:count]
        pasted = material.split(kept_out).generate(Settings(little=0), PASTED_SEED)
        inputs = [*cases.inputs(rows, size), *(pasted[number].pixels for number in range(len(rows)))]
        return np.stack(inputs)[rng.permutation(len(inputs))]

    return Slices(draw(False, (CALIBRATION + RANKING) // 2), draw(True, UNSEEN))


def quantise_folder(folder: ModelFolder, slices: Slices) -> dict[str, Agreement]:
    """Put an int8 graph into a model folder, and write down how far it agrees; what it raises says why not.

    Raises:
        ModelFolderError: the graph does not reproduce the golden answers.
        RuntimeError: the graph cannot be quantised.
    """
    nncf.set_log_level(logging.INFO)  # which layers return to fp32
    seen = perturb_half(slices.trained, seed=0)
    calibration, ranking = np.split(seen, [len(seen) * CALIBRATION // (CALIBRATION + RANKING)])
    folder = write(quantise(folder, calibration, ranking), folder)
    agreement = check_folder(folder, slices)
    replace(folder.contract, agreement=agreement).write(folder.path)
    return agreement


def complete_folder(folder: ModelFolder, slices: Slices) -> dict[str, Agreement]:
    """`check_folder`; an engine that was not measured before is written down, such as bf16 by a processor that has it.

    What was measured before stays as it was found.
    """
    found, known = check_folder(folder, slices), folder.contract.agreement
    if found.keys() - known.keys():
        replace(folder.contract, agreement={**found, **known}).write(folder.path)
    return found


def check_folder(folder: ModelFolder, slices: Slices) -> dict[str, Agreement]:
    """Prove the int8 graph of a model folder, and measure how far it agrees on the slices that were kept out.

    Where the processor lacks bf16, the engine that computes the rest in it stays unmeasured, and serves nowhere.

    Raises:
        ModelFolderError: the graph does not reproduce the golden answers.
        RuntimeError: there is no such graph.
    """
    engines = [OpenVinoEngine(folder, "int8", count_cores())]
    if has_bf16():
        try:
            engines.append(OpenVinoEngine(folder, "int8-bf16", count_cores()))
        except RuntimeError as fault:  # oneDNN was told not to use the instructions that OpenVINO sees
            print(f"The rest in bf16 does not run here: {str(fault).strip().splitlines()[-1]}.", file=sys.stderr)
    for engine in engines:
        prove(engine, folder, TOLERANCES[engine.name])
    return measure_agreement(folder, engines, np.concatenate([slices.unseen, perturb(slices.unseen, seed=1)]))
