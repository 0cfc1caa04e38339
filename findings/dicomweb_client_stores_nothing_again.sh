#!/usr/bin/env bash
# Believed: dicomweb-client's store_instances(), which repeats a request that got 503, sends the instances again.
# True:     above its chunk size of 1 MB it hands the same spent generator to each try: the second one has an empty body, and if
#           that gets 200 the call returns an empty Dataset, as it does for a type with "; charset=utf-8" and failures in it.
# Version:  dicomweb-client 0.61.2, requests 2.34.2, pydicom 3.0.2
# Matters:  an archive that is busy for a second loses images, and the sender may delete its copy.
source "$(dirname "$0")/preamble"
packages dicomweb-client==0.61.2 pydicom==3.0.2 requests==2.34.2 numpy==2.4.6
venv/bin/python -W ignore - <<'PY'
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version
from threading import Thread

import numpy as np
from ct import ct
from dicomweb_client.api import DICOMwebClient

FAILED = b'{"00081198": {"vr": "SQ", "Value": [{"00081197": {"vr": "US", "Value": [43264]}}]}}'
answers, lengths = [], []

class Archive(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def read(self):
        if self.headers.get("Transfer-Encoding") != "chunked":
            return len(self.rfile.read(int(self.headers["Content-Length"])))
        whole = 0
        while size := int(self.rfile.readline(), 16):
            whole += len(self.rfile.read(size + 2)) - 2
        self.rfile.readline()
        return whole

    def do_POST(self):
        lengths.append(self.read())
        status, kind, body = answers.pop(0)
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass

server = ThreadingHTTPServer(("127.0.0.1", 0), Archive)
Thread(target=server.serve_forever, daemon=True).start()
client = DICOMwebClient(f"http://127.0.0.1:{server.server_port}")

def store(side, *said):
    answers[:], lengths[:] = said, []
    told = len(client.store_instances([ct(np.zeros((side, side), np.uint16))]))
    return [length > side * side for length in lengths], told

json = "application/dicom+json"
small = store(512, (503, json, b""), (200, json, b"{}"))
large = store(1024, (503, json, b""), (200, json, b"{}"))
failed = store(64, (202, json, FAILED)), store(64, (202, f"{json}; charset=utf-8", FAILED))
print(*(f"{p} {version(p)}" for p in ("dicomweb-client", "requests", "pydicom")))
print("which tries have the instance; believed: all; seen 0.5 MB", small[0], "2 MB", large[0])
print("elements of the answer about a failure; believed: 1, 1; seen", failed[0][1], failed[1][1])
raise SystemExit(not (small[0] == [True, True] and large == ([True, False], 0) and [told for _, told in failed] == [1, 0]))
PY
