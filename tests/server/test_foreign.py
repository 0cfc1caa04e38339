"""Another program at the ports of a server that has ended: it is no server, and ends nobody who asks it."""

import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from lungct_client import Client, ServerError
from lungct_tools.operate.exporter import ServerCollector
from lungct_tools.proxy.door import Door, look
from lungct_tools.proxy.staff import Staff
from lungct_tools.server.health import UNREADY, check_live, check_ready
from lungct_tools.server.instance import Instance

ANSWERS = [b"[]", b"{}", b"7", b'"x"', b"[7]", b"[{}]", b"null", b"<html>", b"\xff", b'[{"minWorkers": 1}]',
           b'[{"minWorkers": "1", "workers": []}]', b'[{"minWorkers": 1, "workers": 7}]',
           b'[{"minWorkers": 1, "workers": [7]}]', b'[{"minWorkers": 1, "workers": [{"status": "READY"}]}]',
           b'[{"minWorkers": 0, "workers": []}]']  # fmt: skip


class Foreign(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(len(self.server.answer)))
        self.end_headers()
        self.wfile.write(self.server.answer)

    do_POST = do_PUT = do_GET  # noqa: N815 -- the base class asks for these names

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def foreign():
    with ThreadingHTTPServer(("127.0.0.1", 0), Foreign) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.mark.parametrize("status", [200, 404])
@pytest.mark.parametrize("answer", ANSWERS)
def test_whatever_it_answers_the_server_is_told_to_be_not_ready(foreign, tmp_path, answer, status):
    foreign.answer, foreign.status = answer, status
    instance = Instance(tmp_path, (foreign.server_port,) * 5)
    instance.write()
    (tmp_path / "key_file.json").write_text('{"inference": {"key": "k"}, "management": {"key": "k"}}')
    assert check_live(instance) is None, "something answers"
    assert check_ready(instance)
    with suppress(*UNREADY):  # what the gateway's supervisor is ready for
        Staff().keep(instance)
    found = {sample.name: sample.value for metric in ServerCollector(tmp_path).collect() for sample in metric.samples}
    assert found["lung_ct_ready"] == 0
    assert not look(Door("127.0.0.1", foreign.server_port, tls=False), 5).up


@pytest.mark.parametrize("answer", ANSWERS)
def test_nor_does_it_pass_for_the_model(foreign, tmp_path, answer):
    foreign.answer, foreign.status = answer, 200
    with pytest.raises(ServerError, match="no TorchServe"):
        Client(Instance(tmp_path, (foreign.server_port,) * 5), deadline_s=0).contract()
