"""What a client would rather have, by its Accept header."""

from __future__ import annotations

JSON = "application/json"
OFFERED = (JSON, "image/png", "image/jpeg")  # between equals the first is sent


def choose(accept: str) -> str:
    """The one of `OFFERED` that a client gives the highest quality; JSON where it names none of them.

    A range that names a type beats one with a star, whatever their qualities; quality 0 is a refusal. A quality that
    is no number is read as 1. See RFC 9110, 12.5.1.
    """
    ranges = dict(_read_range(part) for part in accept.split(",") if part.strip())

    def rate(offered: str) -> float:
        names = (offered, offered.partition("/")[0] + "/*", "*/*")
        return next((ranges[name] for name in names if name in ranges), 0.0)

    return max(OFFERED, key=rate)


def _read_range(part: str) -> tuple[str, float]:
    name, *parameters = (word.strip().lower() for word in part.split(";"))
    for parameter in parameters:
        key, _, value = parameter.partition("=")
        if key.strip() == "q":
            try:
                return name, min(1.0, max(0.0, float(value)))
            except ValueError:
                break
    return name, 1.0
