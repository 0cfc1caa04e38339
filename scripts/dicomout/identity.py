"""What every object of a result says of patient, study, software and time."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from lungct import NOTICE
from lungct_tools.dicomout import codes
from lungct_tools.dicomout.assessment import PATIENT_KEYWORDS, STUDY_KEYWORDS, Assessment, Slice
from lungct_tools.dicomout.encoding import as_element, encode_code, encode_item
from lungct_tools.dicomout.uids import IMPLEMENTATION_UID, WRITER, name_device, name_object

MANUFACTURER, MODEL = "LungServe project", "LungServe"
# The three kinds are series of their own; numbers that scanners do not reach.
SERIES_NUMBERS = {"report": 9101, "map": 9102, "capture": 9103}
_SEXES = ("M", "F", "O")
_NO_MOMENT = datetime(1900, 1, 1)


def begin(kind: str, sop_class: str, uid: str, assessment: Assessment) -> Dataset:
    """A data set with the modules that all our objects have: patient, study, series, equipment, SOP common.

    De-identified ones leave out or empty what PS3.15's Basic Profile (table E.1-1) names, as far as our objects have
    the attribute of the source; UIDs stay, so that the result still belongs to its images. What is ours stays as well:
    the software as a device, our descriptions and the report's content, see `codes.DEIDENTIFICATION`.

    Args:
        kind: "report", "map" or "capture".
    """
    data = Dataset()
    data.preamble = bytes(128)
    data.file_meta = FileMetaDataset()
    data.file_meta.FileMetaInformationVersion = b"\0\1"
    data.file_meta.MediaStorageSOPClassUID, data.file_meta.MediaStorageSOPInstanceUID = sop_class, uid
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.file_meta.ImplementationClassUID = IMPLEMENTATION_UID
    data.file_meta.ImplementationVersionName = "LUNGSERVE"
    data.SpecificCharacterSet = "ISO_IR 192"
    data.set_original_encoding(False, True, data._character_set)  # else pydicom parses every sequence to write it
    data.SOPClassUID, data.SOPInstanceUID, data.InstanceNumber = sop_class, uid, 1
    _copy_identity(data, assessment)
    data.SeriesInstanceUID = name_object(f"{kind} series", assessment)
    data.SeriesNumber = SERIES_NUMBERS[kind]
    data.SeriesDescription = f"LungServe {kind} - research use only"
    _date(data, assessment, "InstanceCreation", "Content", "Series")
    _describe_equipment(data, assessment)
    return data


def set_capture_date(data: Dataset, assessment: Assessment) -> None:
    """Date and time of a secondary capture."""
    moment = _moment(assessment)
    data.DateOfSecondaryCapture, data.TimeOfSecondaryCapture = moment.strftime("%Y%m%d"), moment.strftime("%H%M%S")


def tell_compression(data: Dataset, sources: Iterable[Slice]) -> None:
    """C.7.6.1.1.5: what is made of lossy pixels is lossy; of several the first one says how."""
    lossy = [each.header for each in sources if each.header.get("LossyImageCompression") == "01"]
    data.LossyImageCompression = "01" if lossy else "00"
    for keyword in ("LossyImageCompressionRatio", "LossyImageCompressionMethod"):
        if lossy and keyword in lossy[0]:
            setattr(data, keyword, lossy[0][keyword].value)


def add_sequence(data: Dataset, keyword: str, items: Iterable[bytes]) -> None:
    """Give a data set a sequence of items of `encoding`."""
    element = as_element(keyword, items)
    data[element.tag] = element


def _copy_identity(data: Dataset, assessment: Assessment) -> None:
    header = assessment.slices[0].header
    for keyword in (*PATIENT_KEYWORDS, *STUDY_KEYWORDS):
        kept = keyword.endswith("UID") or not assessment.deidentified
        setattr(data, keyword, header.get(keyword, "") if kept else "")
    if data.PatientSex not in _SEXES:
        data.PatientSex = ""
    if assessment.deidentified:
        data.PatientIdentityRemoved = "YES"
        data.DeidentificationMethod = "Basic profile; UIDs, device, descriptions and content kept"
        add_sequence(data, "DeidentificationMethodCodeSequence", map(encode_code, codes.DEIDENTIFICATION))
        data.LongitudinalTemporalInformationModified = "REMOVED"


def _describe_equipment(data: Dataset, assessment: Assessment) -> None:
    """Software and model; the model as contributing equipment with a device UID too, as IHE AIR asks."""
    made_by, device = assessment.algorithm, name_device(assessment)
    data.Manufacturer, data.ManufacturerModelName = MANUFACTURER, MODEL
    data.DeviceSerialNumber, data.DeviceUID = made_by.weights_sha256, device
    data.SoftwareVersions = [WRITER, f"{made_by.name} {made_by.version}"]
    algorithm = encode_item(
        Manufacturer=MANUFACTURER,
        ManufacturerModelName=f"{MODEL} {made_by.name}"[:64],
        DeviceSerialNumber=made_by.weights_sha256,
        DeviceUID=device,
        SoftwareVersions=[made_by.version, made_by.engine],
        ContributionDescription=f"Classified slices. {NOTICE}",
        PurposeOfReferenceCodeSequence=encode_code(codes.PROCESSING_EQUIPMENT),
    )
    add_sequence(data, "ContributingEquipmentSequence", [algorithm])
    scheme = encode_item(
        CodingSchemeDesignator=codes.SCHEME,
        CodingSchemeName="LungServe local codes",
        CodingSchemeResponsibleOrganization=MANUFACTURER,
    )
    add_sequence(data, "CodingSchemeIdentificationSequence", [scheme])


def _date(data: Dataset, assessment: Assessment, *kinds: str) -> None:
    moment = _moment(assessment)
    for kind in kinds:
        setattr(data, f"{kind}Date", moment.strftime("%Y%m%d"))
        setattr(data, f"{kind}Time", moment.strftime("%H%M%S"))


def _moment(assessment: Assessment) -> datetime:
    return _NO_MOMENT if assessment.deidentified else assessment.scored_at
