"""A package index on loopback, by TLS and with a password, that has one small wheel."""

import base64
import hashlib
import io
import ssl
import subprocess
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import quote

USER, PASSWORD = "reader", "it's: a @secret"
WHEEL = "toy_slices-1.0-py3-none-any.whl"


def make_wheel() -> bytes:
    """The smallest wheel that installers take."""
    body = io.BytesIO()
    info = "toy_slices-1.0.dist-info"
    files = {
        "toy_slices.py": "",
        f"{info}/METADATA": "Metadata-Version: 2.1\nName: toy-slices\nVersion: 1.0\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/RECORD": "",
    }
    with zipfile.ZipFile(body, "w") as wheel:
        for name, text in files.items():
            wheel.writestr(name, text)
    return body.getvalue()


def make_pair(folder: Path) -> tuple[Path, Path, Path]:
    """An authority's certificate, one that it signed for 127.0.0.1, and that one's key: uv takes no self-signed one."""
    new = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    ca, ca_key, mine, key = (folder / name for name in ("ca.pem", "ca.key", "index.pem", "index.key"))
    openssl = ["openssl", "req", "-x509", *new]
    run = partial(subprocess.run, check=True, capture_output=True)
    run([*openssl, "-subj", "/CN=Authority of a test", "-out", ca, "-keyout", ca_key])
    leaf = ["-addext", "subjectAltName=IP:127.0.0.1", "-addext", "basicConstraints=critical,CA:FALSE"]
    run([*openssl, "-subj", "/CN=index", *leaf, "-CA", ca, "-CAkey", ca_key, "-out", mine, "-keyout", key])
    return ca, mine, key


@dataclass
class Index:
    """Attributes: `url` with the password, `certificate` of who vouches for it, `served` what was handed out."""

    url: str
    certificate: Path
    wheel: bytes
    served: list[str] = field(default_factory=list)

    @property
    def row(self) -> str:
        """The wheel as a row of a lock."""
        return f"toy-slices==1.0 --hash=sha256:{hashlib.sha256(self.wheel).hexdigest()}\n"


@contextmanager
def serve_index(folder: Path) -> Iterator[Index]:
    """Serve it until the end of the block; who does not say the password gets 401."""
    authority, certificate, key = make_pair(folder)
    index = Index("", authority, make_wheel())
    allowed = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            page = f'<a href="/{WHEEL}">{WHEEL}</a>'.encode()
            found = {"/simple/toy-slices/": page, f"/{WHEEL}": index.wheel}.get(self.path, b"")
            status = 200 if found else 404
            if self.headers["Authorization"] != allowed:
                status, found = 401, b""
            index.served += [self.path] if status == 200 else []  # before who asks can end
            self.send_response(status)
            self.send_header("Content-Type", "text/html" if self.path.endswith("/") else "application/octet-stream")
            self.send_header("Content-Length", str(len(found)))
            self.end_headers()
            self.wfile.write(found)

        def log_message(self, *_: object) -> None:
            """A test needs no log."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    password = quote(PASSWORD, safe="'")  # a quote may stand in an address as it is
    index.url = f"https://{USER}:{password}@127.0.0.1:{server.server_port}/simple/"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield index
    finally:
        server.shutdown()
        server.server_close()
