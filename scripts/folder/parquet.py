"""Rows as a Parquet file, written in portions so that memory does not grow with the run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from lungct import NOTICE
from lungct_tools.folder.modelfacts import tell_once
from lungct_tools.folder.record import AFTER, BEFORE, Row, probability_column
from lungct_tools.server.runfolder import open_fresh

PORTION = 5000  # rows


def make_schema(classes: Sequence[str], facts: Mapping[str, str]) -> pa.Schema:
    """A column a class as float32, warnings as a list, the rest as text.

    The file's metadata holds the notice, and the facts of the model.
    """
    kinds = {"confidence": pa.float32(), "warnings": pa.list_(pa.string())}
    before = [(name, kinds.get(name, pa.string())) for name in BEFORE]
    shares = [(probability_column(name), pa.float32()) for name in classes]
    after = [(name, kinds.get(name, pa.string())) for name in AFTER]
    return pa.schema([*before, *shares, *after], metadata={"notice": NOTICE, **tell_once(facts)})


def write_parquet(rows: Iterable[Row], classes: Sequence[str], path: Path, facts: Mapping[str, str]) -> None:
    """Write all rows; what a refused file lacks is null, never NaN, which readers filter and order differently."""
    schema = make_schema(classes, facts)
    pending = iter(rows)
    new = path.with_name(f"{path.name}.new")
    with open_fresh(new) as file, pq.ParquetWriter(file, schema) as writer:
        while portion := [_as_columns(row, classes) for row in islice(pending, PORTION)]:
            writer.write_table(pa.Table.from_pylist(portion, schema))
    new.replace(path)


def _as_columns(row: Row, classes: Sequence[str]) -> Row:
    shares = row.get("probabilities", {})
    return {**row, **{probability_column(name): shares.get(name) for name in classes}}
