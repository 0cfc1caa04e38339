#!/usr/bin/env python3
"""Fuzz the decoding of files: every input gives a Slice or a LungCTError, nothing else.

    lungct fuzz -runs=2000                          a short run, as in the tests
    lungct fuzz corpus -max_total_time=28800 \
        -timeout=10 -rss_limit_mb=2048 -fork=2 -ignore_crashes=1                  over night

The options are libFuzzer's. `corpus` is a folder that keeps what was found to reach new code; it starts with the files
that pydicom ships and a small picture of each format. Decoding runs in this process, so that its coverage is seen and a
crash is found, where the server has children for it. What our own reader of headers takes must be what pydicom reads.
"""

import io
import logging
import sys
import warnings
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["lungct", "pydicom", "PIL"]):
    import pydicom
    from PIL import Image

    from lungct.errors import LungCTError
    from lungct.pixels import dicom, image, nursery, reader
    from lungct.pixels.hounsfield import to_gray
    from lungct.pixels.rendering import Terms
    from lungct.settings import Settings
    from lungct.window import LUNG, Window

LIMITS = Settings(max_bytes=2**20, max_pixels=2**18, max_side=2048)
ASKED = (None, None, "file", Window(40, 400))


def decode(body: bytes) -> None:
    """Decode one input; its last byte chooses window and frame."""
    choice = body[-1] if body else 0
    try:
        found = image.decode(body, ASKED[choice % 4], (None, 1)[choice // 128], LUNG, LIMITS)
    except LungCTError as error:
        if error.status >= 500:
            raise
    else:
        if found.pixels.dtype != "uint8" or found.pixels.ndim != 2:
            raise AssertionError("no gray image")
        if found.format == "DICOM":
            usual = dicom.find_any_frame(body, Terms(ASKED[choice % 4], (None, 1)[choice // 128], LUNG, LIMITS))
            about = usual.about
            if (found.window, found.warnings, found.aspect) != (about.window, about.notes, about.aspect):
                raise AssertionError("another header")
            if (found.pixels != to_gray(usual.decode(), usual.scale, about.window)).any():
                raise AssertionError("other pixels")


def plant(folder: Path) -> None:
    """Fill an empty corpus with good files."""
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        return
    for path in (Path(pydicom.__file__).parent / "data").rglob("*"):
        if path.is_file() and path.suffix != ".py":
            (folder / f"pydicom-{path.parent.name}-{path.name}").write_bytes(path.read_bytes())
    for kind in ("PNG", "JPEG", "TIFF", "BMP", "WEBP"):
        for mode in ("L", "RGB"):
            stream = io.BytesIO()
            Image.linear_gradient("L").resize((40, 30)).convert(mode).save(stream, kind)
            (folder / f"pillow-{kind}-{mode}").write_bytes(stream.getvalue())


def main() -> None:
    """Run libFuzzer with the command line's options; it ends the process."""
    if "--help" in sys.argv:
        print(__doc__)
        return
    warnings.simplefilter("ignore")
    logging.disable()
    reader.read = nursery.decode
    for argument in sys.argv[1:]:
        if not argument.startswith("-"):
            plant(Path(argument))
    atheris.Setup(sys.argv, decode)
    atheris.Fuzz()
