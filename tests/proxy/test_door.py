"""The gateway as the exporter looks at it: where it is, and what passes for an answer."""

import socket
import ssl
import threading

import pytest

from lungct_tools.proxy.door import Door, Sight, find_door, look
from lungct_tools.proxy.nginx import make_certificate
from tests.support.ports import closed_port


@pytest.mark.parametrize(
    ("listen", "door"),
    [
        ("127.0.0.1:8443", ("127.0.0.1", 8443)),
        ("0.0.0.0:443", ("127.0.0.1", 443)),
        ("10.1.2.3:443", ("10.1.2.3", 443)),
        ("[::]:443", ("::1", 443)),
        ("[fd00::7]:443", ("fd00::7", 443)),
    ],
)
def test_the_door_is_where_the_settings_say(listen, door, tmp_path):
    (tmp_path / "gateway").mkdir()
    settings = tmp_path / "gateway" / "nginx.conf"
    for tls, word in ((True, " ssl"), (False, "")):
        pace = 'server {\n        listen "unix:/a:1;/pace.sock";\n'
        settings.write_text(f"http {{\n    {pace}    server {{\n        listen {listen}{word};\n")
        assert find_door(tmp_path) == Door(*door, tls)


def test_where_no_gateway_ever_ran_none_is_looked_for(tmp_path):
    assert find_door(tmp_path) is None


@pytest.mark.parametrize("text", [b"\xff listen", b"", b"listen 127.0.0.1:x;"])
def test_damaged_settings_name_none(text, tmp_path):
    (tmp_path / "gateway").mkdir()
    (tmp_path / "gateway" / "nginx.conf").write_bytes(text)
    assert find_door(tmp_path) is None


def test_a_door_that_is_no_port_is_down():
    assert look(Door("127.0.0.1", 99999, tls=False), 1) == Sight(up=False, expiry=None)


def test_a_closed_door_is_down():
    with closed_port() as port:
        assert look(Door("127.0.0.1", port), 1) == Sight(up=False, expiry=None)


@pytest.mark.parametrize(
    ("body", "up"),
    [
        (b'{"ready": true}', True),
        (b'{"ready": false}', True),  # the server is not; the gateway is
        (b'{"error": "unavailable"}', False),  # nginx alone, without its supervisor
        (b"<html>", False),
        (None, False),
    ],
)
def test_only_the_supervisors_own_word_counts_as_an_answer(body, up, tmp_path):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*make_certificate(tmp_path))
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def answer():
            with context.wrap_socket(listening.accept()[0], server_side=True) as caller:
                caller.recv(4096)
                if body is not None:
                    caller.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))

        thread = threading.Thread(target=answer)
        thread.start()
        sight = look(Door(*listening.getsockname()), 60)
        thread.join()
    assert sight.up == up
    assert sight.expiry is not None
