"""Connections of senders: TLS, how many, how long one may be silent, and how much one message may hold."""

from __future__ import annotations

import ssl
import threading
from pathlib import Path
from typing import Any

from pynetdicom import evt
from pynetdicom.dimse import DIMSEServiceProvider
from pynetdicom.pdu_primitives import P_DATA
from pynetdicom.transport import AssociationSocket

from lungct_tools.folder.source import MAX_BYTES

PATIENCE_S = 10.0  # for TLS, and then for the request of an association
TIMEOUT_S = 60.0  # within one that stands
MOST_MESSAGE = 2 * MAX_BYTES  # a file of up to this hears why it is refused; what is more is not read
MOST_PDU = 65536  # what we say that we take
LONGEST_PDU = 4 * MOST_PDU  # what is read: a request for an association is not bound by what we say
MOST_COMMAND = 65536  # pynetdicom makes objects of a command, 40 times as large
_NO_ROOM = 0x02, 0x03, 0x02  # transient, by the provider: local limit exceeded (PS3.8 table 9-21)


class _Patient(ssl.SSLContext):
    """Shakes hands where an association reads, not where all are let in: who connects and is silent holds up nobody."""

    def wrap_socket(self, *args: Any, **options: Any) -> ssl.SSLSocket:
        return super().wrap_socket(*args, **options, do_handshake_on_connect=False)


def secure(cert: Path, key: Path, ca: Path) -> ssl.SSLContext:
    """TLS 1.2 or later with client certificates required, of an authority or single ones in `ca`.

    Not with the strict flag of Python 3.13's default: it refuses the authorities that openssl makes unless told more.
    """
    context = _Patient(ssl.PROTOCOL_TLS_SERVER)
    context.load_verify_locations(ca)
    context.verify_mode = ssl.CERT_REQUIRED
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(cert, key)
    return context


class _Bounded(AssociationSocket):
    """Ends where a message or its part grows too long: pynetdicom reads as much into memory as a sender says it has.

    Attributes:
        taken: bytes of the message that is on its way.
    """

    taken = 0

    def recv(self, nr_bytes: int) -> bytearray:
        self.taken += nr_bytes
        if self.taken > MOST_MESSAGE or nr_bytes > LONGEST_PDU:
            raise OSError("a message is too long")
        return super().recv(nr_bytes)


class _Terse(DIMSEServiceProvider):
    """Aborts where a command is too long or none, which would else end a thread of pynetdicom's.

    Attributes:
        said: bytes of the command that is on its way.
    """

    said = 0

    def receive_primitive(self, primitive: P_DATA) -> None:
        self.said += sum(len(part) for _, part in primitive.presentation_data_value_list if part[:1] and part[0] & 1)
        try:
            if self.said > MOST_COMMAND:
                raise ValueError("a command is too long")
            super().receive_primitive(primitive)
        except Exception:  # noqa: BLE001 - whatever a sender made of it
            self.dul.event_queue.put("Evt19")  # PS3.8 table 9-10: invalid PDU


class Links:
    """What a listener's connections may take. Notified by pynetdicom in the threads of its associations.

    Args:
        most: associations at once. Who has connected and asked for none takes no place.
    """

    def __init__(self, most: int) -> None:
        self._most, self._mutex = most, threading.Lock()
        self._standing: set[Any] = set()

    def handlers(self) -> list[Any]:
        """For the listener's server."""
        return [(evt.EVT_CONN_OPEN, _bound), (evt.EVT_REQUESTED, self._admit), (evt.EVT_DIMSE_RECV, _forget)]

    def _admit(self, event: Any) -> None:
        found = event.assoc
        with self._mutex:
            self._standing = {each for each in self._standing if each.is_alive()}
            if room := len(self._standing) < self._most:
                self._standing.add(found)
        if room:
            found.dul.socket.socket.settimeout(TIMEOUT_S)
            found.acse_timeout = TIMEOUT_S
        else:
            found.acse.send_reject(*_NO_ROOM)
            found.kill()


def _bound(event: Any) -> None:
    link = event.assoc.dul.socket
    link.__class__ = _Bounded
    event.assoc.dimse.__class__ = _Terse
    link.socket.settimeout(PATIENCE_S)
    event.assoc.acse_timeout = PATIENCE_S


def _forget(event: Any) -> None:
    """A message is whole."""
    event.assoc.dul.socket.taken = event.assoc.dimse.said = 0
