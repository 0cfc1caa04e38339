"""A client for LungServe: bytes of a slice in, the server's reply out. Needs `requests` alone. Research use only.

from lungct_client import Client, Gateway
reply = Client.of(Path(".run")).predict(Path("slice.png").read_bytes(), heatmap="abnormal")
reply = Client(Gateway("https://ct.example.org", key)).predict(Path("slice.png").read_bytes())
"""

from lungct_client.address import DEFAULT_PORTS, Gateway, Local
from lungct_client.client import Client
from lungct_client.errors import RefusedError, ServerBusy, ServerDown, ServerError, ServerSilent, TokenError
from lungct_client.tokens import Tokens

__all__ = [
    "DEFAULT_PORTS",
    "Client",
    "Gateway",
    "Local",
    "RefusedError",
    "ServerBusy",
    "ServerDown",
    "ServerError",
    "ServerSilent",
    "TokenError",
    "Tokens",
]
