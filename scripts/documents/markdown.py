"""Markdown as it is read in an editor: tables, and prose filled to the width of the line."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterable, Sequence

WIDTH = 118
KEPT = ("|", "#", "!", "```")


def tabulate(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def fill(text: str) -> str:
    """Fill paragraphs and list items; headings, tables, figures and code stay as they are."""
    return "\n\n".join(_fill_block(block) for block in text.split("\n\n"))


def _fill_block(block: str) -> str:
    if block.startswith(KEPT):
        return block
    items = block.split("\n- ")
    wrapped = [_wrap(items[0])] + [_wrap("- " + item) for item in items[1:]]
    return "\n".join(wrapped)


def _wrap(text: str) -> str:
    indent = "  " if text.startswith("- ") else ""
    return textwrap.fill(
        " ".join(text.split()), WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )


def show(*values: float) -> str:
    """A score, or the two ends of its interval; "none" where there was nothing to score."""
    return "none" if any(map(math.isnan, values)) else " to ".join(f"{value:.3f}" for value in values)
