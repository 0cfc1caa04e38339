"""PNG, JPEG, TIFF, BMP and WebP -> gray pixels, with Pillow as the reference."""

from __future__ import annotations

import io
import math
import re
import struct
from collections.abc import Iterator
from contextlib import suppress
from numbers import Real
from typing import Any, cast

import numpy as np
import numpy.typing as npt
from PIL import BmpImagePlugin, Image, ImageOps, JpegImagePlugin, TiffImagePlugin, WebPImagePlugin

from lungct.errors import LungCTError
from lungct.pixels.description import find_line, find_sizes, has_length
from lungct.pixels.formats import SEVERAL
from lungct.pixels.rendering import Rendering, Rule, Terms, Values, check_aspect, check_size, translate_faults
from lungct.window import Window

UInt8 = npt.NDArray[np.uint8]

# Pillow would else import all of its forty plugins for the first TIFF it meets.
PLUGINS = (BmpImagePlugin, TiffImagePlugin, WebPImagePlugin)
# It would take one number of EXIF's two for both, and of a text of one letter it opens no file; they are read below.
JpegImagePlugin.JpegImageFile._read_dpi_from_exif = lambda self: None  # type: ignore[method-assign]

BITS, PHOTOMETRIC, ORIENTATION, SAMPLE_FORMAT = 258, 262, 274, 339  # tags of TIFF 6.0 and EXIF
DESCRIPTION, X_RESOLUTION, Y_RESOLUTION, RESOLUTION_UNIT = 270, 282, 283, 296
NO_UNIT = 1  # value of ResolutionUnit
# The metre, and a pixel's width and height as text; SimpleITK means millimetres.
SCALE = re.compile(rb"\x01([\d.]+(?:[eE][+-]?\d+)?)\x00([\d.]+(?:[eE][+-]?\d+)?)")
PHYSICAL = (2, 3)  # values of ResolutionUnit: inch, the default, and centimetre; JFIF has them as 1 and 2
SIDEWAYS = range(5, 9)  # values of Orientation that change rows for columns
WHITE_IS_ZERO = 0  # value of PhotometricInterpretation
UNSIGNED, SIGNED = 1, 2  # values of SampleFormat
METADATA = {"exif", "xmp", "XML:com.adobe.xmp", "Raw profile type exif"}  # where Pillow looks for an orientation
COLOUR_STEP = 24  # gray levels between channels; JPEG's rounding makes less

HU_BELOW = -500  # lung and air lie below; no other common meaning of pixel values does
OFFSET = 1024  # scanners store HU + 1024 in unsigned pixels


def render(body: bytes, kind: str, terms: Terms) -> Rendering:
    """Decode one picture.

    Eight-bit pictures are taken as finished gray levels, colour by Pillow's luma (ITU-R 601-2). More bits are HU
    where a window was asked for; else `interpret` decides, and a warning states how.

    Args:
        body: the file.
        kind: Pillow's name of its format.
        terms: limits, and the window for pictures of more than 8 bits.

    Raises:
        LungCTError: too_many_pixels, corrupt_image, unsupported_format (several pages), bad_option (a window for
            finished gray levels, a frame of a picture).
    """
    sentence = f"The {kind} is damaged, cut short or of a layout we do not read; export the slice as 8-bit gray PNG."
    with translate_faults(sentence), Image.open(io.BytesIO(body), formats=(kind,)) as picture:
        check_size(picture.height, picture.width, terms.settings)
        check_options(picture, terms)
        deep = has_deep_channels(picture)
        orientation = turn(picture)
        warnings = ["The picture was turned as its orientation tag says."] if orientation > 1 else []
        aspect = check_aspect(read_aspect(picture, body) ** (-1 if orientation in SIDEWAYS else 1), "corrupt_image")
        if picture.mode in ("I", "F") or picture.mode.startswith("I;16"):
            found = render_values(to_values(picture), terms, inverted=_tag(picture, PHOTOMETRIC) == WHITE_IS_ZERO)
            return found._replace(warnings=(*warnings, *found.warnings), aspect=aspect)
        if terms.window:
            raise LungCTError(
                "bad_option",
                "X-Window needs HU, and this file holds finished 8-bit gray levels; leave it out, or send the DICOM.",
            )
        if deep:
            warnings.append("Of 16 bits a channel the upper 8 were used, as finished gray levels.")
        pixels, more, coloured = to_gray(picture)
        return Rendering(pixels, None, "as is", (*warnings, *more), aspect=aspect, coloured=coloured)


