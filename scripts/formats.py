#!/usr/bin/env python3
"""Print README's table of accepted files, in Markdown."""

import argparse

from lungct.acceptance import accepted_formats


def format_table() -> str:
    """Return the table in Markdown."""
    rows = [("format", "variant", "gray levels"), ("---", "---", "---"), *accepted_formats()]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__).parse_args()
    print(format_table())
