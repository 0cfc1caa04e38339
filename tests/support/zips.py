"""ZIPs as people and programs pack them."""

import io
import zipfile


def pack(*members, how=zipfile.ZIP_STORED):
    """A ZIP of (name or ZipInfo, bytes)."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", how) as archive:
        for name, body in members:
            archive.writestr(name, body)
    return stream.getvalue()
