"""What programs of others make of our objects: dicom3tools' dciodvfy, dcmtk and dcmqi."""

import json
import re
import shutil
import subprocess
import sysconfig
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread

from tests.dicomout.test_map import matrix_of_frame
from tests.support.built import build, encode
from tests.support.series import MIRRORED, OBLIQUE, draw_series, refused_slice

pytestmark = pytest.mark.ops
DCMQI = Path(sysconfig.get_path("purelib")) / "dcmqi" / "bin"
# dciodvfy is of 2023 and knows no schemes but the standard's; DeviceUID came into the equipment module later (CP 1750).
EXPLAINED = (
    r"Unrecognized defined term <99LUNGSERVE>",
    r"Attribute is not present in standard DICOM IOD - \(0x0018,0x1002\) UI Device UID",
    r"Dicom dataset contains attributes not present in standard DICOM IOD - this is a Standard Extended SOP Class",
    # of a result without identity, and of a source without numbers; such a one cannot be burned to a disc
    r"Missing attribute or value that would be needed to build DICOMDIR - (Patient ID|Study (Date|Time|ID))",
)
SERIES = {
    "axial": (*draw_series(3), refused_slice()),
    "oblique": draw_series(3, OBLIQUE, name="oblique"),
    "mirrored": draw_series(3, MIRRORED, name="mirrored"),
    "wide": draw_series(3, rows=200, name="wide"),
    "lossy": draw_series(
        3,
        name="lossy",
        LossyImageCompression="01",
        LossyImageCompressionRatio="10",
        LossyImageCompressionMethod="ISO_10918_1",
    ),
    "bare": draw_series(
        2, name="bare", ImagePositionPatient=None, SliceThickness=None, PatientSex="X", InstanceNumber=None
    ),
}


def run(program: str | Path, *arguments: object) -> str:
    """What a program prints; a failure fails the test."""
    found = shutil.which(str(program))
    if found is None:
        pytest.skip(f"{program} is not installed")
    done = subprocess.run([found, *map(str, arguments)], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def written(assess, overlay, tmp_path_factory):
    """Files of all objects by the name of the series."""
    found = {}
    for name, files in SERIES.items():
        folder = tmp_path_factory.mktemp(name)
        assessment = assess(files, deidentified=name == "wide")
        pictures = {assessment.slices[0].uid: overlay(files[0])}
        objects = build(assessment, pictures, "full" if name == "mirrored" else "small",
                                "enhanced" if name == "oblique" else "comprehensive3d")  # fmt: skip
        found[name] = [folder / f"{number}-{data.Modality}.dcm" for number, data in enumerate(objects)]
        for path, data in zip(found[name], objects, strict=True):
            path.write_bytes(encode(data))
    return found


@pytest.mark.parametrize("name", SERIES)
def test_dciodvfy_finds_no_error_and_only_warnings_that_are_explained(written, name):
    for path in written[name]:
        lines = run("dciodvfy", path).splitlines()
        complaints = [line for line in lines if line.startswith(("Error", "Warning"))]
        assert not [line for line in complaints if not any(re.search(known, line) for known in EXPLAINED)]


@pytest.mark.parametrize("name", SERIES)
def test_dcmtk_reads_every_object(written, name):
    for path in written[name]:
        run("dsrdump" if path.stem.endswith("SR") else "dcmdump", path)


def test_dcmqi_reads_the_map_where_we_put_it(written, tmp_path):
    path = written["oblique"][1]
    run(DCMQI / "paramap2itkimage", "--inputDICOM", path, "--outputDirectory", tmp_path)
    head, _, blob = (tmp_path / "pmap.nrrd").read_bytes().partition(b"\n\n")
    fields = dict(line.split(":", 1) for line in head.decode("ascii").splitlines() if ": " in line)
    vectors = [np.array(found.split(","), float) for found in re.findall(r"\(([^)]*)\)", fields["space directions"])]
    (origin,) = (np.array(found.split(","), float) for found in re.findall(r"\(([^)]*)\)", fields["space origin"]))
    data = dcmread(path)
    frames = [matrix_of_frame(data, number) for number in range(3)]
    first = min(frames, key=lambda frame: np.abs(frame[:3, 3] - origin).sum())
    assert np.allclose(first[:3, 3], origin, atol=1e-4)
    assert np.allclose(first[:3, :2].T, vectors[:2], atol=1e-4)


def test_dcmqi_reads_the_numbers_of_the_report(written, tmp_path):
    run(DCMQI / "tid1500reader", "--inputDICOM", written["axial"][0], "--outputMetadata", tmp_path / "sr.json")
    groups = json.loads((tmp_path / "sr.json").read_text())["Measurements"]
    values = {item["quantity"]["CodeValue"]: float(item["value"]) for item in groups[0]["measurementItems"]}
    assert (values["SLICES"], values["SCORED"], values["REFUSED"]) == (4, 3, 1)
    assert {group["TrackingIdentifier"] for group in groups} >= {"Slice 1", "Slice 2", "Slice 3"}


def test_gdcm_reads_captures(written):
    import gdcm

    for path in written["axial"][2:]:
        reader = gdcm.ImageReader()
        reader.SetFileName(str(path))
        assert reader.Read()
        assert tuple(reader.GetImage().GetDimensions())[:2] == (512, 546)
