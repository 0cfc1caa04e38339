"""What we accept: the table in README, from the code. A test builds and decodes a file for every row."""

from __future__ import annotations

from typing import NamedTuple

from lungct.pixels.pixeldata import SYNTAXES


class Accepted(NamedTuple):
    """One kind of file: its format, which of its variants, and how its gray levels come about."""

    format: str
    variant: str
    gray: str


AS_IS = "as they are"
LUMA = "luma (ITU-R 601-2), as they are"
UPPER = "luma of the upper 8 bits, with a warning"
VALUES = "HU at `X-Window`; without it HU, gray or stretched by a stated rule, with a warning"
HU = "HU at the model's window, `X-Window`, or the file's own"

_PICTURES = (
    Accepted("PNG", "gray, 1 to 8 bit", AS_IS),
    Accepted("PNG", "gray, 16 bit", VALUES),
    Accepted("PNG", "palette, RGB, with alpha, 8 bit", LUMA),
    Accepted("PNG", "RGB, 16 bit", UPPER),
    Accepted("JPEG", "gray, baseline or progressive", AS_IS),
    Accepted("JPEG", "YCbCr, RGB or CMYK", LUMA),
    Accepted("JPEG", "with EXIF orientation", "turned as it says, with a warning"),
    Accepted("TIFF", "gray, 1 or 8 bit, one page", AS_IS),
    Accepted("TIFF", "gray, 16 or 32 bit, integer or float, either byte order", VALUES),
    Accepted("TIFF", "palette, RGB or CMYK, 8 bit", LUMA),
    Accepted("BMP", "gray, palette or RGB", LUMA),
    Accepted("WEBP", "one picture, lossless or lossy", LUMA),
)


def accepted_formats() -> list[Accepted]:
    """The rows of the table: pictures first, then DICOM by transfer syntax, the lossy ones last."""
    lossless = [Accepted("DICOM", f"CT, {syntax.name}", HU) for syntax in SYNTAXES.values() if not syntax.lossy]
    lossy = [
        Accepted("DICOM", f"CT, {syntax.name}", f"{HU}; lossy, with a warning")
        for syntax in SYNTAXES.values()
        if syntax.lossy
    ]
    return [
        *_PICTURES,
        *lossless,
        Accepted("DICOM", "CT without preamble or meta header", HU),
        *lossy,
        Accepted("DICOM", "enhanced (multi-frame) CT", f"{HU}; one frame: `X-Frame`, else the middle, with a warning"),
    ]
