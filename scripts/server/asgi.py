"""The front without TorchServe: the same three APIs on the same ports, by uvicorn and Starlette.

    lungct serve --front asgi      # which starts python -m lungct_tools.server.asgi RUN/config.properties

It reads the settings that `serve` writes for TorchServe (ports, tokens, sizes; what is Java's it ignores), hands bodies
to its workers (crew.py) and decodes nothing itself.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import socket
import sys
import traceback
import zipfile
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import uvicorn
import yaml
from starlette.types import Receive, Scope, Send

from lungct_tools.server.counters import Counters
from lungct_tools.server.crew import Crew
from lungct_tools.server.gpus import count_gpus
from lungct_tools.server.keyfile import KeyFile
from lungct_tools.server.properties import read_properties
from lungct_tools.server.routes import Routes, drain, say
from lungct_tools.server.seat import Plan

logger = logging.getLogger("lungct_tools.server.asgi")  # it runs as __main__
APIS = ("inference", "management", "metrics")
LOG_FORMAT = "%(asctime)s %(levelname)-5s %(name)s - %(message)s"  # as config/log4j2.xml has it
HEADER_BYTES = 16384  # request line and headers
KEEP_ALIVE_S = 120  # longer than the gateway keeps a connection
DRAIN_S = 15  # for requests in flight at the end; shutdown.end waits 20
NO_KEY = "Token Authorization failed. Token either incorrect, expired, or not provided correctly."
UNCACHED = (b"cache-control", b"no-cache, no-store, must-revalidate, private")


class Front:
    """The ASGI application: names, guards and counts each request, and lets `Routes` answer it."""

    def __init__(self, routes: Routes, ports: dict[int, str], keys: KeyFile, counters: Counters, crew: Crew) -> None:
        self._routes, self._ports, self._keys = routes, ports, keys
        self._counters, self._crew = counters, crew

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "http":
            await self._answer(scope, receive, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        """Workers come and go with the server."""
        await receive()
        self._crew.scale(*self._crew.wanted)
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self._crew.close()
        await send({"type": "lifespan.shutdown.complete"})

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        api = self._ports[scope["server"][1]]
        scope["request_id"] = str(uuid4())
        ended = False

        async def take() -> Any:
            nonlocal ended
            message = await receive()
            ended = message["type"] == "http.disconnect" or not message.get("more_body", False)
            return message

        async def give(message: Any) -> None:
            if message["type"] == "http.response.start":
                self._counters.add(f"Requests{message['status'] // 100}XX")
                named = (b"x-request-id", scope["request_id"].encode())
                message["headers"] = [*message.get("headers", ()), named, UNCACHED]
                if message["status"] >= 400 and not ended:  # who still sends would meet a reset instead of a sentence
                    await drain(take, scope, self._routes.max_bytes)
            await send(message)

        try:
            if self._allows(api, scope):
                await self._routes.answer(api, scope, take, give)
            else:
                await say(400, "InvalidKeyException", NO_KEY)(scope, take, give)
        except Exception as fault:  # noqa: BLE001 -- Routes answered it; its message could quote a client
            places = [f"{frame.name}:{frame.lineno}" for frame in traceback.extract_tb(fault.__traceback__)]
            logger.error("Request %s failed: %s in %s", scope["request_id"], type(fault).__name__, " > ".join(places))

    def _allows(self, api: str, scope: Scope) -> bool:
        given = [value.decode("latin-1") for name, value in scope["headers"] if name == b"authorization"]
        kind = "API" if (api, scope["path"]) == ("management", "/token") else api
        return api == "metrics" or self._keys.allows(kind, given)


def unpack(archive: Path, folder: Path) -> Path:
    """The archive's files in a private folder."""
    folder.mkdir(mode=0o700, parents=True)
    with zipfile.ZipFile(archive) as packed:
        packed.extractall(folder)
    return folder


def listen(host: str, port: int) -> socket.socket:
    """A socket whose connections send at once; OSError where the port is taken.

    asyncio sees to that only where a socket's protocol is stated, which create_server leaves 0. A reply's head and body
    are two packets, and the second would wait 40 ms for the first one's acknowledgement.
    """
    listening = socket.create_server((host, port), backlog=2048)
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # accepted connections inherit it
    return listening


def build(settings: dict[str, str], run: Path) -> tuple[Front, list[socket.socket]]:
    """The application and the sockets that it listens at; OSError where one is taken."""
    folder = unpack(Path(settings["model_store"]) / "lung_ct.mar", Path(os.environ["TMPDIR"]) / "models" / "lung_ct")
    config = yaml.safe_load((folder / "model-config.yaml").read_text())
    version = json.loads((folder / "model.json").read_text())["version"]
    gpus = count_gpus(settings.get("number_of_gpu"))
    counters = Counters(Path(settings["metrics_config"]))
    plan = Plan(folder, config, settings.get("blacklist_env_vars", ""), gpus, version)
    crew = Crew(plan, counters, (config["minWorkers"], config["maxWorkers"]))
    keys = KeyFile(run / "key_file.json", float(settings["token_expiration_min"]))
    places = {api: urlsplit(settings[f"{api}_address"]) for api in APIS}
    sockets = [listen(place.hostname or "", place.port or 0) for place in places.values()]
    ports = {each.getsockname()[1]: api for api, each in zip(APIS, sockets, strict=True)}
    routes = Routes(crew, keys, counters, int(settings["max_request_size"]))
    return Front(routes, ports, keys, counters, crew), sockets


def main() -> int:
    """Serve until SIGTERM or Ctrl-C, then answer what is in flight."""
    settings = Path(sys.argv[1])
    os.environ["LUNG_CT_LOG_FORMAT"] = LOG_FORMAT
    logging.basicConfig(format=LOG_FORMAT, level=logging.WARNING, stream=sys.stdout)
    for number in (signal.SIGTERM, signal.SIGINT):  # uvicorn raises again what it got, once it is done
        signal.signal(number, lambda *_: None)
    front, sockets = build(read_properties(settings.read_text()), settings.parent)
    config = uvicorn.Config(
        front,
        loop="asyncio",
        http="h11",
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=DRAIN_S,
        h11_max_incomplete_event_size=HEADER_BYTES,
    )
    asyncio.run(uvicorn.Server(config).serve(sockets))
    return 0


if __name__ == "__main__":
    sys.exit(main())
