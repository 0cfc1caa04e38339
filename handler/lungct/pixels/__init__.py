"""In go a file's bytes and how it is to be read, out comes one gray slice with what was done to render it.

Nothing in here knows the network. Files whose decoding could crash or stall are read in child processes.
"""

from lungct.pixels import wire
from lungct.pixels.formats import EMPTY, find_text, is_known
from lungct.pixels.image import Slice, decode, measure
from lungct.pixels.reader import inflate, prove, warm
from lungct.pixels.rendering import Asked

__all__ = ["EMPTY", "Asked", "Slice", "decode", "find_text", "inflate", "is_known", "measure", "prove", "warm", "wire"]
