"""Pictures of a scored slice, drawn here from the reply's numbers exactly as the server draws them."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from lungct import NOTICE
from lungct.heatmap import render
from lungct.heatmap.gradcam import activate
from lungct.heatmap.render import COLORMAPS
from lungct.model.preprocess import Geometry, place
from lungct.pixels.image import Slice
from lungct.window import Window

UInt8 = npt.NDArray[np.uint8]

# For looking only: the model always gets its own window.
VIEWS = {"Lung": Window(-600, 1500), "Mediastinum": Window(40, 400), "Bone": Window(400, 1800)}
COLOURS = ("viridis", "cividis", "jet")  # the first two read the same with any colour vision
THUMBNAIL, PANEL, MARGIN, LINE, BAR = 72, 512, 16, 22, 44  # pixels
INK = "#1b2430"


@dataclass(frozen=True)
class ClassMap:
    """Where a class found its evidence in one slice.

    Attributes:
        levels: (rows, columns) uint8 of the slice, 255 is the strongest evidence.
        positive: False when nothing in the slice speaks for the class; then `levels` is zero and not worth drawing.
        cells: rows and columns of the network's map before it was smoothed onto the slice.
    """

    levels: UInt8
    positive: bool
    cells: tuple[int, int]


def make_map(heatmap: Mapping[str, Any], name: str, seen: Slice, geometry: Geometry) -> ClassMap:
    """The map of class `name` from the `heatmap` field of a reply, in the pixels of the slice."""
    evidence = np.array(heatmap["grids"][name], np.float32)
    activation = activate(evidence)
    levels = render.spread(activation.map, place(*seen.pixels.shape, geometry, seen.aspect))
    return ClassMap(levels, activation.positive, (evidence.shape[0], evidence.shape[1]))


def draw_overlay(pixels: UInt8, class_map: ClassMap, colours: str, opacity: float) -> UInt8:
    """(H, W) gray and its map -> (H, W, 3) uint8 RGB."""
    return cv2.cvtColor(render.overlay(pixels, class_map.levels, colours, opacity), cv2.COLOR_BGR2RGB)


def list_colours(colours: str) -> UInt8:
    """(256, 3) uint8 RGB of a colour map, from low to high."""
    ramp = np.arange(256, dtype=np.uint8)[None]
    return np.asarray(cv2.cvtColor(cv2.applyColorMap(ramp, COLORMAPS[colours]), cv2.COLOR_BGR2RGB)[0], np.uint8)


def sample_colours(colours: str, steps: int = 9) -> list[str]:
    """A colour map from low to high as CSS colours."""
    at = np.linspace(0, 255, steps).astype(np.uint8)
    return [f"rgb({r},{g},{b})" for r, g, b in list_colours(colours)[at].tolist()]


def make_thumbnail(pixels: UInt8) -> str:
    """(H, W) uint8 as a small JPEG in a data address, for a table cell."""
    picture = Image.fromarray(pixels)
    picture.thumbnail((THUMBNAIL, THUMBNAIL))
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=80)
    return f"data:image/jpeg;base64,{base64.b64encode(stream.getvalue()).decode('ascii')}"


def make_sheet(pixels: UInt8, overlay: UInt8 | None, colours: str, lines: Sequence[str]) -> bytes:
    """A PNG to keep: the slice, its overlay and a colour bar if there is one, the lines of text and the notice.

    Args:
        pixels: (H, W) uint8.
        overlay: (H, W, 3) uint8 RGB or None.
        lines: broken where they are wider than the picture.
    """
    panels = [Image.fromarray(pixels).convert("RGB")] + ([Image.fromarray(overlay)] if overlay is not None else [])
    width = len(panels) * (PANEL + MARGIN) + MARGIN
    font = ImageFont.load_default(15)
    text = [part for line in (*lines, NOTICE) for part in _break(line, font, width - 2 * MARGIN)]
    top = PANEL + 2 * MARGIN + (BAR if overlay is not None else 0)
    sheet = Image.new("RGB", (width, top + LINE * len(text) + MARGIN // 2), "white")
    for number, panel in enumerate(panels):
        panel.thumbnail((PANEL, PANEL))
        left = MARGIN + number * (PANEL + MARGIN) + (PANEL - panel.width) // 2
        sheet.paste(panel, (left, MARGIN + (PANEL - panel.height) // 2))
    pen = ImageDraw.Draw(sheet)
    if overlay is not None:
        _draw_bar(sheet, pen, font, colours)
    for number, line in enumerate(text):
        pen.text((MARGIN, top + LINE * number), line, fill=INK, font=font)
    return render.encode(np.asarray(sheet)[:, :, ::-1].copy(), "png")


def _break(line: str, font: ImageFont.ImageFont | ImageFont.FreeTypeFont, width: int) -> list[str]:
    """A line as several, none wider than `width` pixels unless it is one word."""
    broken = [""]
    for word in line.split():
        longer = f"{broken[-1]} {word}".strip()
        if broken[-1] and font.getlength(longer) > width:
            broken.append(word)
        else:
            broken[-1] = longer
    return broken


def _draw_bar(sheet: Image.Image, pen: ImageDraw.ImageDraw, font: Any, colours: str) -> None:
    """The colours from low to high, below the overlay."""
    width = PANEL - 2 * MARGIN
    ramp = np.tile(np.linspace(0, 255, width).astype(np.uint8), (14, 1))
    bar = cv2.cvtColor(cv2.applyColorMap(ramp, COLORMAPS[colours]), cv2.COLOR_BGR2RGB)
    left, top = sheet.width - MARGIN - width, PANEL + 2 * MARGIN - 4
    sheet.paste(Image.fromarray(bar), (left, top))
    pen.text((left, top + 18), "low", fill=INK, font=font)
    pen.text((sheet.width - MARGIN, top + 18), "high importance", fill=INK, font=font, anchor="ra")
