"""A client for LungServe: bytes of a slice in, the server's reply out. Needs `requests` alone. Research use only.

from lungct_client import Client, Gateway
client = Client(Gateway("https://ct.example.org:8443", key))
reply = client.predict(Path("slice.dcm").read_bytes(), heatmap="abnormal")
print(reply.label, reply.confidence, reply.reported, reply.raw["model"])
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from lungct_client.address import DEFAULT_PORTS, Gateway, Local
from lungct_client.errors import (
    ClientError,
    HeaderError,
    RefusedError,
    ServerBusy,
    ServerDown,
    ServerError,
    ServerSilent,
    TokenError,
)

if TYPE_CHECKING:
    from lungct_client.client import Client
    from lungct_client.reply import Reply
    from lungct_client.tokens import Tokens

__all__ = [
    "DEFAULT_PORTS",
    "Client",
    "ClientError",
    "Gateway",
    "HeaderError",
    "Local",
    "RefusedError",
    "Reply",
    "ServerBusy",
    "ServerDown",
    "ServerError",
    "ServerSilent",
    "TokenError",
    "Tokens",
]

# What brings requests, a tenth of a second and 12 MB, which who asks nothing can do without: a server's start, its log.
_LATER = {"Client": "client", "Reply": "reply", "Tokens": "tokens"}


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_LATER[name]}"), name)
