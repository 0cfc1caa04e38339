"""What every object of a result says of patient, study, software and time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from highdicom import ContributingEquipment
from highdicom.coding_schemes import CodingSchemeIdentificationItem
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian

from lungct import NOTICE
from lungct_tools.dicomout import codes
from lungct_tools.dicomout.assessment import Algorithm, Assessment, Slice
from lungct_tools.dicomout.keywords import PATIENT_KEYWORDS, STUDY_KEYWORDS
from lungct_tools.dicomout.uids import WRITER, name_device, name_object

MANUFACTURER, MODEL = "LungServe project", "LungServe"
# The three kinds are series of their own; numbers that scanners do not reach.
SERIES_NUMBERS = {"report": 9101, "map": 9102, "capture": 9103}
_SEXES = ("M", "F", "O")
_NO_MOMENT = datetime(1900, 1, 1)
_IDENTITY = tuple(keyword for keyword in (*PATIENT_KEYWORDS, *STUDY_KEYWORDS) if not keyword.endswith("UID"))


def describe(kind: str, uid: str, assessment: Assessment) -> dict[str, Any]:
    """The arguments that the constructors of all three classes take: series, equipment, dates, codes.

    Args:
        kind: "report", "map" or "capture".
        uid: of the object.
    """
    made_by = assessment.algorithm
    date, time = _split(assessment)
    scheme = CodingSchemeIdentificationItem(
        codes.SCHEME, name="LungServe local codes", responsible_organization=MANUFACTURER
    )
    return {
        "sop_instance_uid": uid,
        "instance_number": 1,
        "series_instance_uid": name_object(f"{kind} series", assessment),
        "series_number": SERIES_NUMBERS[kind],
        "series_description": f"LungServe {kind} - research use only",
        "content_date": date,
        "content_time": time,
        "series_date": date,
        "series_time": time,
        "manufacturer": MANUFACTURER,
        "manufacturer_model_name": MODEL,
        "device_serial_number": made_by.weights_sha256,
        "software_versions": [WRITER, shorten(f"{made_by.name} {made_by.version}")],
        "contributing_equipment": [_name_algorithm(made_by)],
        "coding_schemes": [scheme],
        "specific_character_set": "ISO_IR 192",
        "transfer_syntax_uid": ExplicitVRLittleEndian,
    }


def as_source(each: Slice) -> Dataset:
    """A slice as highdicom is shown it: study and UIDs, with nothing in what names the patient or a day.

    highdicom refuses what real archives hold (the 31st of February), and tells a log the name that has no caret. So
    `finish` copies the identity, as the source has it.
    """
    source = Dataset()
    for keyword in _IDENTITY:
        setattr(source, keyword, "")
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPClassUID", "SOPInstanceUID"):
        setattr(source, keyword, each.header[keyword].value)
    return source


def finish(data: Dataset, assessment: Assessment) -> Dataset:
    """The object with what highdicom takes from the clock, cannot say, or would refuse.

    De-identified ones leave out or empty what PS3.15's Basic Profile (table E.1-1) names, as far as our objects have
    the attribute of the source; UIDs stay, so that the result still belongs to its images. What is ours stays as well:
    the software as a device, our descriptions and the report's content, see `codes.DEIDENTIFICATION`.
    """
    data.InstanceCreationDate, data.InstanceCreationTime = _split(assessment)
    data.DeviceUID = name_device(assessment)  # of the equipment since CP 1750; IHE AIR asks for it
    ours, library = data.ContributingEquipmentSequence
    ours.DeviceUID = data.DeviceUID
    del library.ContributionDateTime  # now; optional
    header = assessment.slices[0].header
    for keyword in _IDENTITY:
        setattr(data, keyword, "" if assessment.deidentified else header.get(keyword, ""))
    if data.PatientSex not in _SEXES:
        data.PatientSex = ""
    if assessment.deidentified:
        data.PatientIdentityRemoved = "YES"
        data.DeidentificationMethod = "Basic profile; UIDs, device, descriptions and content kept"
        data.DeidentificationMethodCodeSequence = list(codes.DEIDENTIFICATION)
        data.LongitudinalTemporalInformationModified = "REMOVED"
    return data


def set_capture_date(data: Dataset, assessment: Assessment) -> None:
    """Date and time of a secondary capture."""
    data.DateOfSecondaryCapture, data.TimeOfSecondaryCapture = _split(assessment)


def tell_compression(data: Dataset, sources: Iterable[Slice]) -> None:
    """C.7.6.1.1.5: what is made of lossy pixels is lossy; of several the first one says how."""
    lossy = [each.header for each in sources if each.header.get("LossyImageCompression") == "01"]
    data.LossyImageCompression = "01" if lossy else "00"
    for keyword in ("LossyImageCompressionRatio", "LossyImageCompressionMethod"):
        if lossy and keyword in lossy[0]:
            setattr(data, keyword, lossy[0][keyword].value)


def shorten(text: str, most: int = 64) -> str:
    """The text as the value representation LO (SH with 16) holds it; highdicom refuses an object for more."""
    return text.replace("\\", "/")[:most]


def _name_algorithm(made_by: Algorithm) -> ContributingEquipment:
    """The model as equipment, as IHE AIR asks."""
    return ContributingEquipment(
        MANUFACTURER,
        codes.PROCESSING_EQUIPMENT,
        manufacturer_model_name=shorten(f"{MODEL} {made_by.name}"),
        device_serial_number=made_by.weights_sha256,
        software_versions=[shorten(made_by.version), shorten(made_by.engine)],
        contribution_description=f"Classified slices. {NOTICE}",
    )


def _split(assessment: Assessment) -> Sequence[str]:
    """Date and time of the result, as DICOM writes them."""
    moment = _NO_MOMENT if assessment.deidentified else assessment.scored_at
    return moment.strftime("%Y%m%d %H%M%S").split()
