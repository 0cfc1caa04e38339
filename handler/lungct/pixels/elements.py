"""Elements of a DICOM header as files really have them: absent, empty, one where several belong, padded."""

from __future__ import annotations

from typing import Any, Protocol

from lungct.errors import LungCTError


class Elements(Protocol):
    """A header by keyword: a dataset of pydicom's, or a dict of a plain file's elements."""

    def get(self, keyword: str, /) -> Any:
        """The value of an element; None where it is empty or absent."""


def get_group(data: Elements, frame: int, keyword: str, needed: str) -> Elements:
    """The functional group of an enhanced image, per frame or shared (C.7.6.16); of a classic one the dataset.

    A group without the element that is needed of it is passed over: files have both, each with a part.
    """
    frames, shared = data.get("PerFrameFunctionalGroupsSequence"), data.get("SharedFunctionalGroupsSequence")
    for holder in (*(frames[frame : frame + 1] if frames else ()), *(shared[:1] if shared else ())):
        if holder.get(keyword) and as_list(holder[keyword][0].get(needed)):
            group: Elements = holder[keyword][0]
            return group
    return data


def get_value(data: Elements, frame: int, keyword: str, element: str) -> Any:
    """One element of such a group; None without it."""
    return get_group(data, frame, keyword, element).get(element)


def require(data: Elements, keyword: str) -> Any:
    """The value of an element; LookupError where it is absent or empty."""
    if (value := data.get(keyword)) is None:
        raise LookupError(keyword)
    return value


def as_list(value: Any) -> list[Any]:
    """The values of an element, however many there are; none where all are empty."""
    if value is None:
        return []
    values = [value] if isinstance(value, str | int | float) else list(value)
    return values if any(each not in (None, "") for each in values) else []


def as_text(data: Elements, keyword: str) -> str:
    """The one value of an element without its padding; empty where it is absent."""
    return str(data.get(keyword) or "").strip()


def unsupported(sentence: str) -> LungCTError:
    """The error for an object that is sound, but not to be scored."""
    return LungCTError("unsupported_dicom", sentence)
