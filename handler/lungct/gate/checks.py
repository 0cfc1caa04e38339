"""Is this an axial chest-CT slice, and is it like the training data?

Three checks: the shape of the body in the pixels, and their sharpness, before the network; the distance of the pooled
features from the training data, after it. None says anything about disease.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from lungct.errors import LungCTError
from lungct.gate.body import Body
from lungct.model import Judged, Statistics

NOT_CHEST = "The picture does not look like an axial chest-CT slice: {}."
OTHER_WINDOW = (
    "The gray levels are not those of the lung window that the model was trained at (centre -500, width 1500); "
    "send the DICOM file, or export the slice at that window."
)
UNLIKE = "The slice is unlike the training data; do not rely on the class."
SMOOTH = (
    "The slice is smoother than nearly all by which the model's limits were set; send the file as the scanner wrote "
    "it, or a sharper reconstruction."
)
COARSE = (
    "The picture has fewer pixels than the slices on which the model was judged; send the file as the scanner wrote it."
)
LITTLE_LUNG = "The slice shows little lung, as at the neck or in the abdomen; Malignant is not reported there."
OTHER_SCAN = (
    "The file states a slice thickness or a convolution kernel on which the model was not judged; "
    "do not rely on the class."
)
UNKNOWN_SCAN = "Slice thickness and kernel are not known; only the sharpness of the picture was checked."
NO_GATE = (
    "This model folder has no gate: whether the picture is a chest-CT slice was not checked; do not rely on the class."
)
GATE_OFF = "X-Gate is off: whether the picture is a chest-CT slice was not checked; do not rely on the class."


class Limit(NamedTuple):
    """Least and most of a measure of the body, and what is wrong under and over it."""

    measure: str
    least: float
    under: str
    most: float = math.inf
    over: str = ""


NO_CONTRAST = (
    "it is not made of dark air and bright tissue alone, as a chest is at the lung window (centre -500, width 1500)"
)
# What an axial slice of a chest is, at any field of view: one that cuts the body is usual in CT. How many slices and
# other pictures they keep out is told by `lungct trust`.
LIMITS = (
    Limit("separation", 0.84, NO_CONTRAST),
    Limit("frame_share", 0.12, "what is bright in it is too small for a body"),
    Limit("unevenness", 0.0, "", 32.0, "its bright part is too uneven for soft tissue"),
)
NO_LUNGS, NO_TISSUE = "there are no lungs inside the body", "there is hardly any tissue around its dark regions"
DEEP, WIDE = "the body is deeper than it is wide", "the body is too wide for its depth"
# A barrel chest is as deep as it is wide, and so is an infant's.
WHOLE_LIMITS = (Limit("aspect", 0.9, DEEP, 2.7, WIDE), Limit("lung_share", 0.02, NO_LUNGS, 0.9, NO_TISSUE))
# Where the field of view cuts the body its shape says less, so that there must be more lung.
CUT_LIMITS = (Limit("aspect", 0.4, DEEP, 2.7, WIDE), Limit("lung_share", 0.06, NO_LUNGS, 0.9, NO_TISSUE))
COLOURED = 0.2  # share of the pixels: a CT slice has no colours, but may have some drawn on it
CUT = 0.05  # share of the picture's edge that such a body touches
# Pixels of the longer side; nearly all slices on which a model was judged have 512. Reduced to the network's input from
# twice its side and more, a slice is as sharp as it is; from less it comes out sharper than the one it was copied from.
LEAST_SIDE = 450
LITTLE = 0.08  # lung_share under which a slice shows little lung
CONTRAST = 55  # gray levels between tissue and lung; the least of the training slices is 82
TISSUE_LEVELS = (190, 240)  # means at the lung window; real slices and crops of them: 196-240
LUNG_LEVELS = (50, 140)  # the same: 56-138
FARTHER = 1.6  # times `refuse_above`: crops to 200 mm lie so far from the whole slices that set it


def check_body(body: Body | None) -> tuple[str, ...]:
    """Look at the outline of what is in a network input; return warnings.

    Raises:
        LungCTError: not_a_ct_slice, with what is missing.
    """
    if body is None:
        raise LungCTError("not_a_ct_slice", NOT_CHEST.format("it is blank"))
    for limit in (*LIMITS, *(WHOLE_LIMITS if body.edge_share < CUT else CUT_LIMITS)):
        found = getattr(body, limit.measure)
        if not limit.least <= found <= limit.most:
            fault = limit.under if found < limit.least else limit.over
            raise LungCTError("not_a_ct_slice", NOT_CHEST.format(fault))
    if body.tissue - body.lung < CONTRAST:
        raise LungCTError("not_a_ct_slice", NOT_CHEST.format("the dark regions are no air-filled lungs"))
    little = (LITTLE_LUNG,) if body.lung_share < LITTLE else ()
    usual = (TISSUE_LEVELS[0] <= body.tissue <= TISSUE_LEVELS[1]) and (LUNG_LEVELS[0] <= body.lung <= LUNG_LEVELS[1])
    return little if usual else (*little, OTHER_WINDOW)


def check_colour(coloured: float) -> None:
    """LungCTError not_a_ct_slice for a picture of which so large a share, 0 to 1, is no gray."""
    if coloured > COLOURED:
        raise LungCTError("not_a_ct_slice", NOT_CHEST.format("much of it is coloured"))


def check_resolution(shape: tuple[int, int]) -> tuple[str, ...]:
    """COARSE for a slice of so few rows and columns that it is referred, however it looks; else nothing."""
    return (COARSE,) if max(shape) < LEAST_SIDE else ()


def check_scan(thickness_mm: float | None, kernel: str, judged: Judged | None) -> tuple[str, ...]:
    """OTHER_SCAN for a slice of another thickness or kernel than the model was judged on, which is referred.

    UNKNOWN_SCAN, which is not, where the file does not state both.
    """
    if judged is None:
        return ()
    thin = thickness_mm is not None and not judged.thinnest_mm <= thickness_mm <= judged.thickest_mm
    if thin or (kernel and kernel not in judged.kernels):
        return (OTHER_SCAN,)
    return () if kernel and thickness_mm is not None else (UNKNOWN_SCAN,)


def find_doubt(warnings: Iterable[str], label: str) -> str | None:
    """The first of these warnings because of which a slice is not reported as `label`."""
    doubts = {UNLIKE, SMOOTH, COARSE, OTHER_SCAN, NO_GATE, GATE_OFF} | (
        {LITTLE_LUNG} if label == "Malignant" else set()
    )
    return next((warning for warning in warnings if warning in doubts), None)


def is_trusted(warnings: Iterable[str], label: str) -> bool:
    """Whether a slice with these warnings may be reported as `label`."""
    return find_doubt(warnings, label) is None


def measure_sharpness(pixels: npt.NDArray[np.uint8], body: Body) -> float:
    """Power of second differences over that of first ones, inside the body of a network input (1, S, S).

    Smoothing takes the second away first. Slices of the training data have 1.4 to 6.6, half of them over 2.4; after a
    Gaussian of 2 of 512 pixels they have 0.7.
    """
    mask = cv2.resize(body.mask.view(np.uint8), pixels.shape[:0:-1], interpolation=cv2.INTER_NEAREST)
    across, down = cv2.spatialGradient(pixels[0])  # Sobel's: 8 times the difference
    first = (cv2.norm(across, cv2.NORM_L2, mask) ** 2 + cv2.norm(down, cv2.NORM_L2, mask) ** 2) / 64
    second = cv2.norm(cv2.Laplacian(pixels[0], cv2.CV_16S), cv2.NORM_L2, mask) ** 2
    return second / max(first, 1.0)


def check_sharpness(pixels: npt.NDArray[np.uint8], body: Body | None, known: Statistics) -> tuple[str, ...]:
    """SMOOTH for a network input (1, S, S) that is referred because of it, else nothing."""
    return (SMOOTH,) if body and measure_sharpness(pixels, body) < known.least_sharpness else ()


def check_features(features: npt.NDArray[np.float32], known: Statistics, warnings: Iterable[str] = ()) -> bool:
    """Whether the features (512,) of one slice are like the training data; if not, it is referred.

    Small fields of view are far from it too, but have gray levels that few other pictures have: where these are as
    they should be, by the warnings of `check_body`, only what is farther still is refused.

    Raises:
        LungCTError: not_a_ct_slice, when they are farther from it than any chest slice should be.
    """
    distance = known.measure(features)
    if distance > known.refuse_above * (1 if OTHER_WINDOW in warnings else FARTHER):
        raise LungCTError("not_a_ct_slice", NOT_CHEST.format("the network sees nothing that it was trained on"))
    return distance <= known.refer_above
