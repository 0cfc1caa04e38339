"""Is this an axial chest-CT slice, and is it like the training data?

Three checks: the shape of the body in the pixels, and their sharpness, before the network; the distance of the pooled
features from the training data, after it. None says anything about disease.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from lungct.errors import LungCTError
from lungct.gate.body import Body
from lungct.model import Statistics

NOT_CHEST = "The picture does not look like an axial chest-CT slice: {}. X-Gate: off has it scored all the same."
OTHER_WINDOW = (
    "The gray levels are not those of the lung window that the model was trained at (centre -500, width 1500); "
    "send the DICOM file, or export the slice at that window."
)
UNLIKE = "The slice is unlike the training data; do not rely on the class."
SMOOTH = (
    "The slice is smoother than the training slices of all classes but one, so that smoothness alone may decide the "
    "class; send the file as the scanner wrote it, or a sharper reconstruction."
)
NO_GATE = "This model folder has no gate: whether the picture is a chest-CT slice was not checked."
GATE_OFF = "X-Gate is off: whether the picture is a chest-CT slice was not checked."


# Least and most of each, and what is wrong otherwise. The extremes of 870 slices that should pass are 0.25-0.71 of the
# frame, 1.14-2.26 in aspect, 0-0.21 of the edge and 0.06-0.49 of lung; a slice at the lung bases has 0.03.
LIMITS = (
    ("frame_share", 0.12, 0.93, "no body that fills a good part of it"),
    ("aspect", 1.0, 2.7, "the body is not wider than it is deep"),
    ("edge_share", 0.0, 0.4, "no air around the body"),
    ("lung_share", 0.02, 0.62, "no lungs inside the body"),
)
CONTRAST = 55  # gray levels between tissue and lung; the least of the training slices is 82
TISSUE_LEVELS = (185, 235)  # means at the lung window; training slices: 195-223
LUNG_LEVELS = (50, 135)  # training slices: 69-116


def check_body(body: Body | None) -> tuple[str, ...]:
    """Look at the outline of what is in a network input; return warnings.

    Raises:
        LungCTError: not_a_ct_slice, with what is missing.
    """
    if body is None:
        raise LungCTError("not_a_ct_slice", NOT_CHEST.format("it is blank"))
    for name, least, most, fault in LIMITS:
        if not least <= getattr(body, name) <= most:
            raise LungCTError("not_a_ct_slice", NOT_CHEST.format(fault))
    if body.tissue - body.lung < CONTRAST:
        raise LungCTError("not_a_ct_slice", NOT_CHEST.format("the dark regions are no air-filled lungs"))
    usual = (TISSUE_LEVELS[0] <= body.tissue <= TISSUE_LEVELS[1]) and (LUNG_LEVELS[0] <= body.lung <= LUNG_LEVELS[1])
    return () if usual else (OTHER_WINDOW,)


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


def check_features(features: npt.NDArray[np.float32], known: Statistics) -> bool:
    """Whether the features (512,) of one slice are like the training data; if not, it is referred.

    Raises:
        LungCTError: not_a_ct_slice, when they are farther from it than any chest slice should be.
    """
    distance = known.measure(features)
    if distance > known.refuse_above:
        raise LungCTError("not_a_ct_slice", NOT_CHEST.format("the network sees nothing that it was trained on"))
    return distance <= known.refer_above
