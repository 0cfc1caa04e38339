"""The same synthetic slices in every format that users send, and large pictures."""

from __future__ import annotations

import io
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
from PIL import Image
from pydicom import uid

from lungct.window import LUNG
from lungct_tools.bench.slices import NOISE_HU, draw_planes, encode_jpeg
from lungct_tools.phantom.compression import compress, wrap
from lungct_tools.phantom.files import encode_dicom

JPEG, PNG, DICOM = "JPEG", "PNG", "DICOM, uncompressed"
COMPRESSED = {
    "DICOM, JPEG lossless": uid.JPEGLosslessSV1,
    "DICOM, JPEG-LS": uid.JPEGLSLossless,
    "DICOM, JPEG 2000": uid.JPEG2000Lossless,
    "DICOM, HTJ2K": uid.HTJ2KLossless,
    "DICOM, RLE": uid.RLELossless,
}
# draw_slice(3, "smooth") + 1024 by imagecodecs 2026.3.6 (OpenJPH): nothing that is installed here encodes HTJ2K.
HTJ2K = Path(__file__).with_name("htj2k.j2c")
COUNT = 4  # files of each compressed kind
WIDE, LARGE = 2048, 4000  # pixels a side; the larger one is of 16 megapixels, the most that the server takes


class Bodies:
    """Files by format; each kind is drawn when it is first asked for."""

    def __init__(self, jpegs: Sequence[bytes]) -> None:
        self.jpegs = jpegs

    @cached_property
    def planes(self) -> list[np.ndarray]:
        """(512, 512) int16 HU of noisy slices."""
        return [np.clip(np.rint(hu), -1024, 3071).astype(np.int16) for hu in draw_planes()]

    @cached_property
    def dicoms(self) -> list[bytes]:
        return [encode_dicom(hu) for hu in self.planes]

    @cached_property
    def pngs(self) -> list[bytes]:
        return [encode_png(render(hu)) for hu in self.planes]

    @cached_property
    def wide(self) -> list[bytes]:
        """JPEG files of WIDE x WIDE pixels, no less noisy than the others: 2 MB each."""
        rng = np.random.default_rng(1)
        noise = rng.normal(0, NOISE_HU, (WIDE, WIDE))
        return [encode_jpeg(render(enlarge(hu, WIDE) + noise)) for hu in self.planes[:COUNT]]

    @cached_property
    def large(self) -> list[bytes]:
        """A JPEG and a PNG file of LARGE x LARGE pixels."""
        picture = render(enlarge(self.planes[1], LARGE))
        return [encode_jpeg(picture), encode_png(picture)]

    def compress(self, name: str) -> list[bytes]:
        """DICOM files of one of COMPRESSED; RuntimeError where nothing here encodes it."""
        if COMPRESSED[name] == uid.HTJ2KLossless:
            return [wrap(HTJ2K.read_bytes(), self.dicoms[0], COMPRESSED[name])]
        return [compress(body, COMPRESSED[name]) for body in self.dicoms[:COUNT]]

    def number(self, count: int, folder: Path) -> None:
        """Write so many DICOM files into a folder, no two of equal pixels."""
        folder.mkdir()
        for number in range(count):
            # The last two pixels, in air: a file of equal bytes could be taken for a copy.
            body = self.dicoms[number % len(self.dicoms)][:-4] + np.uint32(number).tobytes()
            (folder / f"{number:05}.dcm").write_bytes(body)


def write_all(bodies: Sequence[bytes], folder: Path) -> None:
    """Files of a folder, in this order by name."""
    folder.mkdir(parents=True)
    for number, body in enumerate(bodies):
        (folder / f"{number:03}").write_bytes(body)


def enlarge(hu: np.ndarray, side: int) -> np.ndarray:
    """(side, side) float32 HU of a smaller slice."""
    return np.asarray(Image.fromarray(hu.astype(np.float32)).resize((side, side), Image.Resampling.BICUBIC))


def render(hu: np.ndarray) -> Image.Image:
    """HU in the lung window."""
    return Image.fromarray(LUNG.render(hu))


def encode_png(picture: Image.Image) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, "PNG")
    return stream.getvalue()
