"""Storage commitment (PS3.4 J): a peer that offers it is asked to promise that it keeps what it was sent.

The question goes out on the association of the C-STORE; the answer comes on the same one or, as from Orthanc, on one
that the peer opens to us, so whoever listens hands it to the same `Commitments`.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Sequence
from typing import Any

from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import evt
from pynetdicom.pdu import P_DATA_TF
from pynetdicom.sop_class import StorageCommitmentPushModel as PUSH_MODEL  # type: ignore[attr-defined]
from pynetdicom.sop_class import StorageCommitmentPushModelInstance as _INSTANCE

# Reports are parsed here, so none may be deflated, nor longer than one on our few objects could be.
PLAIN, MOST_REPORT = [ImplicitVRLittleEndian, ExplicitVRLittleEndian], 65536
SUCCESS, UNKNOWN = 0x0000, 0x0115  # PS3.7 annex C: invalid argument value, of a transaction that is not ours
_REQUEST = 1  # the action type, table J.3.2.1-1


class Commitments:
    """Questions that wait for their answers. May be shared by threads."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._failed: dict[str, int | None] = {}

    def ask(self, link: Any, references: Sequence[tuple[str, str]], deadline_s: float) -> int | None:
        """How many objects the peer does not keep; None where it does not say so in time.

        Args:
            link: an open association that has the push model.
            references: SOP class and instance UIDs of what was stored.
        """
        question = Dataset()
        question.TransactionUID = transaction = f"2.25.{uuid.uuid4().int}"
        question.ReferencedSOPSequence = [_refer(*reference) for reference in references]
        with self._changed:
            self._failed[transaction] = None
        try:
            status, _ = link.send_n_action(question, _REQUEST, PUSH_MODEL, _INSTANCE)
            if status.get("Status") != SUCCESS:
                return None
            with self._changed:
                self._changed.wait_for(lambda: self._failed[transaction] is not None, deadline_s)
                return self._failed[transaction]
        finally:
            with self._changed:
                del self._failed[transaction]

    def hear(self, event: Any) -> tuple[int, None]:
        """An N-EVENT-REPORT (J.3.3); its status."""
        if event.request.EventInformation.getbuffer().nbytes > MOST_REPORT:
            return UNKNOWN, None
        report = event.event_information
        transaction = str(report.get("TransactionUID", ""))
        with self._changed:
            if transaction not in self._failed:
                return UNKNOWN, None
            self._failed[transaction] = len(report.get("FailedSOPSequence") or ())
            self._changed.notify_all()
        return SUCCESS, None


class Answer:
    """Our answer to a report that comes on the association of the question.

    pynetdicom lets a release overtake it, as it takes a handler at work for a pause, and the peer then waits for either
    until its time is over. So whoever releases waits here first.
    """

    def __init__(self, commitments: Commitments) -> None:
        self._commitments = commitments
        self._sent = threading.Event()
        self._sent.set()

    def handlers(self) -> list[Any]:
        """For the association."""
        return [(evt.EVT_N_EVENT_REPORT, self._hear), (evt.EVT_PDU_SENT, self._note)]

    def wait(self, deadline_s: float) -> None:
        """Return when no report waits for its answer."""
        self._sent.wait(deadline_s)

    def _hear(self, event: Any) -> tuple[int, None]:
        self._sent.clear()
        return self._commitments.hear(event)

    def _note(self, event: Any) -> None:
        if isinstance(event.pdu, P_DATA_TF):
            self._sent.set()


def _refer(kind: str, uid: str) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = kind, uid
    return item