def check_options(picture: Image.Image, terms: Terms) -> None:
    """LungCTError for several pages, for a frame number or for a window that only DICOM has."""
    if getattr(picture, "is_animated", False):
        raise LungCTError("unsupported_format", SEVERAL)
    if terms.frame:
        raise LungCTError("bad_option", "X-Frame is for multi-frame DICOM; this file holds one picture.")
    if terms.window == "file":
        raise LungCTError("bad_option", "X-Window: file is for DICOM; a picture proposes no window.")


def turn(picture: Image.Image) -> int:
    """Load the picture and turn or mirror it as its metadata ask; the orientation that they name, 1 for as it is."""
    orientation = _tag(picture, ORIENTATION)  # TIFF: Pillow turns it while loading
    picture.load()
    if picture.info.keys() & METADATA and (named := picture.getexif().get(ORIENTATION)) in range(2, 9):
        ImageOps.exif_transpose(picture, in_place=True)
        orientation = named
    return orientation if orientation in range(2, 9) else 1


def read_aspect(picture: Image.Image, body: bytes) -> float:
    """Height over width of a pixel as it is stored, by the picture's physical resolution; 1 where it has none.

    `body` is its file. A resolution is two positive numbers, in TIFF and EXIF fractions (TIFF 6.0, section 8): texts,
    bytes or zeros in their place state nothing.
    """
    for across, down in (*_list_scales(picture, body), *_list_resolutions(picture)):
        if all(isinstance(value, Real) and 0 < float(value) < math.inf for value in (across, down)):
            aspect = float(across) / float(down)
            return round(aspect, 2) if round(aspect, 2) in (0.5, 2.0) else aspect  # files have whole numbers of them
    return 1.0


def has_deep_channels(picture: Image.Image) -> bool:
    """Whether a picture, not loaded yet, has more than 8 bits a channel; of colours Pillow keeps the upper 8."""
    tiles = getattr(picture, "tile", [])
    return (tiles and ";16" in str(tiles[0][3])) or (_tag(picture, BITS) or 8) > 8


def to_gray(picture: Image.Image) -> tuple[UInt8, list[str], float]:
    """(H, W) uint8 luma of at most 8 bits a channel, warnings on what was dropped, the share of coloured pixels."""
    if picture.mode == "L":  # convert() would copy, which costs a quarter of a JPEG's decoding
        if _tag(picture, SAMPLE_FORMAT) == SIGNED:
            raise LungCTError("unsupported_format", "Signed 8-bit TIFF is not read; export the slice as 16-bit TIFF.")
        return np.asarray(picture), [], 0.0
    if picture.mode == "1":
        return np.asarray(picture.convert("L")), [], 0.0
    warnings, coloured = [], 0.0
    bands = picture.getbands()
    if bands[-1] in "Aa" and picture.getchannel(len(bands) - 1).getextrema()[0] != 255:
        warnings.append("Transparency was ignored.")
    if not picture.mode.startswith("L"):
        channels = np.asarray(picture.convert("RGB"))[::4, ::4]
        coloured = float((channels.max(2) - channels.min(2) > COLOUR_STEP).mean())
        if coloured:
            warnings.append("The picture is coloured; only its luma was used.")
    return np.asarray(picture.convert("L")), warnings, coloured


def to_values(picture: Image.Image) -> Values:
    """(H, W) pixel values of more than 8 bits: int32, int64 or float32, calibrated where ImageJ has told how.

    LungCTError for values that are no numbers.
    """
    values = np.asarray(picture)
    if picture.mode != "F":
        # Pillow keeps unsigned 32-bit TIFF in signed pixels.
        unsigned = picture.mode == "I" and _tag(picture, SAMPLE_FORMAT) == UNSIGNED
        values = values.view(np.uint32).astype(np.int64) if unsigned else values.astype(np.int32)
        line = find_line(str(_tag(picture, DESCRIPTION)))
        return values if line is None else np.rint(values * line.factor + line.offset).astype(np.int64)
    if not np.isfinite(values).all():
        raise LungCTError("corrupt_image", "Some pixels are no numbers (NaN or infinite); replace them by air, -1024.")
    return values


def render_values(values: Values, terms: Terms, inverted: bool) -> Rendering:
    """Render (H, W) values of more than 8 bits: HU if a window was asked for, else by `interpret`."""
    if isinstance(terms.window, Window):
        warning = "Pixel values were taken as HU, because a window was asked for."
        return Rendering(terms.window.render(values), *terms.choose(), (warning,))
    return interpret(values, terms.default, inverted)


