"""In go a network input and its features, out come warnings, a referral, or a refusal of what is no chest slice."""

from lungct.gate.body import Body, outline
from lungct.gate.checks import GATE_OFF, NO_GATE, SMOOTH, UNLIKE, check_body, check_features, check_sharpness

__all__ = [
    "GATE_OFF",
    "NO_GATE",
    "SMOOTH",
    "UNLIKE",
    "Body",
    "check_body",
    "check_features",
    "check_sharpness",
    "outline",
]
