#!/usr/bin/env bash
# Believed: rows whose decision is not "refer" are the same rows in every reader, by != as by "not in".
# True:     a row without a decision counts as such in pandas by both, in pyarrow by "not in" only, in DuckDB and Polars by
#           neither.
# Version:  duckdb 2.0.1, polars 2.1.0, pyarrow 26.0.1, pandas 3.1.1
# Matters:  a refused slice has no decision: who counts "not refer" as good counts it as reported. Ask for = 'report'.
source "$(dirname "$0")/preamble"
packages duckdb==2.0.1 polars==2.1.0 pyarrow==26.0.1 pandas==3.1.1 numpy==2.4.6
venv/bin/python - <<'PY'
from importlib.metadata import version

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

print(*(f"{p} {version(p)}" for p in ("duckdb", "polars", "pyarrow", "pandas")))
pq.write_table(pa.table({"d": ["report", None, "refer"]}), "t.parquet")
frame, data = pl.read_parquet("t.parquet"), pd.read_parquet("t.parquet")
seen = {"pandas": (int((data.d != "refer").sum()), int((~data.d.isin(["refer"])).sum())),
        "pyarrow": (pq.read_table("t.parquet", filters=[("d", "!=", "refer")]).num_rows,
                    pq.read_table("t.parquet", filters=[("d", "not in", ["refer"])]).num_rows),
        "DuckDB": tuple(len(duckdb.sql(f"from 't.parquet' where d {how}").fetchall()) for how in ("<> 'refer'", "not in ('refer')")),
        "Polars": (frame.filter(pl.col("d") != "refer").height, frame.filter(~pl.col("d").is_in(["refer"])).height)}
print("rows by != and by not in; believed: one pair for all; seen", seen)
raise SystemExit(not (seen == {"pandas": (2, 2), "pyarrow": (1, 2), "DuckDB": (1, 1), "Polars": (1, 1)}))
PY
