"""The CT window: Hounsfield units -> gray levels."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

AIR_HU = -1024  # clip from below here: scanners pad with anything down to -32768


class Window(NamedTuple):
    """A linear window in HU (DICOM PS3.3 C.11.2.1.3 calls this function LINEAR_EXACT)."""

    center: float
    width: float

    def render(self, hu: npt.NDArray[np.generic]) -> npt.NDArray[np.uint8]:
        """(H, W) HU of any real dtype -> (H, W) uint8 gray, rounded half up, HU clipped at -1024 from below."""
        low = self.center - self.width / 2
        gray = (np.maximum(hu, AIR_HU).astype(np.float32) - np.float32(low)) * np.float32(255 / self.width)
        return np.asarray(np.floor(np.clip(gray, 0, 255) + 0.5), np.uint8)

    @property
    def air(self) -> int:
        """Gray level of air: what the padding of a slice looks like."""
        return int(self.render(np.array([[AIR_HU]]))[0, 0])


LUNG = Window(-500, 1500)  # measured on the training images: air 38, fat 196, muscle 218
