"""What every decoder is told and gives back, and the boundary where third-party faults become LungCTErrors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from lungct.errors import LungCTError
from lungct.settings import Settings
from lungct.window import Window

Asked = Window | Literal["file"] | None
Values = npt.NDArray[Any]
MOST_OBLONG = 2.0  # no scanner writes axial slices with pixels longer than that
Rule = Literal["as is", "model window", "asked window", "file window", "stretch"]


class Terms(NamedTuple):
    """How a file is to be read.

    Attributes:
        window: the window the client asked for, "file" for the one a DICOM header proposes, None for the usual rule.
        frame: the frame the client asked for, counted from 0, or None.
        default: the window the model was trained at.
        settings: limits.
    """

    window: Asked
    frame: int | None
    default: Window
    settings: Settings

    def choose(self) -> tuple[Window, Rule]:
        """The window for values in HU, and where it comes from; a decoder resolves "file" itself."""
        if isinstance(self.window, Window):
            return self.window, "asked window"
        return self.default, "model window"


class Acquisition(NamedTuple):
    """How a slice was made, as far as its DICOM header says (PS3.3 C.8.2.1).

    Attributes:
        thickness_mm: None where it is not stated.
        kernel: of reconstruction, by its maker's name; empty where it is not stated.
    """

    thickness_mm: float | None = None
    kernel: str = ""


class Rendering(NamedTuple):
    """A decoded slice.

    Attributes:
        pixels: (H, W) uint8 gray.
        window: the window `pixels` were rendered with, None when no HU were involved.
        rule: how gray levels came about: "as is" (the file held finished ones), one of the windows, or "stretch"
            (values of unknown meaning, smallest to 0 and largest to 255).
        warnings: sentences about choices that were made.
        acquisition: what the header says of it; nothing for a picture.
        aspect: height over width of a pixel, 0.5 to 2.
        coloured: share of pixels that are no gray, 0 to 1.
    """

    pixels: npt.NDArray[np.uint8]
    window: Window | None
    rule: Rule
    warnings: tuple[str, ...] = ()
    acquisition: Acquisition = Acquisition()
    aspect: float = 1.0
    coloured: float = 0.0


class Plane(NamedTuple):
    """A decoded CT slice before any window.

    Attributes:
        hu: (H, W) int16, rounded; padding is air.
        aspect: height over width of a pixel, 0.5 to 2.
    """

    hu: npt.NDArray[np.int16]
    aspect: float


def check_size(rows: int, columns: int, settings: Settings) -> None:
    """LungCTError too_many_pixels when the header declares more than the limits."""
    if rows * columns > settings.max_pixels or max(rows, columns) > settings.max_side:
        raise LungCTError(
            "too_many_pixels",
            f"The header declares {rows} x {columns}; the limits are {settings.max_pixels} pixels and "
            f"{settings.max_side} a side. Send one slice at its native size.",
        )


def check_aspect(aspect: float, code: str) -> float:
    """The height over width of a pixel; LungCTError `code` where one side is more than twice the other."""
    if not 1 / MOST_OBLONG <= aspect <= MOST_OBLONG:
        raise LungCTError(
            code,
            "By the file's pixel spacing or resolution a pixel is more than twice as long one way as the other; "
            "send the slice as the scanner wrote it, or correct what the file says.",
        )
    return aspect


@contextmanager
def translate_faults(sentence: str) -> Iterator[None]:
    """Whatever a parser of others raises on a broken file becomes corrupt_image with `sentence`."""
    try:
        yield
    except LungCTError:
        raise
    except MemoryError:
        raise LungCTError(
            "too_many_bytes", "The file unpacks to more memory than one slice may take; send one slice at native size."
        ) from None
    except Exception as exc:  # Pillow, pydicom and the codecs raise dozens of kinds for broken files
        raise LungCTError("corrupt_image", sentence) from exc
