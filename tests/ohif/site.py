"""OHIF's npm build on loopback, with an archive's DICOMweb under the same address as browsers ask for."""

from __future__ import annotations

import json
import mimetypes
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import requests

WEB = "/dicom-web"


def configure(address: str) -> str:
    """app-config.js: one archive, nothing of anybody else's."""
    roots = dict.fromkeys(("wadoUriRoot", "qidoRoot", "wadoRoot"), address + WEB)
    source = {
        "namespace": "@ohif/extension-default.dataSourcesModule.dicomweb",
        "sourceName": "orthanc",
        "configuration": {
            **roots, "friendlyName": "Orthanc", "name": "orthanc", "qidoSupportsIncludeField": False,
            "imageRendering": "wadors", "thumbnailRendering": "wadors", "enableStudyLazyLoad": True,
            "supportsFuzzyMatching": False, "supportsWildcard": True, "omitQuotationForMultipartRequest": True,
            "bulkDataURI": {"enabled": True},
        },
    }  # fmt: skip
    document = {
        "routerBasename": None, "extensions": [], "modes": [], "showStudyList": True, "maxNumberOfWebWorkers": 2,
        "showCPUFallbackMessage": False, "investigationalUseDialog": {"option": "never"},
        "defaultDataSourceName": "orthanc", "dataSources": [source],
    }  # fmt: skip
    return f"window.config = {json.dumps(document)};"


@contextmanager
def serving(build: Path, archive: str) -> Iterator[str]:
    """The address of the viewer, until the block ends.

    Args:
        build: folder `dist` of the package @ohif/app.
        archive: address of the archive, without the path of its DICOMweb.
    """

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path.startswith(WEB):
                wanted = {name: value for name, value in self.headers.items() if name in ("Accept", "Host")}
                answer = requests.get(archive + self.path, headers=wanted, timeout=60)
                self._send(answer.status_code, answer.headers.get("Content-Type", ""), answer.content)
                return
            name = self.path.partition("?")[0].lstrip("/")
            if name == "app-config.js":
                self._send(200, "text/javascript", configure(f"http://{self.headers['Host']}").encode())
                return
            file = (build / name).resolve()
            if not name or not file.is_relative_to(build.resolve()) or not file.is_file():
                file = build / "index.html"  # the addresses of the viewer's own pages
            self._send(200, mimetypes.guess_type(file.name)[0] or "application/octet-stream", file.read_bytes())

        def _send(self, status: int, kind: str, body: bytes) -> None:
            self.send_response(status)
            for key, value in (
                ("Content-Type", kind),
                ("Content-Length", str(len(body))),
                ("Cross-Origin-Opener-Policy", "same-origin"),  # the viewer shares memory with its workers
                ("Cross-Origin-Embedder-Policy", "require-corp"),
            ):
                self.send_header(key, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
