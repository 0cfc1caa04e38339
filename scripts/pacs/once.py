"""`lungct pacs once IN OUT`: the series of a folder, scored once; their results as files. Also a mercure module.

OUT receives the objects of each series and result.json. A folder has no journal, so results are dated by their source
and the same folder gives the same bytes.
"""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage

from lungct import NOTICE
from lungct_tools.dicomout.assessment import Assessment, date_of
from lungct_tools.folder.header import hash_key
from lungct_tools.folder.record import Row, describe_file
from lungct_tools.folder.scoring import run_ordered
from lungct_tools.folder.source import Entry, Source, SourceError, UnreadableError
from lungct_tools.pacs.headers import Headers
from lungct_tools.pacs.results import Choice, make_files
from lungct_tools.pacs.scorer import Scorer
from lungct_tools.pacs.spool import check_copy
from lungct_tools.server.instance import write_whole

SKIPPED = {"task.json", "result.json"}  # mercure's own
Series = dict[str, tuple[Entry, Dataset]]  # by SOP instance UID


def _is_equal(source: Source, first: Entry, body: bytes) -> bool:
    return source.read(first) == body


def collect(source: Source, headers: Headers) -> tuple[dict[str, Series], Counter[str]]:
    """The CT series of a source by a hash of their UIDs, and the codes of what belongs to none.

    A slice that is there twice counts once, as "copy"; another one of the same UID is "uid_used_twice".
    """
    found: dict[str, Series] = {}
    left_out: Counter[str] = Counter()
    for entry in source.entries():
        if entry.name.rpartition("/")[2] in SKIPPED:
            continue
        try:
            header = headers.read(body := source.read(entry))
            if header.SOPClassUID != CTImageStorage:
                left_out["not_a_ct_image"] += 1
                continue
            series = found.setdefault(name_series(header), {})
            if header.SOPInstanceUID in series:
                first, known = series[header.SOPInstanceUID]
                check_copy(header, known, partial(_is_equal, source, first, body))
                left_out["copy"] += 1
        except UnreadableError as error:
            left_out[error.code] += 1
            continue
        series.setdefault(header.SOPInstanceUID, (entry, header))
    return found, left_out


def name_series(header: Dataset) -> str:
    """A name for files and logs that tells no UID; two studies may hold one series UID."""
    return hash_key(f"{header.StudyInstanceUID}/{header.SeriesInstanceUID}")


def run(
    source: Source, out: Path, scorer: Scorer, choice: Choice, concurrency: int, stop: threading.Event
) -> dict[str, Any]:
    """Score every series of a source into `out`; the document that result.json holds.

    Raises:
        SourceError: there is no CT series.
        ServerError, TokenError: no server can answer; what was written before stays.
    """
    with Headers() as headers:
        collected, left_out = collect(source, headers)
    if not collected:
        raise SourceError("There is no CT series in the folder.")
    out.mkdir(parents=True, exist_ok=True)
    described = []
    for name, series in sorted(collected.items()):
        assessment = _score(source, series, scorer, choice, concurrency, stop)
        if assessment is None:
            break
        files = []
        for file, made in make_files(assessment, lambda uid, s=series: _draw(source, s[uid][0], scorer), choice):
            target = out / f"{name}-{file}"
            fresh = target.with_suffix(".new")
            fresh.write_bytes(made.body)
            fresh.replace(target)
            files.append(target.name)
        described.append(describe(name, assessment, files))
    document = {"series": described, "left_out": left_out, "notice": NOTICE, **_notify(described)}
    write_whole(out / "result.json", json.dumps(document, indent=1))
    return document


def describe(name: str, assessment: Assessment, files: list[str]) -> dict[str, Any]:
    """A series for result.json: the roll-up and codes of refusals, without UIDs and file names of the source."""
    kept = ("slices", "copies", "scored", "refused", "referred", "label", "suspicion", "peak", "decision")
    errors = Counter(str(each.row["error"]) for each in assessment.slices if not each.scored)
    rollup = {key: assessment.rollup[key] for key in kept}
    return {"series": name, **rollup, "errors": errors, "model": assessment.algorithm.weights_sha256, "files": files}


def _score(
    source: Source, series: Series, scorer: Scorer, choice: Choice, concurrency: int, stop: threading.Event
) -> Assessment | None:
    entries = [entry for entry, _ in series.values()]
    rows = list(run_ordered(lambda entry: _ask(source, entry, scorer), entries, concurrency, stop))
    if stop.is_set():
        return None
    pairs = [(header, row) for (_, header), row in zip(series.values(), rows, strict=True)]
    return scorer.assess(pairs, date_of([header for header, _ in pairs]), choice.deidentified)


def _ask(source: Source, entry: Entry, scorer: Scorer) -> Row:
    """A slice's row; a file that has gone since it was listed is a row with its reason."""
    try:
        return scorer.score(entry.name, source.read(entry))
    except UnreadableError as error:
        return {**describe_file(entry.name, b""), "error": error.code, "message": str(error)}


def _draw(source: Source, entry: Entry, scorer: Scorer) -> bytes | None:
    with suppress(UnreadableError):
        return scorer.draw(source.read(entry))
    return None


def _notify(described: list[Mapping[str, Any]]) -> dict[str, Any]:
    """What mercure shows of a module's run; somebody is to look where a series is referred."""
    referred = sum(series["decision"] == "refer" for series in described)
    text = f"LungServe: {len(described)} series, {referred} to be read by a person. {NOTICE}"
    return {"__mercure_notification": {"text": text, "requested": bool(referred)}}
