"""A port at which nobody listens, and nobody else can begin to."""

import socket
from contextlib import contextmanager


@contextmanager
def closed_port():
    """Until the block ends: it is bound, so that it is nobody's, and does not listen, so that callers are refused."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]
