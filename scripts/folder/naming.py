"""Names of files and ZIP members: brought into one form before any rule looks at them, and shown safely."""

from __future__ import annotations

import posixpath
import unicodedata

NOISE = {  # no slices, whatever folder they are in
    "thumbs.db", "ehthumbs.db", "ehthumbs_vista.db", "desktop.ini", "dicomdir", "__macosx", "@eadir", "lost+found",
    "$recycle.bin", "recycler", "recycled", "#recycle", "@recycle", "system volume information",
}  # fmt: skip


def normalise(name: str) -> str:
    """A member's name with `/` between folders, without `.`, `..` or a leading `/`; "" where nothing is left.

    The ZIP specification allows `/` only (APPNOTE 4.4.17), yet packers on Windows write backslashes. Steps upwards end
    at the root of the ZIP.
    """
    return posixpath.normpath("/" + name.replace("\\", "/")).lstrip("/")


def is_noise(name: str) -> bool:
    """Whether a file or folder is hidden or one of those that systems leave everywhere; `;1` is ISO 9660's."""
    return name.startswith(".") or name.lower().removesuffix(";1") in NOISE


def printable(name: str) -> str:
    """A file name that every format and terminal can hold.

    Bytes that are no UTF-8, control characters and those that turn the direction of writing become escapes.
    """
    text = name.encode("utf-8", "backslashreplace").decode()
    if text.isprintable():
        return text
    hidden = ("Cc", "Cf", "Zl", "Zp")
    return "".join(
        char.encode("unicode_escape").decode() if unicodedata.category(char) in hidden else char for char in text
    )
