"""Where body and lungs are in a slice at full resolution."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

Bytes = npt.NDArray[np.uint8]
Flags = npt.NDArray[np.bool_]

TISSUE = 105  # gray level at the lung window, about -630 HU: over it is body, under it air and lung
GAS = 50  # mean of trachea, stomach and bowel gas, about -955 HU: lung holds more
LEAST_AREA = 1200  # pixels of 512 x 512 that a region has to be a lung's
CLOSING = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (17, 17))  # closes vessels, not hila


class Chest(NamedTuple):
    """Masks (H, W) of a slice.

    Attributes:
        body: skin and all within; all False where nothing is bright.
        lungs: lungs with the vessels in them.
    """

    body: Flags
    lungs: Flags


def find_chest(pixels: Bytes) -> Chest:
    """Body and lungs of a slice (512, 512) uint8 at the lung window, by levels and connected regions."""
    calm = cv2.medianBlur(pixels, 5)
    count, regions, stats, _ = cv2.connectedComponentsWithStats((calm > TISSUE).astype(np.uint8))
    if count < 2:
        nothing = np.zeros(pixels.shape, bool)
        return Chest(nothing, nothing)
    largest = regions == 1 + stats[1:, cv2.CC_STAT_AREA].argmax()
    around = np.zeros((pixels.shape[0] + 2, pixels.shape[1] + 2), np.uint8)
    around[1:-1, 1:-1] = largest
    cv2.floodFill(around, None, (0, 0), 2)
    body = around[1:-1, 1:-1] < 2
    dark = (body & ~largest).astype(np.uint8)
    count, regions, stats, _ = cv2.connectedComponentsWithStats(dark)
    lungs = np.zeros(pixels.shape, np.uint8)
    for region in range(1, count):
        here = regions == region
        if stats[region, cv2.CC_STAT_AREA] >= LEAST_AREA and calm[here].mean() > GAS:
            lungs |= cv2.morphologyEx(here.astype(np.uint8), cv2.MORPH_CLOSE, CLOSING)
    return Chest(body, (lungs > 0) & body)
