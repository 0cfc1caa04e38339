"""Replies in pieces: nothing is lost, nothing is large."""

from hypothesis import given
from hypothesis import strategies as st

from lungct.exchange.delivery import MESSAGE_BYTES, split


def join(ahead, left):
    whole = [b""] * len(left)
    for index, content in ahead:
        whole[index] += content
    return [first + last for first, last in zip(whole, left, strict=True)]


def test_small_replies_go_as_they_are():
    assert split(["one", b"two"], [True, True]) == ([], [b"one", b"two"])


def test_a_large_reply_goes_in_pieces_and_small_ones_beside_it_whole():
    large = bytes(range(256)) * (3 * MESSAGE_BYTES // 256)
    ahead, left = split([b"small", large, b"other"], [True] * 3)
    assert {index for index, _ in ahead} == {1}
    assert (left[0], left[2]) == (b"small", b"other")
    assert join(ahead, left) == [b"small", large, b"other"]


def test_what_must_stay_whole_stays_whole():
    large = bytes(3 * MESSAGE_BYTES)
    assert split([large, b"x"], [False, True]) == ([(1, b"x")], [large, b""])


@given(st.lists(st.tuples(st.integers(0, 3 * MESSAGE_BYTES), st.booleans()), max_size=16))
def test_no_message_is_large_and_no_byte_is_lost(sizes):
    bodies = [bytes(size) for size, _ in sizes]
    streams = [stream for _, stream in sizes]
    ahead, left = split(bodies, streams)
    assert join(ahead, left) == bodies
    assert all(0 < len(content) <= MESSAGE_BYTES and streams[index] for index, content in ahead)
    whole = sum(len(body) for body, stream in zip(bodies, streams, strict=True) if not stream)
    assert sum(map(len, left)) <= max(MESSAGE_BYTES, whole)
