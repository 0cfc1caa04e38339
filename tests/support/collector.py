"""A collector of OTLP/HTTP in a thread: it reads what arrives as opentelemetry-proto has it, and takes nothing else."""

import base64
import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from google.protobuf.json_format import ParseDict
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


class Collector(ThreadingHTTPServer):
    """Keeps the spans that arrive; answers with `status`, and only while `open` is set."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Answer)
        self.spans, self.posts, self.status, self.open = [], [], 200, threading.Event()
        self.open.set()

    @property
    def address(self):
        return f"http://127.0.0.1:{self.server_port}"


class _Answer(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.posts.append((self.path, self.headers["Content-Type"], body))
        self.server.open.wait(20)
        if self.server.status == 200:
            self.server.spans += read_spans(body)
        self.send_response(self.server.status)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_):
        pass


def read_spans(body):
    """The spans of an export; ParseError for a field that OTLP does not have."""
    document = json.loads(body)
    for span in (s for r in document["resourceSpans"] for scope in r["scopeSpans"] for s in scope["spans"]):
        for name in {"traceId", "spanId", "parentSpanId"} & span.keys():  # hex in OTLP, base64 in protobuf's own JSON
            span[name] = base64.b64encode(bytes.fromhex(span[name])).decode()
    export = ParseDict(document, ExportTraceServiceRequest())
    return [span for resource in export.resource_spans for scope in resource.scope_spans for span in scope.spans]


@contextmanager
def collecting():
    with Collector() as collector:
        threading.Thread(target=collector.serve_forever, daemon=True).start()
        yield collector
        collector.open.set()
        collector.shutdown()
