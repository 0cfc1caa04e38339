"""A drawn slice as a picture. Needs no DICOM library, which would take longer to load than the picture to draw."""

from pathlib import Path
from typing import IO

import numpy as np
from PIL import Image

from lungct.window import LUNG


def write_png(hu: np.ndarray, target: Path | IO[bytes]) -> None:
    """Write (H, W) HU as an 8-bit gray PNG in the lung window."""
    Image.fromarray(LUNG.render(hu)).save(target, format="PNG")
