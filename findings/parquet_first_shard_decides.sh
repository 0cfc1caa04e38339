#!/usr/bin/env bash
# Believed: Parquet shards read together give the union of their columns, or an error, in any order.
# True:     the first shard decides. A column that only a later shard has is dropped without a word by pyarrow, pandas and
#           DuckDB, and stops Polars; the other way round DuckDB stops. A column that is all null in the first shard, written
#           without a type, stops pyarrow, DuckDB and Polars, and with the shards swapped all three read it.
# Version:  pyarrow 26.0.1, pandas 3.1.1, duckdb 2.0.1, polars 2.1.0
# Matters:  "error" is null in most shards: every shard of ours is written with one stated schema.
source "$(dirname "$0")/preamble"
packages pyarrow==26.0.1 pandas==3.1.1 duckdb==2.0.1 polars==2.1.0 numpy==2.4.6
venv/bin/python - <<'PY'
from importlib.metadata import version

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq

print(*(f"{p} {version(p)}" for p in ("pyarrow", "pandas", "duckdb", "polars")))
pq.write_table(pa.table({"id": [1]}), "short.parquet")
pq.write_table(pa.table({"id": [2], "error": pa.nulls(1)}), "null.parquet")
pq.write_table(pa.table({"id": [3], "error": ["corrupt_image"]}), "text.parquet")
readers = {"pyarrow": lambda files: ds.dataset(files).to_table().column_names,
           "pandas": lambda files: list(pd.read_parquet(files).columns),
           "DuckDB": lambda files: duckdb.sql(f"from read_parquet({files})").fetchall() and duckdb.sql(
               f"from read_parquet({files})").columns,
           "Polars": lambda files: pl.read_parquet(files).columns}

def told(read, *files):
    try:
        return "error" in read([f"{name}.parquet" for name in files])
    except Exception as error:  # each has a class of its own
        return type(error).__name__

seen = {order: {name: told(read, *order) for name, read in readers.items()}
        for order in (("short", "text"), ("text", "short"), ("null", "text"), ("text", "null"))}
for order, row in seen.items():
    print("then".join(f" {name} " for name in order), "- column error there: believed True; seen", row)
stopped = {order: {name for name, value in row.items() if isinstance(value, str)} for order, row in seen.items()}
dropped = {name for name, value in seen["short", "text"].items() if value is False}
raise SystemExit(not (dropped == {"pyarrow", "pandas", "DuckDB"} and stopped["short", "text"] == {"Polars"}
                      and stopped["text", "short"] == {"DuckDB", "Polars"} and not stopped["text", "null"]
                      and {"pyarrow", "DuckDB", "Polars"} <= stopped["null", "text"]))
PY
