"""Peers that listen and answer what a test wants: real ones, of C-STORE and of HTTP."""

import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from pydicom import uid
from pynetdicom import AE, evt
from pynetdicom.dimse_messages import N_ACTION_RSP

from lungct_tools.pacs.commitment import PUSH_MODEL

KINDS = [uid.ParametricMapStorage, uid.Comprehensive3DSRStorage]


@contextmanager
def peer(answer, kinds=KINDS, port=0):
    """A real SCP: `answer(event)` is its status. Yields its name and what it was sent."""
    node, got = AE("PEER"), []
    for kind in kinds:
        node.add_supported_context(kind)

    def store(event):
        got.append(event.request.AffectedSOPInstanceUID)
        return answer(event)

    server = node.start_server(("127.0.0.1", port), block=False, evt_handlers=[(evt.EVT_C_STORE, store)])
    try:
        yield f"PEER@127.0.0.1:{server.server_address[1]}", got
    finally:
        node.shutdown()


@contextmanager
def promising(report):
    """A real SCP that takes objects and, asked to keep them, reports what `report(question)` says on the same
    association. Yields its name, and the statuses that it was answered; none where it waited in vain."""
    node, answers = AE("PEER"), []
    for kind in (*KINDS, PUSH_MODEL):
        node.add_supported_context(kind)

    due = []

    def act(event):
        told = report(event.action_information)
        due.append((told, 2 if "FailedSOPSequence" in told else 1, PUSH_MODEL, "1.2.840.10008.1.20.1.1"))
        return 0, None

    def tell(event):
        """A moment after the question was answered: before that, the report would pass for its answer."""
        if isinstance(event.message, N_ACTION_RSP):
            link, arguments = event.assoc, due.pop()
            send = lambda: answers.append(link.send_n_event_report(*arguments)[0].get("Status"))  # noqa: E731
            threading.Timer(0.2, send).start()

    handlers = [(evt.EVT_C_STORE, lambda event: 0), (evt.EVT_N_ACTION, act), (evt.EVT_DIMSE_SENT, tell)]
    server = node.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
    try:
        yield f"PEER@127.0.0.1:{server.server_address[1]}", answers
    finally:
        node.shutdown()


@contextmanager
def web(answer):
    """A real HTTP server: `answer(handler)` writes the response. Yields its address and the paths asked."""
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            self.body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            asked.append((self.path, self.headers.get("Authorization")))
            answer(self)

        do_GET = do_POST

        def log_message(self, *arguments):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/dicom-web", asked
    finally:
        server.shutdown()
        server.server_close()


def reply(status, body=b"", **headers):
    def answer(handler):
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    return answer


class Clock:
    """Seconds that pass when they are told to."""

    now = 0.0

    def __call__(self):
        return self.now
