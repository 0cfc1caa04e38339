"""Print README's table of accepted files in Markdown, from the code that accepts them.

    lungct formats

README holds the same table, and a test builds and decodes a file for every row of it.
"""

from itertools import groupby

from lungct.pixels.acceptance import accepted_formats
from lungct_tools.commandline import make_parser
from lungct_tools.documents.markdown import tabulate


def format_table() -> str:
    """Return the table in Markdown; neighbours whose gray levels come about alike share a row."""
    rows = [
        (kind, "; ".join(dict.fromkeys(each.variant for each in group)), gray)
        for (kind, gray), group in groupby(accepted_formats(), key=lambda each: (each.format, each.gray))
    ]
    return tabulate(("format", "variant", "gray levels"), rows)


def main() -> int:
    make_parser(__doc__).parse_args()
    print(format_table())
    return 0
