"""Many slices through the servers, in order, with a bounded number in flight, into the journal."""

from __future__ import annotations

import base64
import json
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lungct_client import RefusedError
from lungct_tools.folder.fleet import Fleet
from lungct_tools.folder.journal import Journal, JournalError
from lungct_tools.folder.record import Row, describe_file, describe_reply, order_classes
from lungct_tools.folder.source import Source, UnreadableError
from lungct_tools.server.instance import write_whole


@dataclass(frozen=True)
class Order:
    """What a run is made with. A run that goes on must have the same, or its rows could not be compared.

    Attributes:
        heatmap: none | abnormal | always; overlays are kept for those that have one.
        window: centre,width in HU, or None for the model's.
        uids: write study and series UIDs instead of their hashes.
        classes: of the model, from least to most worrying.
        weights_sha256: of the model.
    """

    heatmap: str
    window: str | None
    uids: bool
    classes: tuple[str, ...]
    weights_sha256: str

    @classmethod
    def make(cls, contract: dict[str, Any], heatmap: str, window: str | None, uids: bool) -> Order:
        """The order for the model that the servers hold."""
        weights = str(contract["files"]["weights.safetensors"])
        return cls(heatmap, window, uids, order_classes(contract["classes"]), weights)

    def headers(self) -> dict[str, str]:
        """Options of each request."""
        drawn = {} if self.heatmap == "none" else {"heatmap": self.heatmap, "heatmap_format": "jpeg"}
        return drawn | ({"window": self.window} if self.window else {})

    def keep(self, path: Path, resume: bool) -> None:
        """Write the order beside the rows; JournalError unless the rows there were made with the same."""
        document = json.loads(json.dumps(asdict(self)))
        if resume and path.is_file():
            try:
                before = dict(json.loads(path.read_text()))
            except (ValueError, TypeError):
                raise JournalError(f"{path} is damaged; score into a new folder.") from None
            if changed := ", ".join(name for name in document if document[name] != before.get(name)):
                raise JournalError(f"This run was begun with another {changed}; score into a new folder.")
        write_whole(path, json.dumps(document, indent=1))


def score_slice(source: Source, name: str, fleet: Fleet, order: Order, overlays: Path) -> Row:
    """The row of one slice. ServerError and TokenError mean that no server could say anything: there is no row."""
    try:
        body = source.read(name)
    except UnreadableError as error:
        return {**describe_file(name, b"", order.uids), "error": error.code, "message": str(error)}
    row = describe_file(name, body, order.uids)
    try:
        reply = fleet.predict(body, **order.headers())
    except RefusedError as error:
        return {**row, "error": error.code, "message": str(error)}
    row |= describe_reply(reply)
    heatmap = reply.get("heatmap")
    if heatmap and heatmap["positive_evidence"]:
        path = overlays / f"{row['sha256'][:16]}.jpg"
        path.write_bytes(base64.b64decode(heatmap["data"]))
        row["overlay"] = f"{overlays.name}/{path.name}"
    return row


def skip_done(names: Iterator[str], journal: Journal) -> int:
    """Move `names` past what the journal holds, and count it; JournalError when the input is not the same any more."""
    done = 0
    for row in journal.rows():
        name = next(names, None)
        if name is None or describe_file(name, b"")["file"] != row["file"]:
            raise JournalError(f"The input changed since this run began, at {row['file']}; score into a new folder.")
        done += 1
    return done


def run_ordered(
    work: Callable[[str], Row], names: Iterable[str], concurrency: int, stop: threading.Event
) -> Iterator[Row]:
    """Rows in the order of the names, `concurrency` at a time; once `stop` is set, only what is in flight."""
    pending: deque[Future[Row]] = deque()
    with ThreadPoolExecutor(concurrency) as pool:
        try:
            for name in names:
                if stop.is_set():
                    break
                pending.append(pool.submit(work, name))
                if len(pending) >= 2 * concurrency:
                    yield pending.popleft().result()
            while pending and not (stop.is_set() and pending[0].cancel()):
                yield pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()
