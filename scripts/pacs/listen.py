"""`lungct pacs listen`: a Storage SCP (PS3.4 B) that takes CT slices into the spool, and answers C-ECHO."""

from __future__ import annotations

import ipaddress
import logging
import ssl
from collections.abc import Callable
from typing import Any

from pydicom.uid import CTImageStorage
from pynetdicom import AE, _config, evt
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

from lungct.pixels.pixeldata import SYNTAXES
from lungct_tools.folder.source import MAX_BYTES, UnreadableError
from lungct_tools.pacs.commitment import PLAIN, PUSH_MODEL, Commitments
from lungct_tools.pacs.folder import SeriesFolder
from lungct_tools.pacs.headers import Headers
from lungct_tools.pacs.link import MOST_PDU, TIMEOUT_S, Links
from lungct_tools.pacs.spool import FullError, Spool, SpoolError

MOST_ASSOCIATIONS = 16
MOST_CONNECTIONS = 256  # those that have asked for no association yet count
# PS3.4 table B.2-1
SUCCESS, OUT_OF_RESOURCES, WRONG_CLASS, NOT_UNDERSTOOD = 0x0000, 0xA700, 0xA900, 0xC000

_config.LOG_REQUEST_IDENTIFIERS = (
    False  # it would parse them for its log, whatever their class, here and not in a child
)
for _name in ("pynetdicom", "pydicom", "highdicom", "dicomweb_client"):
    logging.getLogger(_name).setLevel(logging.CRITICAL + 1)  # their lines quote UIDs and names


def check_address(address: str, secured: bool, trusted: bool) -> None:
    """SpoolError for an address beyond loopback that nobody vouched for: AE titles prove nothing."""
    try:
        here = ipaddress.ip_address(address).is_loopback
    except ValueError:
        here = address == "localhost"
    if not (here or secured or trusted):
        raise SpoolError(
            f"At {address} anybody could send or read; give --tls-cert, --tls-key and --tls-ca (clients then need a "
            "certificate), or say --trust-network where the network itself keeps others out."
        )


class Listener:
    """Runs until closed.

    Args:
        arrive: told the series and name of each slice that is on disk.
        commitments: told what peers answer to a storage commitment.
        context: TLS, or None for plain.
    """

    def __init__(
        self,
        spool: Spool,
        arrive: Callable[[SeriesFolder, str], None],
        commitments: Commitments,
        title: str,
        address: tuple[str, int],
        context: ssl.SSLContext | None = None,
    ) -> None:
        self._spool, self._arrive = spool, arrive
        self._headers = Headers()
        node = self._node = AE(title)
        node.maximum_associations, node.maximum_pdu_size = MOST_CONNECTIONS, MOST_PDU
        node.acse_timeout = node.dimse_timeout = node.network_timeout = TIMEOUT_S
        node.add_supported_context(Verification)
        node.add_supported_context(CTImageStorage, sorted(SYNTAXES))
        node.add_supported_context(PUSH_MODEL, PLAIN, scu_role=True, scp_role=True)
        handlers: list[Any] = [(evt.EVT_C_STORE, self._store), (evt.EVT_N_EVENT_REPORT, commitments.hear)]
        handlers += Links(MOST_ASSOCIATIONS).handlers()
        server: Any = node.start_server(address, block=False, evt_handlers=handlers, ssl_context=context)
        self.port = int(server.server_address[1])

    def close(self) -> None:
        """Abort all associations and stop listening; a sender that got no Success sends again."""
        self._node.shutdown()
        self._headers.close()

    def _store(self, event: Any) -> int:
        """One C-STORE: Success only once the slice is on disk for good."""
        body = event.encoded_dataset()
        if len(body) > MAX_BYTES:
            return NOT_UNDERSTOOD
        try:
            header = self._headers.read(body)
            request = event.request
            classes = {header.SOPClassUID, request.AffectedSOPClassUID}  # pynetdicom does not look at the context's
            if classes != {CTImageStorage} or header.SOPInstanceUID != request.AffectedSOPInstanceUID:
                return WRONG_CLASS
            series, name = self._spool.put(body, header)
        except UnreadableError as error:
            self._spool.note("refused", code=error.code)
            return NOT_UNDERSTOOD
        except FullError:
            self._spool.note("full")
            return OUT_OF_RESOURCES
        if name:
            self._arrive(series, name)
        return SUCCESS