def interpret(values: Values, default: Window, inverted: bool = False) -> Rendering:
    """The default rule for values of more than 8 bits. The first that fits:

    1. integers from 0 to 255 are finished gray levels;
    2. integers that are all multiples of 257 are 8-bit gray levels spread over 16 bits (PNG 3rd ed., 13.12);
    3. values that go below -500, within 16 bits, are HU;
    4. values that lie as a CT's do with 1024 added (`has_offset`) are HU + 1024;
    5. others are stretched, the smallest to 0 and the largest to 255.

    Args:
        values: (H, W) int32, int64 or float32.
        default: the model's window.
        inverted: the file says that 0 is white. HU do not care: they mean the same however they are shown.
    """
    low, high = float(values.min()), float(values.max())
    whole = values.dtype.kind == "i" and low >= 0
    unit = "More than 8 bits a pixel: the values"
    gray: Values
    if whole and high <= 255:
        gray, rule, warning = values, "as is", f"{unit} were taken as finished gray levels."
    elif whole and high <= 65535 and not (values % 257).any():
        gray, rule, warning = values // 257, "as is", f"{unit} were taken as finished gray levels times 257."
    elif -32768 <= low < HU_BELOW and high <= 32767:
        warning = f"{unit} were taken as HU, at the model's window; send X-Window to say so, or DICOM to be sure."
        return Rendering(default.render(values), default, "model window", (warning,))
    elif has_offset(values):
        warning = f"{unit} were taken as HU + 1024, at the model's window; send DICOM to be sure."
        return Rendering(default.render(values - OFFSET), default, "model window", (warning,))
    else:
        gray = np.floor((values.astype(np.float64) - low) * (255 / max(high - low, 1e-30)) + 0.5)
        rule, warning = "stretch", f"{unit} have no known meaning and were stretched to gray; send X-Window or DICOM."
    shown = gray.astype(np.uint8)
    return Rendering(255 - shown if inverted else shown, None, cast(Rule, rule), (warning,))


def has_offset(values: Values) -> bool:
    """Whether non-negative values look like HU + 1024: a twentieth or more air or lung, and as much soft tissue."""
    if values.min() < 0 or values.max() > 8191:
        return False
    air_or_lung = (values <= OFFSET - 600).mean()
    soft_tissue = ((values >= OFFSET - 150) & (values <= OFFSET + 150)).mean()
    return bool(air_or_lung >= 0.05 and soft_tissue >= 0.05)


def _list_scales(picture: Image.Image, body: bytes) -> Iterator[tuple[float, float]]:
    """Height and width of what a pixel shows by OME-XML in a TIFF, or by a PNG's sCAL (PNG extensions), where SimpleITK
    keeps a slice's spacing. Pillow reads neither.
    """
    if sizes := find_sizes(str(_tag(picture, DESCRIPTION))):
        yield sizes
    at, name = 8, b""
    while picture.format == "PNG" and name not in (b"IDAT", b"IEND"):
        length, name = struct.unpack_from(">I4s", body, at)
        if name == b"sCAL" and (found := SCALE.fullmatch(body, at + 8, at + 8 + length)):
            with suppress(ValueError):  # two points in a number
                yield float(found[2]), float(found[1])
        at += 12 + length


def _list_resolutions(picture: Image.Image) -> Iterator[tuple[Any, Any]]:
    """What stands where a picture has its resolution, across and down: PNG's pHYs, JFIF's or BMP's density, then
    TIFF's tags or EXIF's. One without a unit of length is left out: it states nothing physical.
    """
    info, tags = picture.info, getattr(picture, "tag_v2", None)
    if "dpi" in info and tags is None:  # in a TIFF Pillow takes 1 for the one that is missing
        yield info["dpi"]
    if tags is None and info.keys() & METADATA:
        tags = picture.getexif()
    if not tags:
        return
    unit = tags.get(RESOLUTION_UNIT, PHYSICAL[0])
    if unit in PHYSICAL or (unit == NO_UNIT and has_length(str(tags.get(DESCRIPTION)))):
        yield tags.get(X_RESOLUTION), tags.get(Y_RESOLUTION)


def _tag(picture: Image.Image, number: int) -> Any:
    """The first value of a TIFF tag, None without the tag or in other formats."""
    value = getattr(picture, "tag_v2", {}).get(number)
    return value[0] if isinstance(value, tuple) else value
