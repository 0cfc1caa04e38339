"""Headers as they are sent: an option by its header's name, values that HTTP can carry, and no key in any message."""

from __future__ import annotations

import re
from collections.abc import Mapping

from lungct_client.errors import HeaderError

VALUE = re.compile(r"[!-~](?:[ -~]*[!-~])?")  # printable ASCII without blanks at its ends (RFC 9110, 5.5)


def name_options(options: Mapping[str, object]) -> dict[str, str]:
    """Headers for options by their names in Python: heatmap_class="Benign" becomes X-Heatmap-Class: Benign.

    Raises:
        HeaderError: a value that no header can carry.
    """
    for name, value in options.items():
        if not VALUE.fullmatch(str(value)):
            raise HeaderError(f"{name} cannot be sent: it must be printable ASCII, with no blank at its ends.")
    return {"X-" + name.replace("_", "-").title(): str(value) for name, value in options.items()}


def check_key(key: str) -> str:
    """The key without the blanks and line ends around it, which files and clipboards add.

    Raises:
        HeaderError: what is left can be no key. The message does not repeat it.
    """
    stripped = key.strip()
    if not re.fullmatch("[!-~]+", stripped):
        told = "is empty" if not stripped else "holds blanks, line ends or letters that no key has"
        raise HeaderError(f"The key {told}; take it as `lungct key add` printed it.")
    return stripped
