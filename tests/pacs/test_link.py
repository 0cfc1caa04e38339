"""Connections of senders: who is let in, how long one may be silent, and how much one message may hold."""

import io
import socket
import ssl
import struct
import subprocess
import time
from contextlib import contextmanager
from copy import deepcopy

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage, DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian, MRImageStorage
from pynetdicom import AE, build_role
from pynetdicom.pdu_primitives import P_DATA
from pynetdicom.sop_class import StorageCommitmentPushModel, StorageCommitmentPushModelInstance, Verification

from lungct_tools.pacs import link, listen
from lungct_tools.pacs.commitment import Commitments
from lungct_tools.pacs.link import secure
from lungct_tools.pacs.listen import Listener
from lungct_tools.pacs.spool import Spool
from lungct_tools.proxy.nginx import make_certificate
from tests.support.calls import wait_until
from tests.support.series import draw_series


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    return make_certificate(tmp_path_factory.mktemp("tls"))


@contextmanager
def open_listener(folder, context=None, commitments=None):
    with Spool(folder / "spool", 10**9) as spool:
        told = commitments or Commitments()
        listener = Listener(spool, lambda *_: None, told, "LUNGCT", ("127.0.0.1", 0), context)
        try:
            yield listener
        finally:
            listener.close()


def join(port, context=None):
    """A sender's association."""
    node = AE("SENDER")
    node.add_requested_context(Verification)
    node.add_requested_context(CTImageStorage, ExplicitVRLittleEndian)
    node.acse_timeout = node.dimse_timeout = node.connection_timeout = 30
    return node.associate("127.0.0.1", port, tls_args=(context, "localhost") if context else None)


def trust(authority, certificate=None, key=None):
    """What a sender with that certificate sends with."""
    context = ssl.create_default_context(cafile=str(authority))
    if certificate:
        context.load_cert_chain(certificate, key)
    return context


def echoes(sender):
    """Whether an association is one, and works; it is over then."""
    if not sender.is_established:
        return False
    status = sender.send_c_echo().Status
    sender.release()
    return status == 0


def is_cut_off(sender):
    """Whether the other side has closed, or does so in time; what was not read makes it a reset."""
    try:
        return sender.recv(1) == b""
    except ConnectionError:
        return True


def test_who_connects_and_says_nothing_holds_up_no_other_sender_and_takes_no_place(tmp_path, certificate, monkeypatch):
    monkeypatch.setattr(listen, "MOST_ASSOCIATIONS", 1)
    with (
        open_listener(tmp_path, secure(*certificate, certificate[0])) as listener,
        socket.create_connection(("127.0.0.1", listener.port)),
        socket.create_connection(("127.0.0.1", listener.port)),
    ):
        assert echoes(join(listener.port, trust(certificate[0], *certificate)))


def test_more_associations_than_there_is_room_for_are_rejected_until_one_ends(tmp_path, monkeypatch):
    monkeypatch.setattr(listen, "MOST_ASSOCIATIONS", 2)
    with open_listener(tmp_path) as listener:
        first, second = join(listener.port), join(listener.port)
        assert join(listener.port).is_rejected
        assert echoes(first)
        wait_until(lambda: echoes(join(listener.port)), 60, "one is let in")
        assert echoes(second)


@pytest.mark.parametrize("tls", [True, False])
@pytest.mark.parametrize("began", ["", "a part", "more"])
def test_who_asks_for_no_association_in_time_is_cut_off(tmp_path, certificate, monkeypatch, tls, began):
    # who begins with more shakes hands first, in time
    monkeypatch.setattr(link, "PATIENCE_S", 3 if began == "more" and tls else 0.5)
    context = secure(*certificate, certificate[0]) if tls else None
    with (
        open_listener(tmp_path, context) as listener,
        socket.create_connection(("127.0.0.1", listener.port), timeout=20) as sender,
    ):
        if began == "a part":
            sender.sendall(b"\x16\x03\x01\x02\x00\x01" if tls else b"\x01\x00\x00")
        elif began and tls:
            sender = trust(certificate[0], *certificate).wrap_socket(sender, server_hostname="localhost")
        elif began:
            sender.sendall(struct.pack(">BBL", 1, 0, 200))
        started = time.monotonic()
        assert is_cut_off(sender)
        assert time.monotonic() - started < 15


def test_an_association_that_stands_may_pause_for_longer_than_its_request(tmp_path, certificate):
    with open_listener(tmp_path, secure(*certificate, certificate[0])) as listener:
        sender = join(listener.port, trust(certificate[0], *certificate))
        (taken,) = listener._node.active_associations
        assert taken.dul.socket.socket.gettimeout() == link.TIMEOUT_S > link.PATIENCE_S
        assert echoes(sender)


@pytest.mark.parametrize("length", [2**20, 2**32 - 1])
def test_of_a_pdu_that_is_many_times_as_long_as_we_take_nothing_is_read(tmp_path, monkeypatch, length):
    monkeypatch.setattr(link, "PATIENCE_S", 60)
    with (
        open_listener(tmp_path) as listener,
        socket.create_connection(("127.0.0.1", listener.port), timeout=20) as sender,
    ):
        sender.sendall(struct.pack(">BBL", 1, 0, length))
        assert is_cut_off(sender)


