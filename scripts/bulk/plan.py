"""What all processes of a bulk run must agree on: the first one writes it, the others compare."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

from lungct_tools.bulk.place import Place, create, parse_place
from lungct_tools.folder.journal import JournalError
from lungct_tools.folder.scoring import Order

FILE = "run.json"


@dataclass(frozen=True)
class Plan:
    """What the rows of a run are made with.

    Attributes:
        model_sha256: of model.json, which vouches for every file of the model.
        manifest_sha256: as the manifest's head has it.
        shards: how many there are; with another number they would hold other files.
    """

    order: Order
    model_sha256: str
    manifest_sha256: str
    shards: int

    def keep(self, out: Place, manifest: Place) -> None:
        """Write the plan into `out`, unless it is there; JournalError when there is another one.

        `manifest` is noted beside it, for `read_plan`.
        """
        document = self._document() | {"manifest": str(manifest.resolve())}
        create(out / FILE, json.dumps(document, indent=1).encode("ascii"))
        found = read_plan(out)[0]._document()
        if changed := [name for name, value in self._document().items() if found[name] != value]:
            raise JournalError(
                f"{out} was begun with another {', '.join(changed)}; run it as it was begun, or name another OUT."
            )

    def _document(self) -> dict[str, Any]:
        own = asdict(self)
        return {**own.pop("order"), **own}


def read_plan(out: Place) -> tuple[Plan, Place]:
    """The plan of a run and its manifest; JournalError where there is none."""
    try:
        document = dict(json.loads((out / FILE).read_bytes()))
        manifest = parse_place(document.pop("manifest"))
        own = {name: document.pop(name) for name in ("model_sha256", "manifest_sha256", "shards")}
        return Plan(Order(**{**document, "classes": tuple(document["classes"])}), **own), manifest
    except OSError as error:
        raise JournalError(f"{out} holds no bulk run: {FILE}: {error.strerror}.") from None
    except (ValueError, TypeError, KeyError):
        raise JournalError(f"{out / FILE} is damaged; score into a new folder.") from None


def find_count(out: Place) -> int | None:
    """The number of shards that a run was begun with; None where none was."""
    try:
        return read_plan(out)[0].shards
    except JournalError:
        return None
