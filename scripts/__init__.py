"""The tools around the core, in rooms by who uses them; `lungct` is the one command (`python -m lungct_tools`)."""

from pathlib import Path

TOOLS = Path(__file__).resolve().parent
ROOT = (
    TOOLS.parent
)  # of the checkout, or of what an image has in its place: config/, handler/ and model_store/ lie there
