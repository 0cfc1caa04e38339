"""The slice that probes have scored: drawn, the same at every start."""

from __future__ import annotations

from lungct_tools.phantom.anatomy import draw_slice
from lungct_tools.phantom.picture import write_png
from lungct_tools.server.instance import Instance


def draw_canary(instance: Instance) -> None:
    """Put the canary into the run folder; OSError where it cannot be written."""
    drawn = instance.canary.with_name("canary.new.png")
    drawn.unlink(missing_ok=True)
    write_png(draw_slice(5), drawn)
    drawn.replace(instance.canary)
