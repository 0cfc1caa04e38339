"""Evidence -> class activation maps: the closed form, and the methods of the grad-cam package."""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from lungct.model import normalize

if TYPE_CHECKING:  # as heavy as the package itself
    from lungct.model.network import LungResNet18

METHODS = ("gradcam", "gradcam++", "layercam", "hirescam", "eigencam", "scorecam")


class ActivationMap(NamedTuple):
    """A class activation map.

    Attributes:
        map: (h, w) float32 in [0, 1]; 1 is the strongest evidence. All zero without positive evidence.
        positive: whether anything in the slice speaks for the class at all.
    """

    map: npt.NDArray[np.float32]
    positive: bool


def activate(evidence: npt.NDArray[np.float32]) -> ActivationMap:
    """Grad-CAM (Selvaraju et al. 2017) of one class from its signed evidence (7, 7): ReLU, then scaled to its peak.

    A map without positive evidence stays zero instead of being stretched into a picture of noise.
    """
    raised = np.maximum(evidence, 0, dtype=np.float32)
    peak = raised.max()
    return ActivationMap(np.divide(raised, peak, out=raised, where=peak > 0), bool(peak > 0))


class LibraryCam:
    """The other METHODS, by the grad-cam package, on the unfolded torch network; one slice at a time."""

    def __init__(self, network: LungResNet18) -> None:
        self._network = network
        self._lock = Lock()  # the package hooks the shared network

    def explain(self, pixels: npt.NDArray[np.uint8], class_index: int, method: str) -> ActivationMap:
        """Map of one class for an input (1, S, S) uint8; (S, S), scaled to its peak by the package."""
        import pytorch_grad_cam as package  # heavy, and off by default
        import torch
        from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

        kinds: dict[str, Any] = {
            "gradcam++": package.GradCAMPlusPlus,
            "layercam": package.LayerCAM,
            "hirescam": package.HiResCAM,
            "eigencam": package.EigenCAM,
            "scorecam": package.ScoreCAM,
        }
        inputs = normalize(torch.tensor(pixels)[None]).clone().requires_grad_()
        with self._lock, kinds[method](self._network, [self._network.layer4[-1]]) as cam:
            found = np.asarray(cam(inputs, [ClassifierOutputTarget(class_index)])[0], np.float32)
        return ActivationMap(found, bool(found.max() > 0))
