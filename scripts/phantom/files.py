"""Draw a synthetic axial chest-CT slice and write it as DICOM or PNG.

No patient is behind any pixel: demos, tests and docs use it where a real scan could not be shipped.
"""

import argparse
import io
import sys
from pathlib import Path

import numpy as np
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from lungct.model.preprocess import Geometry, to_input
from lungct.window import LUNG
from lungct_tools.phantom.anatomy import FIELD_MM, NODULES, SLICE_MM, draw_slice

TAGS = {
    "SOPClassUID": CTImageStorage,
    "Modality": "CT",
    "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"],
    "PatientName": "PHANTOM^SYNTHETIC",
    "PatientID": "PHANTOM",
    "PatientBirthDate": "",
    "PatientSex": "O",
    "StudyDate": "20200101",
    "StudyTime": "120000",
    "StudyID": "1",
    "AccessionNumber": "",
    "ReferringPhysicianName": "",
    "Manufacturer": "LungServe phantom",
    "KVP": None,
    "AcquisitionNumber": None,
    "SeriesNumber": 1,
    "InstanceNumber": 1,
    "PositionReferenceIndicator": "",
    "SliceThickness": SLICE_MM,
    "ImageOrientationPatient": [1, 0, 0, 0, 1, 0],
    "SamplesPerPixel": 1,
    "PhotometricInterpretation": "MONOCHROME2",
    "PixelRepresentation": 0,
    "BitsAllocated": 16,
    "BitsStored": 16,
    "HighBit": 15,
    "RescaleIntercept": -1024,
    "RescaleSlope": 1,
    "RescaleType": "HU",
    "WindowCenter": -500,
    "WindowWidth": 1500,
}


def write_png(hu: np.ndarray, path: Path) -> None:
    """Write (H, W) HU as an 8-bit gray PNG in the lung window."""
    Image.fromarray(LUNG.render(hu)).save(path, format="PNG")


def encode_dicom(hu: np.ndarray) -> bytes:
    """Return (H, W) HU as a CT DICOM file; equal pixels give equal bytes."""
    pixels = (hu.astype(np.int32) + 1024).astype("<u2")
    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    for name, value in TAGS.items():
        setattr(data, name, value)
    for name in ("SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID", "FrameOfReferenceUID"):
        setattr(data, name, generate_uid(entropy_srcs=[name, pixels.tobytes().hex()]))
    spacing = FIELD_MM / pixels.shape[1]
    data.PixelSpacing = [round(spacing, 6)] * 2
    data.ImagePositionPatient = [round((spacing - FIELD_MM) / 2, 6)] * 2 + [0]
    data.Rows, data.Columns = pixels.shape
    data.PixelData = pixels.tobytes()
    buffer = io.BytesIO()
    data.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def write_dicom(hu: np.ndarray, path: Path) -> None:
    """Write (H, W) HU as a CT DICOM file."""
    path.write_bytes(encode_dicom(hu))


def golden_inputs(size: int, geometry: Geometry) -> np.ndarray:
    """(3, 1, size, size) uint8 network inputs of three phantoms: the known questions of a model folder's self-check."""
    slices = [LUNG.render(draw_slice(seed, nodule)) for seed, nodule in enumerate(NODULES)]
    return np.stack([to_input(pixels, size, geometry, LUNG.air) for pixels in slices])


def parse_arguments() -> argparse.Namespace:
    """Parse the command line; a wrong one exits 2."""
    parser = argparse.ArgumentParser(
        description="Draw synthetic chest-CT slices. Research use only: no patient is shown, nothing clinical follows.",
        epilog="example: lungct phantom demo/nodule --nodule spiculated --format dicom png",
    )
    parser.add_argument("out", type=Path, help="file name without suffix, or a folder (always one if --count > 1)")
    parser.add_argument("--seed", type=int, default=0, help="which anatomy, 0 or more (default 0)")
    parser.add_argument("--nodule", choices=NODULES, default="none", help="what to put into a lung (default none)")
    parser.add_argument("--format", nargs="+", choices=WRITERS, default=["dicom"], help="what to write (default dicom)")
    parser.add_argument("--size", type=int, default=512, help="pixels a side, 64 to 2048 (default 512)")
    parser.add_argument("--count", type=int, default=1, help="how many slices, of seeds in a row (default 1)")
    args = parser.parse_args()
    if args.seed < 0 or args.count < 1 or not 64 <= args.size <= 2048:
        parser.error("--seed must be at least 0, --count at least 1 and --size between 64 and 2048")
    return args


def main() -> int:
    """Write the slices that the command line asks for; return 0, or 1 if a file could not be written."""
    args = parse_arguments()
    into_folder = args.count > 1 or args.out.is_dir()
    for seed in range(args.seed, args.seed + args.count):
        stem = args.out / f"phantom-{args.nodule}-{seed}" if into_folder else args.out
        hu = draw_slice(seed, args.nodule, args.size)
        for write, suffix in (WRITERS[name] for name in args.format):
            path = stem.with_name(stem.name + suffix)
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                write(hu, path)
            except OSError as error:
                print(f"phantom.py: cannot write {path}: {error.strerror}.", file=sys.stderr)
                return 1
            print(f"wrote {path}")
    return 0


WRITERS = {"dicom": (write_dicom, ".dcm"), "png": (write_png, ".png")}
