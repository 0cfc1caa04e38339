#!/usr/bin/env python3
"""Print README's table of accepted files: PYTHONPATH=handler python scripts/formats.py."""

from lungct.acceptance import accepted_formats


def format_table() -> str:
    """Return the table in Markdown."""
    rows = [("format", "variant", "gray levels"), ("---", "---", "---"), *accepted_formats()]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


if __name__ == "__main__":
    print(format_table())
