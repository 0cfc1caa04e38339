"""Where the body is in a network input, and what shape it has."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

SIDE = 56  # pixels a side that the outline is drawn at: enough for body and lungs, at a fifth of a millisecond
AIR = 56  # gray level at the lung window that air outside of the body stays under, and inflated lung over
ABOVE_AIR = 14  # gray levels that lung is over the darkest of a picture, where a window shows air brighter than AIR
LEAST_LUNG = 20  # pixels of the outline: a smaller dark region at the edge of a picture is a gap


class Body(NamedTuple):
    """The silhouette of a slice; shares are 0 to 1, levels are gray levels 0 to 255.

    Attributes:
        mask: (SIDE, SIDE) bool, lungs included.
        lungs: (SIDE, SIDE) bool, dark regions that the body encloses, or would if the field of view did not cut them.
        frame_share: body over the picture.
        lung_share: lungs over the body.
        edge_share: the picture's border that the body touches.
        aspect: width over height.
        tissue: mean gray level of the body without its lungs.
        unevenness: standard deviation of those gray levels.
        lung: mean gray level of the lungs; 0 without any.
        separation: share of the variance of all gray levels that is between dark and bright ones (Otsu 1979, eta):
            near 1 where a picture is made of air and tissue alone.
    """

    mask: npt.NDArray[np.bool_]
    lungs: npt.NDArray[np.bool_]
    frame_share: float
    lung_share: float
    edge_share: float
    aspect: float
    tissue: float
    unevenness: float
    lung: float
    separation: float

    def outside(self, evidence: npt.NDArray[np.float32]) -> float:
        """Share of the positive evidence (h, w) that lies outside the body, each cell split by its area."""
        cells = cv2.resize(self.mask.astype(np.float64), evidence.shape[::-1], interpolation=cv2.INTER_AREA).clip(0, 1)
        positive = np.maximum(evidence, 0)
        return float((positive * (1 - cells)).sum() / max(float(positive.sum()), 1e-12))


def outline(pixels: npt.NDArray[np.uint8]) -> Body | None:
    """The largest bright region of a network input (1, S, S) uint8; None where nothing is bright.

    The threshold (Otsu 1979) adapts to the picture: the window of a slice changes the levels, not the shape.
    """
    small = cv2.resize(pixels[0], (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    bright = cv2.threshold(small, 0, 1, cv2.THRESH_BINARY + cv2.THRESH_OTSU)[1]
    count, regions, stats, _ = cv2.connectedComponentsWithStats(bright, connectivity=8)
    if count < 2 or bright.all():
        return None
    tissue = regions == 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())
    around = np.zeros((SIDE + 2, SIDE + 2), np.uint8)  # a rim of air, so that one fill reaches all that is outside
    around[1:-1, 1:-1] = tissue
    cv2.floodFill(around, None, (0, 0), 2)
    enclosed = around[1:-1, 1:-1] < 2
    mask = enclosed | find_cut_lungs(small, ~enclosed & (bright == 0))
    lungs = mask & ~tissue
    rim = np.concatenate([mask[0], mask[-1], mask[:, 0], mask[:, -1]])
    _, _, width, height = cv2.boundingRect(mask.view(np.uint8))
    return Body(
        mask=mask,
        lungs=lungs,
        frame_share=float(mask.mean()),
        lung_share=float(lungs.sum() / mask.sum()),
        edge_share=float(rim.mean()),
        aspect=width / height,
        tissue=float(small[tissue].mean()),
        unevenness=float(small[tissue].std()),
        lung=float(small[lungs].mean()) if lungs.any() else 0.0,
        separation=measure_separation(small, bright),
    )


def find_cut_lungs(small: npt.NDArray[np.uint8], dark: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """The part (SIDE, SIDE) of `dark`, which reaches the edge of the picture, that is lung and not air.

    Lung is brighter than air. So is the skin's edge, half air, but it is thin, and opening takes that away.
    """
    over = dark & (small > max(AIR, int(small.min()) + ABOVE_AIR))
    opened = cv2.morphologyEx(over.view(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    _, regions, stats, _ = cv2.connectedComponentsWithStats(opened, connectivity=4)
    large = stats[:, cv2.CC_STAT_AREA] >= LEAST_LUNG
    large[0] = False  # what is no lung
    return np.asarray(large[regions], np.bool_)


def measure_separation(small: npt.NDArray[np.uint8], bright: npt.NDArray[np.uint8]) -> float:
    """Variance of the gray levels between the two classes of a threshold over all their variance, 0 to 1."""
    share = float(bright.mean())
    between = share * (1 - share) * (float(small[bright > 0].mean()) - float(small[bright == 0].mean())) ** 2
    return between / max(float(small.var()), 1e-6)
