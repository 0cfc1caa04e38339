"""From trained weights to a model folder: temperature, gate and limits of what is reported."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from lungct.gate.body import outline
from lungct.gate.checks import measure_sharpness
from lungct.model import Judged, ModelContract, Pooling, normalize, softmax, to_input
from lungct.model.folder import save_model_folder
from lungct.model.network import LungResNet18
from lungct.window import LUNG
from lungct_tools.modelling.dataset import CLASSES, NORMAL, read_slice
from lungct_tools.modelling.decision import choose_limits, fit_temperature, forgive
from lungct_tools.modelling.gatekeeping import fit_gate, set_thresholds
from lungct_tools.modelling.pasting.backgrounds import Background, is_kept_out
from lungct_tools.modelling.pasting.generator import Generator
from lungct_tools.modelling.pasting.nodules import Nodules
from lungct_tools.modelling.pasting.settings import Settings
from lungct_tools.modelling.pasting.start import Start
from lungct_tools.modelling.pasting.training import Recipe
from lungct_tools.modelling.sources import Known, sets_limits
from lungct_tools.phantom.files import golden_inputs

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
CALIBRATING, SEED = 600, 2000  # pasted slices at most, of a seed that neither training nor judging has
FOR_EACH = 5  # of them for each nodule that is kept out, at most
SUPPORT = 20  # pasted slices that a limit rests on at least
# Of the scans it is judged on, as far as anything is known of them: lidc_0001 is 2.5 mm STANDARD, lungdx_a0001 5 mm.
JUDGED = Judged(2.5, 5.0, ("STANDARD",))
SMOOTHEST = 0.01  # share of the real slices that are smoother than what is reported
DATA = (
    "LIDC-IDRI, The Cancer Imaging Archive (CC BY 3.0); IQ-OTH/NCCD lung cancer dataset, Mendeley Data, "
    "DOI 10.17632/bhmdr45bh2 (CC BY 4.0, by secondary evidence)"
)
LICENCE = "Weights Apache-2.0; data CC BY 3.0 and CC BY 4.0"


@dataclass(frozen=True)
class Material:
    """What a training is made of."""

    backgrounds: list[Background]
    nodules: Nodules

    def split(self, kept_out: bool) -> Material:
        """What is kept out for judging, or all else.

        Slices of other scanners are of three patients: all are trained on, and none is left to judge.
        """
        backgrounds = [b for b in self.backgrounds if (b.source == "iq" and is_kept_out(b.group)) == kept_out]
        rows = np.array([is_kept_out(patient) == kept_out for patient in self.nodules.patients])
        return Material(backgrounds, self.nodules.select(rows))

    def generate(self, settings: Settings, seed: int) -> Generator:
        """Images of it."""
        return Generator(self.backgrounds, self.nodules, settings, seed)

    def describe(self) -> dict[str, int]:
        """Counts, for the contract."""
        sources = [background.source for background in self.backgrounds]
        return {
            **{f"slices_{name}": sources.count(name) for name in sorted(set(sources))},
            "background_groups": len({background.group for background in self.backgrounds}),
            "nodules": len(self.nodules.labels),
            "nodule_patients": len(set(self.nodules.patients)),
        }


def check_kept_out(material: Material) -> None:
    """ValueError where nothing is kept out by which limits could be set: known before a training, not after it."""
    try:
        material.split(kept_out=True).generate(Settings(little=0), SEED)
    except ValueError as error:
        raise ValueError(f"Too few cases or patients are kept out to set limits by: {error}") from error


@torch.inference_mode()
def look(network: LungResNet18, inputs: npt.NDArray[np.uint8]) -> tuple[Floats, npt.NDArray[np.float32]]:
    """(N, 1, S, S) uint8 -> logits (N, C) and features (N, 512)."""
    parts = [network.explain(normalize(part)) for part in torch.from_numpy(inputs).split(16)]
    logits, _, features = (torch.cat(part) for part in zip(*parts, strict=True))
    return logits.double().numpy(), features.numpy()


def ship(
    network: LungResNet18,
    recipe: Recipe,
    minutes: float,
    start: Start,
    material: Material,
    known: list[Known],
    out: Path,
    version: str,
) -> ModelContract:
    """Write a trained network as a model folder.

    Its limits are set on real slices, all backgrounds of the training and half of the unseen cases, and on pasted ones
    that training did not see.

    Args:
        network: trained.
        recipe: by which.
        minutes: that it took.
        start: what it began with.
        material: what it was trained on, and what was kept out.
        known: the real slices; those of boxed series and of DICOM series set nothing.
        out: the folder.
        version: written into model.json.
    """
    network = network.cpu().to(memory_format=torch.contiguous_format).eval()
    network.pooling = Pooling("lse", recipe.sharpness)
    unseen = material.split(kept_out=True)
    size = recipe.images.size
    pasted = unseen.generate(Settings(size, size, little=0), SEED)
    samples = [pasted[number] for number in range(min(CALIBRATING, FOR_EACH * len(unseen.nodules.labels)))]
    labels = np.array([one.label for one in samples])
    logits, features = look(network, np.stack([one.pixels for one in samples]))
    trained = [one.pixels for one in material.split(kept_out=False).backgrounds]
    setting = [one for one in known if sets_limits(one) and not one.seen]
    pictures = [*trained, *(read_slice(one.path) for one in setting)]
    inputs = np.stack([to_input(pixels, size, "pad", LUNG.air) for pixels in pictures])
    answers, near = look(network, inputs)
    truth = np.array([*[NORMAL] * len(trained), *(one.label for one in setting)])

    temperature = fit_temperature(logits, labels)
    limits = np.maximum(
        choose_limits(softmax(answers, temperature), forgive(answers.argmax(1), truth)),
        choose_limits(softmax(logits, temperature), labels, SUPPORT),
    )
    half = np.arange(len(samples)) % 2 == 0
    statistics = fit_gate(np.concatenate([near, features[half]]), np.concatenate([truth, labels[half]]))
    statistics = set_thresholds(statistics, features[~half])
    sharp = [measure_sharpness(pixels, body) for pixels in inputs if (body := outline(pixels)) is not None]
    contract = ModelContract(
        version=version,
        size=size,
        pooling=network.pooling,
        temperature=temperature,
        refer_below=dict(zip(CLASSES, limits.tolist(), strict=True)),
        judged=JUDGED,
        training={
            "recipe": asdict(recipe),
            "minutes": minutes,
            "init": start.name,
            **material.split(kept_out=False).describe(),
            **({"earlier": start.earlier} if start.earlier else {}),
        },
        data=DATA,
        licence=LICENCE,
    )
    statistics = statistics._replace(least_sharpness=round(float(np.quantile(sharp, SMOOTHEST)), 3))
    return save_model_folder(out, network, contract, golden_inputs(size, contract.geometry), statistics)
