#!/usr/bin/env bash
# Believed: "score >= 0.9" on a float32 column gives the same rows everywhere, and the same by literal as by parameter.
# True:     a score of 0.9 is 0.89999998 as float32. DuckDB rounds a literal to float32 and keeps the row, and compares a
#           bound parameter as double and drops it; Polars and pandas keep it, pyarrow drops it.
# Version:  duckdb 2.0.1, polars 2.1.0, pyarrow 26.0.1, pandas 3.1.1
# Matters:  slices that sit on a threshold move in and out with the reader; a decision is stored, not computed again.
source "$(dirname "$0")/preamble"
packages duckdb==2.0.1 polars==2.1.0 pyarrow==26.0.1 pandas==3.1.1 numpy==2.4.6
venv/bin/python - <<'PY'
from importlib.metadata import version

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq

print(*(f"{p} {version(p)}" for p in ("duckdb", "polars", "pyarrow", "pandas")))
pq.write_table(pa.table({"s": pa.array([0.9], pa.float32())}), "t.parquet")
seen = {"DuckDB literal": len(duckdb.sql("from 't.parquet' where s >= 0.9").fetchall()),
        "DuckDB parameter": len(duckdb.execute("from 't.parquet' where s >= ?", [0.9]).fetchall()),
        "Polars": pl.scan_parquet("t.parquet").filter(pl.col("s") >= 0.9).collect().height,
        "pandas": int((pd.read_parquet("t.parquet")["s"] >= 0.9).sum()),
        "pyarrow": pq.read_table("t.parquet", filters=ds.field("s") >= 0.9).num_rows}
print("believed: one row everywhere; seen", seen)
raise SystemExit(not (list(seen.values()) == [1, 0, 1, 1, 0]))
PY
