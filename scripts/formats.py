"""Print README's table of accepted files in Markdown, from the code that accepts them.

    python scripts/formats.py

README holds the same table, and a test builds and decodes a file for every row of it.
"""

from lungct.pixels.acceptance import accepted_formats
from scripts.instance import make_parser
from scripts.markdown import tabulate


def format_table() -> str:
    """Return the table in Markdown."""
    return tabulate(("format", "variant", "gray levels"), accepted_formats())


if __name__ == "__main__":
    make_parser(__doc__).parse_args()
    print(format_table())
