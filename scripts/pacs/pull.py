"""`lungct pacs pull`: CT series out of an archive by DICOMweb into the spool. What is there is not asked for again."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from pydicom.uid import CTImageStorage

from lungct_tools.folder.source import UnreadableError
from lungct_tools.pacs.dicomweb import ArchiveError, ArchiveRefusal, DicomWeb
from lungct_tools.pacs.folder import SeriesFolder
from lungct_tools.pacs.headers import Headers
from lungct_tools.pacs.spool import Spool, hash_name

TRIES, PAUSE_S = 4, 0.5
_STUDY, _SERIES, _OBJECT, _CLASS = "0020000D", "0020000E", "00080018", "00080016"
_UID = re.compile(r"[0-9]+(\.[0-9]+)*")


def pull(
    web: DicomWeb, filters: Mapping[str, str], spool: Spool, arrive: Callable[[SeriesFolder, str], None]
) -> Counter[str]:
    """Fetch every CT instance of the studies that match; counts of "fetched", "known" and codes of what was not taken.

    Args:
        filters: of QIDO-RS, such as StudyInstanceUID or StudyDate.

    Raises:
        ArchiveError: the archive was away for longer than the tries; call again to go on.
        FullError: quota or disk are used up.
    """
    counts: Counter[str] = Counter()
    with Headers() as headers:
        for study, series, instance in list_instances(web, filters):
            folder = SeriesFolder(spool.root / "series" / hash_name(study, series))
            if folder.has(hash_name(instance)):
                counts["known"] += 1
                continue
            path = f"/studies/{study}/series/{series}/instances/{instance}"
            try:
                body = _insist(lambda path=path: web.fetch(path))
                header = headers.read(body)
                asked = (study, series, instance, CTImageStorage)
                if asked != (
                    header.StudyInstanceUID, header.SeriesInstanceUID, header.SOPInstanceUID, header.SOPClassUID,
                ):  # fmt: skip
                    counts["mislabelled"] += 1
                    continue
                kept, name = spool.put(body, header)
            except (UnreadableError, ArchiveRefusal) as error:
                counts[getattr(error, "code", "refused")] += 1
                continue
            counts["fetched"] += 1
            if name:
                arrive(kept, name)
    return counts


def list_instances(web: DicomWeb, filters: Mapping[str, str]) -> Iterator[tuple[str, str, str]]:
    """Study, series and SOP instance UID of every CT image that matches; what is no UID is passed over."""
    for study in _insist(lambda: web.search(filters)):
        if not (study_uid := _read_uid(study, _STUDY)):
            continue
        for series in _insist(lambda study=study_uid: web.search({"Modality": "CT"}, study)):
            if not (series_uid := _read_uid(series, _SERIES)):
                continue
            for instance in _insist(lambda uids=(study_uid, series_uid): web.search({}, *uids)):
                instance_uid, kind = _read_uid(instance, _OBJECT), _read_uid(instance, _CLASS)
                if instance_uid and kind in ("", CTImageStorage):  # some archives do not tell the class
                    yield study_uid, series_uid, instance_uid


def _read_uid(document: Mapping[str, Any], tag: str) -> str:
    """A UID of an answer; "" where there is none, since it becomes part of an address."""
    try:
        text = str(document[tag]["Value"][0])
    except (KeyError, IndexError, TypeError):
        return ""
    return text if _UID.fullmatch(text) and len(text) <= 64 else ""


def _insist(ask: Callable[[], Any]) -> Any:
    for attempt in range(TRIES):
        try:
            return ask()
        except ArchiveError:
            if attempt == TRIES - 1:
                raise
            time.sleep(PAUSE_S * 2**attempt)
    raise AssertionError("the last try raises")
