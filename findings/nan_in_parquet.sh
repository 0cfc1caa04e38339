#!/usr/bin/env bash
# Believed: a NaN score is filtered out by "score > 0.5" and left out of a maximum, whatever reads the table.
# True:     DuckDB and Polars count NaN as greater than every number and keep the row, pyarrow and pandas drop it. DuckDB's
#           max(s) of the file is 0.9 when asked alone, from the file's statistics, and NaN when avg(s) is asked beside it.
# Version:  duckdb 2.0.1, polars 2.1.0, pyarrow 26.0.1, pandas 3.1.1
# Matters:  a slice without a score would be counted as suspicious by two readers of four: our tables hold null, never NaN.
source "$(dirname "$0")/preamble"
packages duckdb==2.0.1 polars==2.1.0 pyarrow==26.0.1 pandas==3.1.1 numpy==2.4.6
venv/bin/python - <<'PY'
from importlib.metadata import version

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

print(*(f"{p} {version(p)}" for p in ("duckdb", "polars", "pyarrow", "pandas")))
pq.write_table(pa.table({"id": [1, 2, 3, 4], "s": pa.array([0.1, 0.9, float("nan"), None], pa.float32())}), "t.parquet")
frame, table, data = pl.read_parquet("t.parquet"), pq.read_table("t.parquet"), pd.read_parquet("t.parquet")
over = {"DuckDB": [row[0] for row in duckdb.sql("select id from 't.parquet' where s > 0.5").fetchall()],
        "Polars": frame.filter(pl.col("s") > 0.5)["id"].to_list(),
        "pyarrow": table.filter(pc.field("s") > 0.5)["id"].to_pylist(), "pandas": data.query("s > 0.5")["id"].tolist()}
top = {"DuckDB, max alone": duckdb.sql("select max(s) from 't.parquet'").fetchall()[0][0],
       "DuckDB, max and avg": duckdb.sql("select max(s), avg(s) from 't.parquet'").fetchall()[0][0],
       "Polars": frame["s"].max(), "pyarrow": pc.max(table["s"]).as_py(), "pandas": float(data["s"].max())}
print("ids over 0.5: believed 2; seen", over)
print("maximum: believed 0.9; seen", top)
nan = {name for name, value in top.items() if value != value}
raise SystemExit(not (over == {"DuckDB": [2, 3], "Polars": [2, 3], "pyarrow": [2], "pandas": [2]}
                      and nan == {"DuckDB, max and avg"}))
PY
