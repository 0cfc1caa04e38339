"""In go a network input and its features, out come warnings, a referral, or a refusal of what is no chest slice."""

from lungct.gate.body import Body, outline
from lungct.gate.checks import (
    COARSE,
    GATE_OFF,
    LITTLE_LUNG,
    NO_GATE,
    OTHER_SCAN,
    SMOOTH,
    UNKNOWN_SCAN,
    UNLIKE,
    check_body,
    check_colour,
    check_features,
    check_resolution,
    check_scan,
    check_sharpness,
    is_trusted,
)

__all__ = [
    "COARSE",
    "GATE_OFF",
    "LITTLE_LUNG",
    "NO_GATE",
    "OTHER_SCAN",
    "SMOOTH",
    "UNKNOWN_SCAN",
    "UNLIKE",
    "Body",
    "check_body",
    "check_colour",
    "check_features",
    "check_resolution",
    "check_scan",
    "check_sharpness",
    "is_trusted",
    "outline",
]
