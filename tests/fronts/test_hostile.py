"""Hostile files against the real server: no good reply changes, no worker dies, no patient is quoted."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pydicom
import pytest

from lungct.window import LUNG
from lungct_client import Client, RefusedError
from lungct_tools.phantom.anatomy import draw_slice
from tests.support.dicoms import PATIENT, build_ct
from tests.support.pictures import encode, join_png

pytestmark = pytest.mark.server

CLIENT_ERRORS = range(400, 500)


def store(hu):
    """HU as a scanner stores them: unsigned 16 bits, 1024 up."""
    return (hu.astype(np.int32) + 1024).astype(np.uint16)


def make_hostile_files(slices):
    """200 files that no decoder should meet: cut, scrambled, lying about their size, of other formats and trades."""
    rng = np.random.default_rng(7)
    dicom = build_ct(store(draw_slice(1)))
    files = [b"\0" * n for n in (1, 7, 131, 5000)]
    for whole in (*slices[:2], dicom):
        files += [whole[: int(len(whole) * share)] for share in (0.001, 0.01, 0.1, 0.5, 0.9, 0.99)]
        for _ in range(34):
            scrambled = bytearray(whole)
            for at in rng.integers(0, min(len(whole), 3000), 12):
                scrambled[at] = rng.integers(256)
            files.append(bytes(scrambled))
    vast = (b"IHDR", bytes.fromhex("7fffffff7fffffff0800000000"))
    files += [
        join_png(vast, (b"IDAT", b"x"), (b"IEND", b"")),
        b"PK\x03\x04" + bytes(100),
        b"%PDF-1.7",
        b"GIF89a" + bytes(50),
    ]
    shipped = sorted((Path(pydicom.__file__).parent / "data" / "test_files").glob("*.dcm"))
    files += [path.read_bytes() for path in shipped if path.stat().st_size < 2**20][: 200 - len(files)]
    assert len(files) == 200
    return files


def test_two_hundred_hostile_files_among_good_ones_change_no_reply_and_kill_no_worker(server, slices):
    client = Client(server, deadline_s=0, timeout_s=120)
    grids = {"heatmap": "always", "heatmap_format": "grid"}
    alone = [client.predict(body, **grids) for body in slices]
    pids = [worker["pid"] for worker in client.describe()["workers"]]
    hostile = make_hostile_files(slices)
    work = [(None, body) for body in hostile] + [(i % len(slices), slices[i % len(slices)]) for i in range(100)]
    work = [work[i] for i in np.random.default_rng(3).permutation(len(work))]

    def ask(item):
        try:
            return client.predict(item[1], **grids)
        except RefusedError as error:
            return error

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(ask, work))
    refused = 0
    for (good, _), answer in zip(work, answers, strict=True):
        if good is not None:
            assert answer == alone[good]
        elif isinstance(answer, RefusedError):
            refused += 1
            assert answer.status in CLIENT_ERRORS
            assert answer.code != "unknown"
    assert refused > 100
    assert [worker["pid"] for worker in client.describe()["workers"]] == pids


def test_a_dicom_and_the_png_rendered_from_it_get_the_same_reply(client):
    hu = draw_slice(2, "smooth")
    options = {"heatmap": "always", "heatmap_format": "png"}
    dicom = client.predict(build_ct(store(hu)), **options).raw
    png = client.predict(encode(LUNG.render(hu), "PNG"), **options).raw
    assert dicom.pop("input")["window"] == {"center": -500, "width": 1500}
    assert png.pop("input")["window"] is None
    assert dicom == png


def test_no_tag_value_reaches_log_metrics_errors_or_replies(server, client):
    stored = store(draw_slice(2))
    good = build_ct(stored)
    answers = [client.predict(good, heatmap="always"), client.predict(good, gate="off")]
    for body in (
        good[:-1000],
        good.replace(b"ORIGINAL", b"DERIVED "),
        build_ct(stored, Modality="MR"),
        build_ct(stored, ImageType=["DERIVED", "SECONDARY", PATIENT]),
        build_ct(stored, ImageComments=PATIENT, PhotometricInterpretation="RGB"),
    ):
        try:
            answers.append(client.predict(body))
        except RefusedError as error:
            answers.append(f"{error.code} {error}")
    seen = repr(answers) + client.metrics() + server.log.read_text(errors="replace")
    assert PATIENT in good.decode("latin-1")
    assert not any(part in seen for part in PATIENT.split("^"))
