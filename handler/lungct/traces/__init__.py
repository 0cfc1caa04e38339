"""In goes what became of a batch's requests and when, out come spans for a collector, if one was named."""

from lungct.traces.sender import Sender, open_sender
from lungct.traces.span import Call, read_stamp

__all__ = ["Call", "Sender", "open_sender", "read_stamp"]
