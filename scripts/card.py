"""MODEL_CARD.md, written from model.json so that no number in it can drift."""

from __future__ import annotations

from pathlib import Path

from lungct.model import ModelContract


def write_card(folder: Path, contract: ModelContract) -> None:
    """Write `folder`/MODEL_CARD.md."""
