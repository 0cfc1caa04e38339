"""A real Orthanc, a real server, and `lungct pacs listen` as an operator would start it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lungct_tools.pacs.folder import SeriesFolder
from lungct_tools.pacs.spool import Spool
from tests.dicomout.conftest import assess  # noqa: F401 - a fixture
from tests.support.built import build, encode
from tests.support.calls import wait_until
from tests.support.listening import Listening, listening
from tests.support.orthanc import Orthanc, running
from tests.support.series import draw_series


@pytest.fixture(scope="module")
def orthanc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    with running(tmp_path_factory.mktemp("orthanc")) as found:
        yield found


@pytest.fixture
def archive(orthanc: Orthanc) -> Orthanc:
    """The same, empty."""
    orthanc.clear()
    return orthanc


@pytest.fixture(scope="module")
def listener(server, orthanc, tmp_path_factory) -> Iterator[Listening]:
    """One that sends to Orthanc by STOW-RS."""
    spool, more = tmp_path_factory.mktemp("spool") / "pacs", ("--to", orthanc.web)
    with listening(server.run, spool, *more) as found:
        yield found


@pytest.fixture
def wait_for() -> Callable[..., None]:
    return lambda condition, what, deadline_s=120: wait_until(condition, deadline_s, what)


@pytest.fixture(scope="module")
def objects(assess):  # noqa: F811 - the fixture
    return build(assess(draw_series(3)), {})


@pytest.fixture
def spool(tmp_path):
    with Spool(tmp_path / "spool", 10**9) as found:
        yield found


@pytest.fixture
def version(spool, objects):
    folder = SeriesFolder(spool.root / "series" / "a")
    folder.root.mkdir()
    names = [f"{number}.dcm" for number in range(len(objects))]
    files = zip(names, map(encode, objects), strict=True)
    manifest = {
        "slices": [], "study": objects[0].StudyInstanceUID,
        "objects": [{"file": n, "sop_class": o.SOPClassUID} for n, o in zip(names, objects, strict=True)],
    }  # fmt: skip
    return folder, folder.add_version(1, files, manifest)


def write(folder: Path, files: tuple[bytes, ...]) -> list[Path]:
    """Files on disk, for programs that want them there."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{number}.dcm" for number in range(len(files))]
    for path, body in zip(paths, files, strict=True):
        path.write_bytes(body)
    return paths
