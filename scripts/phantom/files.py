"""Files of drawn slices, DICOM or PNG.

No patient is behind any pixel: demos, tests and docs use it where a real scan could not be shipped.
"""

import io
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from lungct.model.preprocess import Geometry, to_input
from lungct.window import LUNG
from lungct_tools.phantom.anatomy import FIELD_MM, NODULES, SLICE_MM, draw_slice
from lungct_tools.phantom.picture import write_png

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


WRITERS = {"dicom": (write_dicom, ".dcm"), "png": (write_png, ".png")}
