"""The counters of the front without TorchServe, under TorchServe's names, as config/metrics.yaml declares them."""

from __future__ import annotations

import platform
from pathlib import Path
from typing import Any

import yaml

MODEL, HOST = "Model", "Host"
FIXED = {"ModelName": "lung_ct", "model_name": "lung_ct", "model_version": "default"}


class Counters:
    """Series by name and labels. What is not declared is not taken."""

    def __init__(self, declared: Path) -> None:
        sections = yaml.safe_load(declared.read_text())
        self._labels: dict[str, list[str]] = {}
        self._fixed: dict[str, dict[str, str]] = {}
        for section, level in (("ts_metrics", HOST), ("model_metrics", MODEL)):
            for metric in sections[section]["counter"]:
                self._declare(metric, level)
        self._series: dict[tuple[str, ...], float] = {}

    def _declare(self, metric: dict[str, Any], level: str) -> None:
        fixed = {**FIXED, "Level": level, "Hostname": platform.node(), "hostname": platform.node()}
        names = metric["dimensions"]
        self._labels[metric["name"]] = [name for name in names if name not in fixed]
        self._fixed[metric["name"]] = {name: fixed[name] for name in names if name in fixed}
        if level == MODEL:  # TorchServe adds it to those of a model
            self._fixed[metric["name"]]["Hostname"] = fixed["Hostname"]

    def add(self, name: str, *values: str, by: float = 1) -> None:
        """Add to one series; ValueError for another number of labels than were declared.

        Args:
            values: of the labels that tell one series of the metric from another, in the order of the declaration.
        """
        if name not in self._labels:
            return
        if len(values) != len(self._labels[name]):
            raise ValueError(f"{name} has the labels {self._labels[name]}.")
        self._series[name, *values] = self._series.get((name, *values), 0) + by

    def show(self) -> str:
        """All series in Prometheus' text format."""
        lines = []
        for name in dict.fromkeys(name for name, *_ in self._series):
            lines.append(f"# TYPE {name} counter")
            for (owner, *values), value in self._series.items():
                if owner == name:
                    labels = dict(zip(self._labels[name], values, strict=True)) | self._fixed[name]
                    told = ",".join(f'{label}="{_escape(text)}"' for label, text in labels.items())
                    lines.append(f"{name}{{{told}}} {float(value)}")
        return "\n".join([*lines, ""])


def _escape(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
