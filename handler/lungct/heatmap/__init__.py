"""In go a slice and the evidence for a class, out come the class activation map and the picture of it."""

from lungct.heatmap.allowance import Allowance
from lungct.heatmap.gradcam import METHODS, ActivationMap, LibraryCam, activate
from lungct.heatmap.render import COLORMAPS, CONTENT_TYPES, encode, overlay, spread

__all__ = [
    "COLORMAPS",
    "CONTENT_TYPES",
    "METHODS",
    "ActivationMap",
    "Allowance",
    "LibraryCam",
    "activate",
    "encode",
    "overlay",
    "spread",
]
