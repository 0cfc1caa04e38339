"""README's table of accepted files: every row is built, decoded and rendered as the row says."""

import numpy as np
import pytest
from PIL import Image

from lungct.pixels.acceptance import AS_IS, LUMA, UPPER, VALUES, accepted_formats
from lungct.pixels.pixeldata import SYNTAXES
from lungct.window import LUNG, Window
from lungct_tools.documents.formats import format_table
from tests.support.dicoms import HU, build_bare, build_enhanced, build_of, read
from tests.support.pictures import GRAY, encode, encode_deep_png, encode_tiff

COLOURS = np.stack([GRAY, GRAY, 255 - GRAY], axis=2)
EXIF = Image.Exif()
EXIF[274] = 6


def modes(kind, *names, **options):
    return [encode(Image.fromarray(COLOURS).convert(name), kind, **options) for name in names]


FILES = {
    ("PNG", "gray, 1 to 8 bit"): [encode(GRAY, "PNG"), *modes("PNG", "1")],
    ("PNG", "gray, 16 bit"): [encode(GRAY.astype(np.uint16) * 200, "PNG")],
    ("PNG", "palette, RGB, with alpha, 8 bit"): modes("PNG", "P", "RGB", "RGBA", "LA"),
    ("PNG", "RGB, 16 bit"): [encode_deep_png(COLOURS.astype(np.uint16) * 256)],
    ("JPEG", "gray, baseline or progressive"): [encode(GRAY, "JPEG"), encode(GRAY, "JPEG", progressive=True)],
    ("JPEG", "YCbCr, RGB or CMYK"): [
        *modes("JPEG", "RGB", "CMYK"),
        encode(COLOURS, "JPEG", keep_rgb=True),
    ],
    ("JPEG", "with EXIF orientation"): [encode(GRAY, "JPEG", exif=EXIF)],
    ("TIFF", "gray, 1 or 8 bit, one page"): [
        *modes("TIFF", "1"),
        encode_tiff(GRAY),
        encode_tiff(GRAY, ">"),
        *(encode(GRAY, "TIFF", compression=name) for name in ("tiff_lzw", "tiff_deflate", "packbits")),
    ],
    ("TIFF", "gray, 16 or 32 bit, integer or float, either byte order"): [
        encode_tiff(HU.astype(kind), order) for kind in ("i2", "i4", "f4") for order in "<>"
    ]
    + [encode_tiff((HU + 1024).astype(np.uint16), order) for order in "<>"],
    ("TIFF", "palette, RGB or CMYK, 8 bit"): modes("TIFF", "P", "RGB", "CMYK"),
    ("BMP", "gray, palette or RGB"): [encode(GRAY, "BMP"), *modes("BMP", "P", "RGB")],
    ("WEBP", "one picture, lossless or lossy"): [
        encode(COLOURS, "WEBP", lossless=True),
        encode(COLOURS, "WEBP"),
    ],
    ("DICOM", "CT without preamble or meta header"): [build_bare()],
    ("DICOM", "enhanced (multi-frame) CT"): [build_enhanced()],
} | {("DICOM", f"CT, {syntax.name}"): [build_of(syntax.uid)[0]] for syntax in SYNTAXES.values()}


@pytest.mark.parametrize("row", accepted_formats(), ids=lambda row: f"{row.format} {row.variant}")
def test_every_row_is_accepted_as_it_says(row):
    for body in FILES[row.format, row.variant]:
        found = read(body)
        assert found.format == row.format
        assert found.pixels.shape == GRAY.shape
        if row.gray in (AS_IS, LUMA, UPPER):
            assert (found.rule, found.window) == ("as is", None)
        if row.gray == VALUES or row.format == "DICOM":
            asked = read(body, Window(40, 400))
            assert (asked.rule, asked.window) == ("asked window", Window(40, 400))
        if row.format == "DICOM":
            assert (found.rule, found.window) == ("model window", LUNG)
        if "with a warning" in row.gray:
            assert found.warnings


def test_the_table_has_a_row_for_every_file_and_no_other():
    rows = [(row.format, row.variant) for row in accepted_formats()]
    assert sorted(rows) == sorted(FILES)
    told = [line.strip("| ").split(" | ") for line in format_table().splitlines()[2:]]
    assert sorted((name, variant) for name, variants, _ in told for variant in variants.split("; ")) == sorted(FILES)
