#!/usr/bin/env bash
# Believed: a JSON string is read as a string.
# True:     pandas' read_json turns a column of strings that look like numbers into numbers: "0012" becomes 12, "12E3" 12000,
#           and the last digits of a long accession number change. DuckDB, Polars and pyarrow leave strings alone.
# Version:  pandas 3.1.1, duckdb 2.0.1, polars 2.1.0, pyarrow 26.0.1
# Matters:  keys of patients and series are such strings; two become one, or none is found again. dtype=False keeps them.
source "$(dirname "$0")/preamble"
packages pandas==3.1.1 duckdb==2.0.1 polars==2.1.0 pyarrow==26.0.1 numpy==2.4.6
venv/bin/python - <<'PY'
import json
from importlib.metadata import version
from pathlib import Path

import duckdb
import pandas as pd
import polars as pl
import pyarrow.json

print(*(f"{p} {version(p)}" for p in ("pandas", "duckdb", "polars", "pyarrow")))
row = {"patient": "0012", "series": "12E3", "accession": "12345678901234567"}
Path("rows.jsonl").write_text(f"{json.dumps(row)}\n" * 2)
told = list(row.values())
seen = {"pandas": pd.read_json("rows.jsonl", lines=True).iloc[0].tolist(),
        "pandas, dtype=False": pd.read_json("rows.jsonl", lines=True, dtype=False).iloc[0].tolist(),
        "DuckDB": list(duckdb.sql("from 'rows.jsonl'").fetchall()[0]), "Polars": list(pl.read_ndjson("rows.jsonl").row(0)),
        "pyarrow": list(pyarrow.json.read_json("rows.jsonl").to_pylist()[0].values())}
print("believed:", told, "seen:", seen)
raise SystemExit(not (seen.pop("pandas")[:2] == [12, 12000] and all(values == told for values in seen.values())))
PY
