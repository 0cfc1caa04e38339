"""File bytes -> Slice: gray pixels and how they were rendered."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lungct.errors import LungCTError
from lungct.pixels import plain, raster, reader
from lungct.pixels.formats import EMPTY, SEVERAL, holds_more, measure_plain, recognise
from lungct.pixels.rendering import Acquisition, Asked, Plane, Rule, Terms, check_size
from lungct.settings import Settings
from lungct.window import LUNG, Window

__all__ = ["Plane", "Slice", "decode", "measure", "read_plane"]


@dataclass(frozen=True)
class Slice:
    """One CT slice.

    Attributes:
        pixels: (H, W) uint8 gray at the window.
        format: format of the file, e.g. "PNG".
        window: the window the pixels were rendered with, or None when the file held finished gray levels.
        sha256: hash of the file's bytes.
        warnings: sentences about choices that were made.
        rule: how gray levels came about: "as is", "model window", "asked window", "file window" or "stretch".
        acquisition: what a DICOM header says of thickness and kernel.
        aspect: height over width of a pixel, 0.5 to 2.
        coloured: share of pixels that are no gray, 0 to 1.
    """

    pixels: npt.NDArray[np.uint8]
    format: str
    window: Window | None
    sha256: str
    warnings: tuple[str, ...] = ()
    rule: Rule = "as is"
    acquisition: Acquisition = Acquisition()
    aspect: float = 1.0
    coloured: float = 0.0

    @property
    def resampled(self) -> tuple[int, int] | None:
        """Rows and columns of the slice in square pixels as fine as its finer side; None where its own are square."""
        rows, columns = self.pixels.shape
        square = (round(rows * max(1.0, self.aspect)), round(columns * max(1.0, 1 / self.aspect)))
        return None if square == (rows, columns) else square

    @property
    def coarse(self) -> tuple[int, int]:
        """Rows and columns of the slice in square pixels as coarse as its coarser side: no more of it can be seen."""
        rows, columns = self.pixels.shape
        return round(rows * min(1.0, self.aspect)), round(columns * min(1.0, 1 / self.aspect))


def decode(body: bytes, window: Asked, frame: int | None, default: Window, settings: Settings) -> Slice:
    """Decode one file, its format told by its first bytes.

    Plain PNG, JPEG and DICOM files are decoded in the calling thread, pictures with the interpreter lock released.
    Every other file goes to a child process (`reader`), because a few bytes can keep its decoder busy for hours, or
    crash it. Pillow decodes pictures: OpenCV gave equal pixels for all of 870 gray JPEGs and was 3 % faster: not
    enough.

    Args:
        body: the file.
        window: the window the client asked for, "file" for the one a DICOM file proposes, or None.
        frame: the frame of a multi-frame file the client asked for, or None.
        default: the window the model was trained at.
        settings: limits.

    Raises:
        LungCTError: empty_body, bad_option, too_many_bytes, too_many_pixels, unsupported_format, corrupt_image,
            unsupported_dicom.
    """
    if not body:
        raise LungCTError("empty_body", EMPTY)
    if len(body) > settings.max_bytes:
        raise LungCTError("too_many_bytes", f"The file is larger than {settings.max_bytes} bytes; send one slice.")
    kind = recognise(body)
    terms = Terms(window, frame, default, settings)
    if kind != "DICOM" and holds_more(body, kind):  # `dicom` looks itself, at what is not as usual
        raise LungCTError("unsupported_format", SEVERAL)
    size = measure_plain(body, kind)
    if size:
        check_size(*size, settings)  # before Pillow sees the file: it warns of large ones by limits of its own
        found = raster.render(body, kind, terms)
    else:
        found = (kind == "DICOM" and plain.render(body, terms)) or reader.read(body, kind, terms)
    sha256 = hashlib.sha256(body).hexdigest()
    return Slice(
        found.pixels, kind, found.window, sha256, found.warnings, found.rule, found.acquisition, found.aspect,
        found.coloured,
    )  # fmt: skip


def read_plane(body: bytes, settings: Settings) -> Plane | None:
    """The HU of the frame that `decode` renders of a DICOM file, for windows of one's own; None for any other file.

    Raises:
        LungCTError: as `decode`.
    """
    if len(body) > settings.max_bytes or recognise(body) != "DICOM":
        return None
    terms = Terms(None, None, LUNG, settings)
    return plain.read_plane(body, terms) or reader.read_plane(body, terms)


def measure(body: bytes) -> int | None:
    """Pixels that a plain PNG or JPEG says it has, before it is decoded; None for any other file."""
    try:
        size = measure_plain(body, recognise(body))
    except LungCTError:  # decoding will tell
        return None
    return size[0] * size[1] if size else None
