"""Many slices through the servers, in order, with a bounded number in flight, into the journal."""

from __future__ import annotations

import base64
import hashlib
import json
import sys
import threading
from array import array
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from lungct_client import RefusedError
from lungct_tools.folder.fleet import Fleet
from lungct_tools.folder.journal import Journal, JournalError
from lungct_tools.folder.meter import Meter
from lungct_tools.folder.naming import printable
from lungct_tools.folder.record import Row, describe_file, describe_reply, order_classes
from lungct_tools.folder.source import Entry, Source, UnreadableError
from lungct_tools.server.runfolder import write_whole

T, U = TypeVar("T"), TypeVar("U")


@dataclass(frozen=True)
class Order:
    """What a run is made with. A run that goes on must have the same, or its rows could not be compared.

    Attributes:
        heatmap: none | abnormal | always; overlays are kept for those that have one.
        window: centre,width in HU, or None for the model's.
        uids: write study, series and instance UIDs instead of their hashes.
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


@dataclass(frozen=True)
class Run:
    """One pass over a source: what the journal holds is taken over, what is new or changed is scored.

    Attributes:
        stop: once it is set, only what is in flight is finished.
        contract: the model's, of which the report tells what a reader must know.
        hashed: whether replies are of this process, so that the hash of the file that they tell need not be found
            again; what a server tells is not taken for a file's identity.
    """

    source: Source
    journal: Journal
    fleet: Fleet
    order: Order
    concurrency: int
    stop: threading.Event
    contract: Mapping[str, Any] = field(default_factory=dict)
    hashed: bool = False

    def score(self) -> bool:
        """Bring the journal up to the source; whether it came to the end, and was not stopped before.

        Raises:
            JournalError: the journal holds rows, and of none of them is the file in the source.
        """
        past = self.journal.index()
        if self.order.heatmap != "none":
            self._overlays.mkdir(exist_ok=True)
        places = array("Q")
        with Meter(self._count(past), self.fleet.tallies) as meter:
            for at, row in run_ordered(
                lambda entry: self.settle(entry, past), self.source.entries(), self.concurrency, self.stop
            ):
                places.append(self.journal.append(row) if at is None else at)
                meter.advance(fresh=at is None, refused="error" in row)
        if self.stop.is_set() and meter.done < meter.total:
            print(f"score: stopped after {meter.describe()}; go on with --resume.", file=sys.stderr)
            return False
        if left := self.journal.arrange(places):
            told = f"{left:,} rows are of files that are gone or were changed; they went to {self.journal.aside}."
            print(f"score: {told}", file=sys.stderr)
        return True

    @property
    def _overlays(self) -> Path:
        return self.journal.path.parent / "overlays"

    def _count(self, past: dict[str, list[int]]) -> int:
        """How many entries there are; JournalError when the journal is clearly that of another source."""
        total, known = 0, not past
        for entry in self.source.entries():
            total += 1
            known = known or printable(entry.name) in past
        if not known:
            raise JournalError(
                f"Of the {len(past):,} files that {self.journal.path} tells of none is in the input; name another OUT."
            )
        return total

    def settle(self, entry: Entry, past: dict[str, list[int]]) -> tuple[int | None, Row]:
        """An entry's row, and its place if the journal holds it: only the same content makes it the same file.

        A file whose stamp is the same has not been written to; of any other the content is compared. One that could not
        be read is tried again.
        """
        stamp = self.source.stamp(entry)
        known = {at: self.journal.read(at) for at in past.get(printable(entry.name), ())}
        known = {at: row for at, row in known.items() if row["sha256"]}
        for at, row in known.items():
            if stamp and row.get("stamp") == stamp:
                return at, row
        try:
            body = self.source.read(entry)
        except UnreadableError as error:
            row = describe_file(entry.name, b"", self.order.uids)
            return None, {**row, "error": error.code, "message": str(error)}
        sha256 = hashlib.sha256(body).hexdigest() if known or not self.hashed else ""
        same = next((row for row in known.values() if row["sha256"] == sha256), None)
        return None, {**(same or self._ask(entry.name, body, sha256)), "stamp": stamp}

    def _ask(self, name: str, body: bytes, sha256: str) -> Row:
        """A new row. ServerError and TokenError mean that no server could say anything: there is none."""
        try:
            reply = self.fleet.predict(body, **self.order.headers())
        except RefusedError as error:
            row = describe_file(name, body, self.order.uids, sha256 or hashlib.sha256(body).hexdigest())
            return {**row, "error": error.code, "message": str(error)}
        row = describe_file(name, body, self.order.uids, sha256 or reply["input"]["sha256"]) | describe_reply(reply)
        heatmap = reply.get("heatmap")
        if heatmap and heatmap["positive_evidence"]:
            path = self._overlays / f"{row['sha256'][:16]}.jpg"
            write_whole(path, base64.b64decode(heatmap["data"]))
            row["overlay"] = f"{self._overlays.name}/{path.name}"
        return row


def run_ordered(work: Callable[[T], U], items: Iterable[T], concurrency: int, stop: threading.Event) -> Iterator[U]:
    """Results in the order of the items, `concurrency` at a time; once `stop` is set, only what is in flight."""
    pending: deque[Future[U]] = deque()
    with ThreadPoolExecutor(concurrency) as pool:
        try:
            for item in items:
                if stop.is_set():
                    break
                pending.append(pool.submit(work, item))
                if len(pending) >= 2 * concurrency:
                    yield pending.popleft().result()
            while pending and not (stop.is_set() and pending[0].cancel()):
                yield pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()
