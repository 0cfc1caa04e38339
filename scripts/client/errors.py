"""What can go wrong between a client and its server."""

from __future__ import annotations


class ClientError(Exception):
    """All that this client raises of its own."""


class ServerError(ClientError):
    """The server could not answer within the deadline: it is down, busy, or failing."""


class ServerDown(ServerError):
    """Nothing listens at the address."""


class ServerSilent(ServerError):
    """Something listens at the address and does not answer in time."""


class ServerBusy(ServerError):
    """The server is there and has no room now: its queue is full, or a client sends too fast.

    Attributes:
        retry_after_s: how long it asks us to wait.
    """

    def __init__(self, message: str, retry_after_s: float) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class RefusedError(ClientError):
    """The server refused this input; sending it again will not help.

    Attributes:
        status: HTTP status; 0 over gRPC, which has none.
        code: stable error code, see README.
        request_id: for the operator.
    """

    def __init__(self, status: int, code: str, message: str, request_id: str | None) -> None:
        super().__init__(message)
        self.status, self.code, self.request_id = status, code, request_id


class TokenError(ClientError):
    """The server does not accept our token and it cannot be renewed."""


class HeaderError(ClientError):
    """A key or an option is nothing that an HTTP header can carry. No message repeats a key."""
