"""Print README's table of accepted files in Markdown, from the code that accepts them.

    lungct formats

README holds the same table, and a test builds and decodes a file for every row of it.
"""

from lungct.pixels.acceptance import accepted_formats
from lungct_tools.commandline import make_parser
from lungct_tools.documents.markdown import tabulate


def format_table() -> str:
    """Return the table in Markdown."""
    return tabulate(("format", "variant", "gray levels"), accepted_formats())


def main() -> int:
    make_parser(__doc__).parse_args()
    print(format_table())
    return 0