def test_a_message_is_cut_off_at_its_limit_and_many_small_ones_are_not(tmp_path, monkeypatch):
    slices = [dcmread(io.BytesIO(body)) for body in draw_series(3, name="limit")]
    size = len(slices[0].PixelData)
    monkeypatch.setattr(link, "MOST_MESSAGE", int(1.5 * size))
    with open_listener(tmp_path) as listener:
        sender = join(listener.port)
        assert [sender.send_c_store(each).Status for each in slices] == [0, 0, 0]
        slices[0].PixelData *= 2
        assert "Status" not in sender.send_c_store(slices[0])


def say(sender, command):
    """Send the bytes of a command, in fragments as long as the other side takes them."""
    fragments = [command[start : start + 60_000] for start in range(0, len(command), 60_000)]
    for number, fragment in enumerate(fragments, 1):
        data = P_DATA()
        data.presentation_data_value_list = [[1, (b"\x03" if number == len(fragments) else b"\x01") + fragment]]
        sender.dul.send_pdu(data)


def element(number, value):
    """An element of a command (PS3.7 6.3.1)."""
    return struct.pack("<HHI", 0, number, len(value)) + value


ECHO = (
    element(2, b"1.2.840.10008.1.1\0") + element(0x100, b"\x30\0") + element(0x110, b"\1\0") + element(0x800, b"\1\1")
)
LONG = ECHO + b"".join(struct.pack("<HHI", 1, number, 0) for number in range(20_000))  # 40 times as much in memory


@pytest.mark.filterwarnings("error::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize("command", [ECHO[:26], LONG], ids=["that says nothing", "that is long"])
def test_a_command_that_is_none_ends_its_association_and_nothing_else(tmp_path, command):
    with open_listener(tmp_path) as listener:
        sender = join(listener.port)
        say(sender, command)
        wait_until(lambda: not sender.is_established, 30, "it is ended")
        assert echoes(join(listener.port))


def test_another_class_is_refused_in_a_context_of_ct_images_too(tmp_path):
    with open_listener(tmp_path) as listener:
        sender = join(listener.port)
        for context in sender.accepted_contexts:
            context.abstract_syntax = MRImageStorage  # as the sender has it; the listener accepted CT
        data = dcmread(io.BytesIO(draw_series(1, name="mr")[0]))
        data.SOPClassUID = data.file_meta.MediaStorageSOPClassUID = MRImageStorage
        assert sender.send_c_store(data).Status == 0xA900
        assert not list(listener._spool.series())


def report(port, answer, syntax):
    """The status of a report on a storage commitment; None where the other side does not take that syntax."""
    node = AE()
    node.add_requested_context(StorageCommitmentPushModel, syntax)
    role = build_role(StorageCommitmentPushModel, scp_role=True)
    sender = node.associate("127.0.0.1", port, ext_neg=[role])
    if not sender.accepted_contexts:
        return None
    event = (1, StorageCommitmentPushModel, StorageCommitmentPushModelInstance)
    status, _ = sender.send_n_event_report(answer, *event)
    sender.release()
    return status.Status


def test_a_report_that_could_grow_in_our_memory_is_not_read(tmp_path):
    """Its data set is parsed in the listener itself, unlike a slice's."""
    answer = Dataset()
    answer.TransactionUID, answer.ReferencedSOPSequence = "2.25.1", []
    long = deepcopy(answer)
    long.TextValue = "x" * 2**17
    commitments = Commitments()
    with open_listener(tmp_path, commitments=commitments) as listener:
        commitments._failed["2.25.1"] = None  # as if we had asked
        assert report(listener.port, answer, DeflatedExplicitVRLittleEndian) is None
        assert report(listener.port, long, ExplicitVRLittleEndian) == 0x0115
        assert report(listener.port, answer, ExplicitVRLittleEndian) == 0


def run_openssl(*arguments):
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)


def test_a_client_whose_certificate_an_ordinary_authority_of_openssl_signed_is_let_in(tmp_path, certificate):
    """Neither has more than openssl's defaults; Python 3.13's strict flag would refuse them."""
    paths = {name: tmp_path / name for name in ("ca.key", "ca.pem", "us.key", "us.csr", "us.pem")}
    new = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    run_openssl("req", "-x509", *new, "-subj", "/CN=ca", "-keyout", paths["ca.key"], "-out", paths["ca.pem"])
    run_openssl("req", *new, "-subj", "/CN=us", "-keyout", paths["us.key"], "-out", paths["us.csr"])
    run_openssl("x509", "-req", "-in", paths["us.csr"], "-CA", paths["ca.pem"], "-CAkey", paths["ca.key"],
                "-CAcreateserial", "-out", paths["us.pem"])  # fmt: skip
    known = trust(certificate[0], paths["us.pem"], paths["us.key"])
    for authority in ("ca.pem", "us.pem"):  # whoever signed it, or the certificate itself and no other of the signer's
        with open_listener(tmp_path, secure(*certificate, paths[authority])) as listener:
            assert echoes(join(listener.port, known))
            assert not echoes(join(listener.port, trust(certificate[0], *certificate)))
            assert not echoes(join(listener.port, trust(certificate[0])))
            assert not echoes(join(listener.port))
