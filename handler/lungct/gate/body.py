"""Where the body is in a network input, and what shape it has."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

GRID = 7  # cells a side of an evidence map
SIDE = 8 * GRID  # pixels a side that the outline is drawn at: enough for body and lungs, at a fifth of a millisecond


class Body(NamedTuple):
    """The silhouette of a slice; shares are 0 to 1, levels are gray levels 0 to 255.

    Attributes:
        mask: (SIDE, SIDE) bool, lungs included.
        lungs: (SIDE, SIDE) bool, dark regions that the body encloses.
        frame_share: body over the picture.
        lung_share: dark regions that the body encloses, over the body.
        edge_share: the picture's border that the body touches.
        aspect: width over height.
        tissue: mean gray level of the body without the enclosed regions.
        lung: mean gray level of the enclosed regions; 0 without any.
    """

    mask: npt.NDArray[np.bool_]
    lungs: npt.NDArray[np.bool_]
    frame_share: float
    lung_share: float
    edge_share: float
    aspect: float
    tissue: float
    lung: float

    def outside(self, evidence: npt.NDArray[np.float32]) -> float:
        """Share of the positive evidence (GRID, GRID) that lies outside the body, each cell split by its area."""
        cells = self.mask.reshape(GRID, SIDE // GRID, GRID, SIDE // GRID).mean((1, 3))
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
    largest = 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())
    tissue = regions == largest
    around = np.zeros((SIDE + 2, SIDE + 2), np.uint8)  # a rim of air, so that one fill reaches all that is outside
    around[1:-1, 1:-1] = tissue
    cv2.floodFill(around, None, (0, 0), 2)
    mask = around[1:-1, 1:-1] < 2
    lungs = mask & ~tissue
    rim = np.concatenate([mask[0], mask[-1], mask[:, 0], mask[:, -1]])
    return Body(
        mask=mask,
        lungs=lungs,
        frame_share=float(mask.mean()),
        lung_share=float(lungs.sum() / mask.sum()),
        edge_share=float(rim.mean()),
        aspect=float(stats[largest, cv2.CC_STAT_WIDTH] / stats[largest, cv2.CC_STAT_HEIGHT]),
        tissue=float(small[tissue].mean()),
        lung=float(small[lungs].mean()) if lungs.any() else 0.0,
    )
