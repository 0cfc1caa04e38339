"""C-STORE and C-ECHO to a peer (PS3.4 B): files go out as the bytes they are."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pydicom.filereader import read_file_meta_info
from pydicom.uid import ExplicitVRLittleEndian
from pynetdicom import AE, _config, build_context
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

from lungct_tools.pacs.commitment import PLAIN, PUSH_MODEL, Answer, Commitments
from lungct_tools.pacs.dicomweb import ArchiveError, ArchiveRefusal

TIMEOUT_S, COMMIT_S, ECHO_S = 30.0, 20.0, 5.0
_BUSY = range(0xA700, 0xA800)  # out of resources, PS3.4 table B.2-1
_config.STORE_SEND_CHUNKED_DATASET = True  # the file itself, not pydicom's idea of it


class Peer(NamedTuple):
    """A DICOM node, written AET@HOST:PORT."""

    title: str
    host: str
    port: int

    @classmethod
    def read(cls, text: str) -> Peer:
        """ValueError for what is no AET@HOST:PORT."""
        found = re.fullmatch(r"([\x21-\x5b\x5d-\x7e]{1,16})@([^@:\s]+):([0-9]{1,5})", text)
        if not found:
            raise ValueError("must be AET@HOST:PORT")
        return cls(found[1], found[2], int(found[3]))


def store(peer: Peer, title: str, files: Sequence[tuple[str, Path]], commitments: Commitments | None = None) -> bool:
    """Store files of ours; returns when the peer has confirmed each: whether it has promised to keep them.

    Args:
        title: our AE title.
        files: SOP class UID and path, explicit little endian.
        commitments: asks for that promise, if the peer offers it.

    Raises:
        ArchiveError: try again later.
        ArchiveRefusal: the peer will not have them.
    """
    node = _make_node(title, TIMEOUT_S)
    kinds = sorted({kind for kind, _ in files})
    node.requested_contexts = [build_context(kind, ExplicitVRLittleEndian) for kind in kinds]
    answer = Answer(commitments) if commitments else None
    if answer:
        node.add_requested_context(PUSH_MODEL, PLAIN)
    handlers = answer.handlers() if answer else []
    link = node.associate(peer.host, peer.port, ae_title=peer.title, evt_handlers=handlers)
    if link.is_rejected:
        raise ArchiveError("The peer rejects the association; is our AE title known to it?")
    if not link.is_established:
        raise ArchiveError("The peer does not answer.")
    try:
        taken = {each.abstract_syntax for each in link.accepted_contexts}
        if missing := [kind for kind in kinds if kind not in taken]:
            raise ArchiveRefusal(f"The peer does not take objects of class {', '.join(missing)}.")
        for _, path in files:
            _check(link.send_c_store(path))
        return bool(commitments) and PUSH_MODEL in taken and _commit(link, files, commitments)
    except (RuntimeError, ValueError) as error:  # the association ended meanwhile
        raise ArchiveError(f"The association ended: {type(error).__name__}.") from None
    finally:
        if answer:
            answer.wait(ECHO_S)
        if link.is_established:
            link.release()


def _commit(link: Any, files: Sequence[tuple[str, Path]], commitments: Commitments) -> bool:
    references = [(kind, read_file_meta_info(path).MediaStorageSOPInstanceUID) for kind, path in files]
    failed = commitments.ask(link, references, COMMIT_S)
    if failed:
        raise ArchiveError(f"The peer does not keep {failed} of {len(files)} objects.")
    return failed == 0


def _make_node(title: str, timeout_s: float) -> AE:
    node = AE(title)
    node.acse_timeout = node.dimse_timeout = node.network_timeout = node.connection_timeout = timeout_s
    return node


def _check(status: Any) -> None:
    if "Status" not in status:
        raise ArchiveError("The peer closed the connection.")
    if status.Status in _BUSY:
        raise ArchiveError(f"The peer is out of resources: 0x{status.Status:04X}.")
    if status.Status != 0 and not 0xB000 <= status.Status < 0xC000:
        raise ArchiveRefusal(f"The peer refuses the object: 0x{status.Status:04X}.")


def echo(peer: Peer, title: str) -> bool:
    """Whether a peer answers C-ECHO."""
    node = _make_node(title, ECHO_S)
    node.add_requested_context(Verification)
    link = node.associate(peer.host, peer.port, ae_title=peer.title)
    if not link.is_established:
        return False
    status = link.send_c_echo()
    link.release()
    return "Status" in status and status.Status == 0
