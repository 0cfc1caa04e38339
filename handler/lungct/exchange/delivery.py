"""The replies of a batch -> messages, none of them large: TorchServe reads one in a time that grows with its square.

Java looks at a message from its beginning whenever more of it has come, and ends a worker whose message is larger than
max_response_size. So of large replies pieces go ahead, as of a stream.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

MESSAGE_BYTES = 2**20


class Piece(NamedTuple):
    """What goes ahead of one reply, in a message of its own."""

    row: int
    content: bytes


def split(bodies: Sequence[str | bytes], streams: Sequence[bool]) -> tuple[list[Piece], list[bytes]]:
    """Pieces to send ahead, in order, and what is left of each body for the last message of all.

    Args:
        bodies: of the replies.
        streams: for each whether its client takes it in pieces, as HTTP does and gRPC's single answer does not.

    Returns:
        No piece, and what is left of all bodies that are sent in pieces, is larger than MESSAGE_BYTES.
    """
    left = [body.encode() if isinstance(body, str) else body for body in bodies]
    total = sum(map(len, left))
    ahead = []
    for index in sorted((i for i, stream in enumerate(streams) if stream), key=lambda i: -len(left[i])):
        whole, start = left[index], 0
        while total > MESSAGE_BYTES and start < len(whole):
            ahead.append(Piece(index, whole[start : start + MESSAGE_BYTES]))
            start += len(ahead[-1].content)
            total -= len(ahead[-1].content)
        left[index] = whole[start:]
    return ahead, left
