#!/usr/bin/env bash
# Believed: the 0.5 quantile of a column is its median, and the 0.95 quantile the same number in every reader.
# True:     of 0.1 0.2 0.3 0.4 pandas says 0.25, Polars 0.3 and DuckDB's quantile 0.2, each by another rule; all three agree
#           on the median. Polars' interpolation="linear" and DuckDB's quantile_cont are pandas' rule.
# Version:  pandas 3.1.1, polars 2.1.0, duckdb 2.0.1
# Matters:  a limit such as "the sharpest 5 % of training" moves by a slice with the library that computed it.
source "$(dirname "$0")/preamble"
packages pandas==3.1.1 polars==2.1.0 duckdb==2.0.1 numpy==2.4.6
venv/bin/python - <<'PY'
from importlib.metadata import version

import duckdb
import pandas as pd
import polars as pl

print(*(f"{p} {version(p)}" for p in ("pandas", "polars", "duckdb")))
values = [0.1, 0.2, 0.3, 0.4]
table = "(select unnest([0.1, 0.2, 0.3, 0.4]::double[]) as s)"
duck = duckdb.sql(f"select quantile(s, 0.5), quantile_cont(s, 0.5), median(s) from {table}").fetchall()[0]
seen = {"pandas": pd.Series(values).quantile(0.5), "Polars": pl.Series(values).quantile(0.5), "DuckDB": duck[0],
        "Polars, linear": pl.Series(values).quantile(0.5, "linear"), "DuckDB, cont": duck[1],
        "medians": [pd.Series(values).median(), pl.Series(values).median(), duck[2]]}
print("believed: 0.25 everywhere; seen", seen)
raise SystemExit(not (list(seen.values()) == [0.25, 0.3, 0.2, 0.25, 0.25, [0.25] * 3]))
PY
