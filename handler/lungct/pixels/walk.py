"""A strict walk through the elements of a little-endian DICOM file (PS3.5 7.1, 7.5), by nothing but its lengths."""

from __future__ import annotations

from struct import Struct
from typing import NamedTuple

MOST_ELEMENTS = 1000  # of a file, those in sequences of unstated length counted; scanners write 80 to 300
DEEPEST = 8  # sequences in sequences
SHORT = frozenset(b"AE AS AT CS DA DS DT FD FL IS LO LT PN SH SL SS ST TM UI UL US".split())
LONG = frozenset(b"OB OD OF OL OV OW SQ SV UC UN UR UT UV".split())  # two bytes more, and a length of four (7.1.2)
ITEM, ITEM_END, SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
PIXELS = 0x7FE00010
UNSTATED = 0xFFFFFFFF
MARK = 8  # bytes of what begins or ends an item: tag and length

_TAG, _TWO, _FOUR = Struct("<HH"), Struct("<H"), Struct("<I")


class Irregular(Exception):  # noqa: N818 - the file may be sound
    """The file is out of the ordinary."""


class Element(NamedTuple):
    """Tag, VR (empty in implicit VR), where the value lies, and whether its length was not stated.

    The mark at the end of such a value does not count to it.
    """

    tag: int
    vr: bytes
    start: int
    length: int
    open: bool = False


class Walk:
    """A place in a file that only goes forward, a bounded number of steps.

    Attributes:
        at: the next byte.
        implicit: whether elements from here on have no VR.
    """

    def __init__(self, body: bytes, at: int) -> None:
        self.at, self.implicit = at, False
        self._body, self._left = body, MOST_ELEMENTS

    def look(self) -> int:
        """The tag that comes next; struct.error at the end of the file."""
        group, element = _TAG.unpack_from(self._body, self.at)
        return int(group << 16 | element)

    def step(self, depth: int = 0) -> Element:
        """The next element, the place being behind it; Irregular, struct.error where there is no sound one."""
        self._count(depth)
        tag, vr, at = self.look(), b"" if self.implicit else self._body[self.at + 4 : self.at + 6], self.at
        if vr in SHORT:
            start, length = at + 8, _TWO.unpack_from(self._body, at + 6)[0]
        elif self.implicit or vr in LONG:
            start = at + (8 if self.implicit else 12)
            length = _FOUR.unpack_from(self._body, start - 4)[0]
        else:
            raise Irregular
        if length == UNSTATED and (vr in (b"SQ", b"") or tag == PIXELS):
            self.at = start
            self._pass_items(depth + 1, tag == PIXELS)
            return Element(tag, vr, start, self.at - MARK - start, open=True)
        self.at = start + length
        if self.at > len(self._body) or length % 2:
            raise Irregular
        return Element(tag, vr, start, length)

    def _pass_items(self, depth: int, fragments: bool) -> None:
        """Go past the items of a sequence of unstated length (7.5.2), or past fragments (A.4), whose lengths are."""
        while (mark := self._pass_mark(depth))[0] != SEQUENCE_END:
            if mark[0] != ITEM:
                raise Irregular
            if mark[1] != UNSTATED:
                self.at += mark[1]
                continue
            if fragments:
                raise Irregular
            while self.look() != ITEM_END:
                self.step(depth)
            self._pass_mark(depth)

    def _pass_mark(self, depth: int) -> tuple[int, int]:
        """Tag and length of what begins or ends an item."""
        self._count(depth)
        tag, length = self.look(), _FOUR.unpack_from(self._body, self.at + 4)[0]
        self.at += MARK
        return tag, length

    def _count(self, depth: int) -> None:
        self._left -= 1
        if self._left < 0 or depth > DEEPEST:
            raise Irregular
