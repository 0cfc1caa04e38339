"""The routes of the front without TorchServe, with TorchServe's statuses and bodies where it has the word."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from lungct_tools.server.counters import Counters
from lungct_tools.server.crew import Crew, NoPlaceError
from lungct_tools.server.keyfile import KeyFile
from lungct_tools.server.modelconfig import count_most
from lungct_tools.server.seat import LostError

MODEL = "lung_ct"
HELD_BYTES = 2**30  # of bodies that wait or are with workers: as much as TorchServe's heap is allowed
OURS = {"authorization"}  # headers that no worker needs
Answering = Callable[[Request], Awaitable[Response]]


def say(status: int, kind: str, message: str, **headers: str) -> JSONResponse:
    """A refusal in TorchServe's words."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return JSONResponse({"code": status, "type": kind, "message": message}, status, named)


def refuse(code: str, message: str, request_id: str) -> JSONResponse:
    """A refusal as the handler has it, of a body that no worker has seen."""
    document = {"error": code, "message": message, "request_id": request_id, "research_use_only": True}
    return JSONResponse(document, 413, {"x-research-use-only": "true"})


def join(lines: Iterable[tuple[str, str]]) -> dict[str, str]:
    """The headers that a worker needs, by name; lines of one name are one (RFC 9110, 5.3)."""
    found: dict[str, str] = {}
    for name, value in lines:
        found[name] = f"{found[name]}, {value}" if name in found else value
    return {name: value for name, value in found.items() if name not in OURS}


async def drain(receive: Receive, scope: Scope, limit: int) -> None:
    """Read what is left of a body, and no more than `limit` bytes; nothing of one that is sent on demand only."""
    if any(name == b"expect" for name, _ in scope["headers"]):
        return
    while limit > 0:
        message = await receive()
        limit -= len(message.get("body", b""))
        if message["type"] == "http.disconnect" or not message.get("more_body", False):
            return


class Routes:
    """What each API answers.

    Attributes:
        max_bytes: largest body that is read, max_request_size of the settings.
    """

    def __init__(self, crew: Crew, keys: KeyFile, counters: Counters, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self._crew, self._keys, self._counters, self._held = crew, keys, counters, 0
        scoring = ["POST", "PUT"]
        apps = {
            "inference": [
                Route("/ping", self._ping),
                Route("/predictions/{model}", self._score, methods=scoring),
                Route("/predictions/{model}/{version}", self._score, methods=scoring),
                Route("/explanations/{model}", self._explain, methods=scoring),
                Route("/explanations/{model}/{version}", self._explain, methods=scoring),
                Route("/v2/models/{model}/infer", self._score, methods=["POST"]),
            ],
            "management": [
                Route("/models", self._list),
                Route("/models/{model}", self._describe),
                Route("/models/{model}", self._scale, methods=["PUT"]),
                Route("/token", self._renew),
            ],
            "metrics": [Route("/metrics", self._show)],
        }
        handlers: Any = {HTTPException: self._miss, Exception: self._fail}
        self._starlettes = {api: Starlette(routes=rows, exception_handlers=handlers) for api, rows in apps.items()}
        for each in self._starlettes.values():
            each.router.redirect_slashes = False  # it would repeat whatever Host a caller sent

    async def answer(self, api: str, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request of an API."""
        await self._starlettes[api](scope, receive, send)

    @staticmethod
    async def _miss(_: Request, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else 500
        if status == 405:
            return say(405, "MethodNotAllowedException", "Requested method is not allowed.", **(error.headers or {}))
        return say(404, "ResourceNotFoundException", "Requested resource is not found.")

    @staticmethod
    async def _fail(_: Request, __: Exception) -> Response:
        return say(500, "InternalServerException", "Internal server error.")

    async def _ping(self, _: Request) -> Response:
        healthy = self._crew.healthy
        return JSONResponse({"status": "Healthy" if healthy else "Unhealthy"}, 200 if healthy else 500)

    async def _explain(self, request: Request) -> Response:
        return await self._score(request, explain="True")

    async def _score(self, request: Request, **added: str) -> Response:
        if missing := self._find_missing(request):
            return missing
        identity, body = request.scope["request_id"], bytearray()
        try:
            async for chunk in request.stream():
                if len(body) + len(chunk) > self.max_bytes:
                    return refuse("too_many_bytes", f"A request may have {self.max_bytes} bytes.", identity)
                if self._held + len(chunk) > HELD_BYTES:
                    raise NoPlaceError
                self._held += len(chunk)
                body += chunk
            headers = join(request.headers.items()) | added
            answer = await self._crew.ask(headers, identity, bytes(body))
        except ClientDisconnect:
            return Response(status_code=400)  # to nobody
        except NoPlaceError:
            told = f'Model "{MODEL}" has no worker to serve inference request, or its queue is full.'
            return say(503, "ServiceUnavailableException", told, retry_after="1")
        except LostError:
            return say(500, "InternalServerException", "Worker died.")
        finally:
            self._held -= len(body)
        return Response(answer.body, answer.status, answer.headers)

    def _find_missing(self, request: Request) -> Response | None:
        """The refusal of a request for another model or version than there is."""
        model, version = request.path_params["model"], request.path_params.get("version", self._crew.plan.version)
        if model != MODEL:
            return say(404, "ModelNotFoundException", "Model not found; there is lung_ct.")
        if version != self._crew.plan.version:
            told = f"Model version not found; there is {self._crew.plan.version}."
            return say(404, "ModelVersionNotFoundException", told)
        return None

    async def _list(self, _: Request) -> Response:
        return JSONResponse({"models": [{"modelName": MODEL, "modelUrl": f"{MODEL}.mar"}]})

    async def _describe(self, request: Request) -> Response:
        customized = request.query_params.get("customized") == "true"
        return self._find_missing(request) or JSONResponse([self._crew.describe(customized)])

    async def _scale(self, request: Request) -> Response:
        if missing := self._find_missing(request):
            return missing
        try:
            least = int(request.query_params.get("min_worker", "1"))
            most = int(request.query_params.get("max_worker", str(least)))
        except ValueError:
            least = most = -1
        if not 0 <= least <= most <= count_most():
            told = f"min_worker and max_worker must be 0 to {count_most()}, and not cross."
            return say(400, "BadRequestException", told)
        self._crew.scale(least, most)
        return JSONResponse({"status": "Processing worker updates..."}, 202)

    async def _renew(self, request: Request) -> Response:
        if self._keys.renew(request.query_params.get("type", "")):
            return JSONResponse({"status": "A fresh key is in the key file."})
        return say(400, "BadRequestException", "type must be inference or management.")

    async def _show(self, _: Request) -> Response:
        return PlainTextResponse(self._counters.show())
