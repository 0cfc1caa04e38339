#!/usr/bin/env bash
# Believed: a sum of an int32 column has room for its result, in Polars as in the others.
# True:     Polars widens 8 and 16 bits, and wraps 32 bits without a word; DuckDB, pyarrow and pandas widen.
# Version:  polars 2.1.0, duckdb 2.0.1, pyarrow 26.0.1, pandas 3.1.1
# Matters:  bytes or pixels of a night's folder pass two billion: counts in our tables are int64.
source "$(dirname "$0")/preamble"
packages polars==2.1.0 duckdb==2.0.1 pyarrow==26.0.1 pandas==3.1.1 numpy==2.4.6
venv/bin/python - <<'PY'
from importlib.metadata import version

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

print(*(f"{p} {version(p)}" for p in ("polars", "duckdb", "pyarrow", "pandas")))
pq.write_table(pa.table({"n": pa.array([2**31 - 1] * 3, pa.int32()), "b": pa.array([200] * 3, pa.uint8())}), "t.parquet")
frame = pl.read_parquet("t.parquet")
seen = {"Polars": frame["n"].sum(), "DuckDB": int(duckdb.sql("select sum(n) from 't.parquet'").fetchall()[0][0]),
        "pyarrow": pc.sum(pq.read_table("t.parquet")["n"]).as_py(), "pandas": int(pd.read_parquet("t.parquet")["n"].sum())}
print("believed: 6442450941; seen", seen, "- uint8 in Polars", frame["b"].sum())
raise SystemExit(not (seen.pop("Polars") == 2**31 - 3 and set(seen.values()) == {3 * (2**31 - 1)} and frame["b"].sum() == 600))
PY
