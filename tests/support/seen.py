"""What is seen in the viewer beside what should be."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from lungct.window import LUNG
from lungct_tools.page.examples import SERIES, draw_example
from lungct_tools.page.uploads import Upload
from tests.support.frame import Frame

FIRST = f"Window {LUNG.center}, {LUNG.width} HU. Zoom 100 %"


def find_upload(at: int) -> Upload:
    """The drawn series' slice number `at`."""
    return next(each for each in draw_example(SERIES) if each.name.endswith(f"/{at}.dcm"))


def shrink(pixels: npt.NDArray[np.uint8], frame: Frame) -> npt.NDArray[Any]:
    """A picture of the slice as a pane shows it: (H, W) or (H, W, 3), fitted into the middle."""
    pane = frame.look("original")
    return cv2.resize(pixels, pane.shape[1::-1], interpolation=cv2.INTER_AREA)


def differ(one: npt.NDArray[Any], other: npt.NDArray[Any]) -> float:
    """How far two pictures differ in blocks of 12 x 12 pixels, at most."""
    small = [cv2.resize(each.astype(np.float32), (one.shape[1] // 12, one.shape[0] // 12), interpolation=cv2.INTER_AREA)
             for each in (one, other)]  # fmt: skip
    return float(np.abs(small[0] - small[1]).max())
