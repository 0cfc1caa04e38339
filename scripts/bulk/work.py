"""The work of a bulk run as whoever starts its shards is told it: a command line, or a task somewhere else."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass
from pathlib import Path

from lungct.model.contract import CONTRACT
from lungct_tools.bulk.core import find_model, holding, open_model
from lungct_tools.bulk.manifest import Manifest
from lungct_tools.bulk.parts import Parts
from lungct_tools.bulk.place import Place
from lungct_tools.bulk.plan import Plan
from lungct_tools.bulk.scoring import score_shard
from lungct_tools.bulk.shard import Shard
from lungct_tools.folder.meter import Meter
from lungct_tools.folder.scoring import Order, Run
from lungct_tools.server.seal import read_hash


@dataclass(frozen=True)
class Work:
    """What is scored, with what, and where the rows go.

    Attributes:
        root: where the files of the manifest lie; None: where they lay when it was made.
        model: folder or archive; None: the one that ships where a shard is scored.
        threads: of decoding and network, for each shard.
        device: "cpu", or torch's name of a GPU.
        window: centre,width in HU, or None for the model's.
    """

    manifest: Place
    out: Place
    root: Place | None
    model: Path | None
    threads: int
    device: str
    window: str | None

    def score(self, shard: Shard, stop: threading.Event) -> Meter | None:
        """Do a shard, or what is missing of it; None when `stop` was set before the end.

        Raises:
            ManifestError, JournalError, ModelFolderError, ArchiveError, BucketError: these do not belong together, or
                cannot be used.
            BrokenError, ImportError, RuntimeError: nothing can be scored here.
        """
        manifest = Manifest(self.manifest, self.root)
        with holding(self.model or find_model(), self.threads, self.device) as core:
            order = Order.make(core.contract(), "none", self.window, uids=False)
            self.keep(Plan(order, core.model_sha256, manifest.header.sha256, shard.count))
            parts = Parts(self.out, manifest, shard.count)
            return score_shard(Run(manifest, parts, core, order, 1, stop, hashed=True), parts, shard)

    def plan(self, manifest: Manifest, shards: int) -> Plan:
        """What all shards must agree on, without an engine; who scores one proves the model."""
        with open_model(self.model or find_model()) as (place, _):
            order = Order.make(json.loads((place / CONTRACT).read_bytes()), "none", self.window, uids=False)
            return Plan(order, read_hash(place / CONTRACT), manifest.header.sha256, shards)

    def keep(self, plan: Plan) -> None:
        """Write the plan into OUT, unless it is there; JournalError when there is another one."""
        self.out.mkdir(parents=True, exist_ok=True)
        plan.keep(self.out, self.manifest)
