"""Every file pydicom ships and every picture Pillow writes: a Slice or a LungCTError, soon, in little memory."""

import io
import resource
import time
import warnings
from collections import Counter
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image

from lungct.errors import STATUS, LungCTError
from lungct.pixels.image import Slice
from lungct.pixels.pixeldata import SYNTAXES
from tests.support.dicoms import DEADLINE_S, build_bare, build_ct, build_enhanced, build_of, read
from tests.support.pictures import GRAY, encode, encode_tiff

PYDICOM = sorted(p for p in (Path(pydicom.__file__).parent / "data").rglob("*") if p.is_file() and p.suffix != ".py")
# What pydicom's files are, so that a change of ours which refuses or accepts others is noticed.
CT = {"693_J2KI.dcm", "CT_small.dcm", "J2K_pixelrep_mismatch.dcm", *["17106", "17136", "17166", "17196"]} | {
    *["2062", "2392", "2693", "3023", "3353"]
}
MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "LAB", "HSV", "I", "F", "I;16", "I;16B")
OUTCOMES = {code for code, status in STATUS.items() if 400 <= status < 500}


def judge(body: bytes) -> str:
    """Decode; "accepted" or the code of the refusal. Anything but a Slice or a LungCTError fails the test."""
    started = time.monotonic()
    try:
        found = read(body)
    except LungCTError as error:
        assert error.code in OUTCOMES
        assert error.message.isascii()
        outcome = error.code
    else:
        assert isinstance(found, Slice)
        assert found.pixels.dtype == np.uint8
        assert found.pixels.ndim == 2
        outcome = "accepted"
    assert time.monotonic() - started < DEADLINE_S
    return outcome


@pytest.fixture(scope="module", autouse=True)
def started():
    """The nursery is up, so that its imports are not counted; and memory is watched."""
    read(build_ct())
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    yield
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 512 * 1024  # kB


def test_every_file_pydicom_ships_is_read_or_refused():
    outcomes = {path.name: judge(path.read_bytes()) for path in PYDICOM}
    assert len(PYDICOM) > 150
    assert {name for name, outcome in outcomes.items() if outcome == "accepted"} == CT
    assert set(outcomes.values()) == {"accepted", "unsupported_dicom", "unsupported_format"}


def oddities():
    """(name, file) of every mode in every format that Pillow writes."""
    Image.init()
    for kind in sorted(Image.SAVE):
        for mode in MODES:
            for size in ((64, 64), (1, 1), (1, 300)):
                stream = io.BytesIO()
                try:
                    with warnings.catch_warnings(action="ignore"):
                        Image.new(mode, size, 1).save(stream, kind)
                except (OSError, ValueError, KeyError, TypeError, RuntimeError, SystemError):
                    continue  # a pair that Pillow does not write
                yield f"{kind} {mode} {size}", stream.getvalue()


def test_every_picture_that_pillow_writes_is_read_or_refused():
    outcomes = Counter()
    for name, body in oddities():
        outcomes[name.split()[0], judge(body)] += 1
    for kind in ("PNG", "JPEG", "TIFF", "BMP", "WEBP"):
        assert outcomes[kind, "accepted"] >= 6, kind
    for kind in ("GIF", "PDF", "JPEG2000", "PPM", "ICO", "TGA", "EPS"):
        assert outcomes[kind, "accepted"] == 0
    assert sum(outcomes.values()) > 200


def samples():
    """A good file of every kind."""
    for syntax in SYNTAXES:
        yield build_of(syntax)[0]
    yield from (build_bare(), build_enhanced(), encode_tiff(GRAY.astype(np.float32)))
    yield from (encode(GRAY, kind) for kind in ("PNG", "JPEG", "TIFF", "BMP", "WEBP"))
    yield encode(GRAY, "JPEG", progressive=True)


def test_damaged_files_are_read_or_refused():
    rng = np.random.default_rng(0)
    outcomes = Counter()
    for body in samples():
        assert judge(body) == "accepted"
        for _ in range(12):
            cut = body[: rng.integers(1, len(body))]
            outcomes[judge(cut)] += 1
            noisy = np.frombuffer(body, np.uint8).copy()
            spots = rng.integers(0, min(len(body), rng.choice([400, len(body)])), rng.integers(1, 30))
            noisy[spots] = rng.integers(0, 256, len(spots))
            outcomes[judge(noisy.tobytes())] += 1
    assert outcomes["corrupt_image"] > 100
    assert outcomes["accepted"] > 20  # noise in the pixels of an uncompressed file is still a file
