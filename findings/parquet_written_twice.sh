#!/usr/bin/env bash
# Believed: writing a table to the same partitioned folder again replaces it.
# True:     pyarrow.parquet.write_to_dataset and pandas' to_parquet add files of new names: every row is there twice.
#           pyarrow.dataset.write_dataset refuses; Polars replaces.
# Version:  pyarrow 26.0.1, pandas 3.1.1, polars 2.1.0
# Matters:  a night's run that is repeated counts every slice twice, and a series gets its second vote.
source "$(dirname "$0")/preamble"
packages pyarrow==26.0.1 pandas==3.1.1 polars==2.1.0 numpy==2.4.6
venv/bin/python - <<'PY'
from importlib.metadata import version
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq

print(*(f"{p} {version(p)}" for p in ("pyarrow", "pandas", "polars")))
table = pa.table({"series": ["a", "b"], "score": [0.1, 0.9]})
writers = {"pyarrow.parquet": lambda place: pq.write_to_dataset(table, place, partition_cols=["series"]),
           "pandas": lambda place: table.to_pandas().to_parquet(place, partition_cols=["series"]),
           "Polars": lambda place: pl.from_arrow(table).write_parquet(f"{place}/", partition_by="series"),
           "pyarrow.dataset": lambda place: ds.write_dataset(table, place, format="parquet", partitioning=["series"])}

def rows(name, write):
    place = name.replace(".", "-")
    write(place)
    try:
        write(place)
    except pa.ArrowInvalid:
        return "refused"
    return sum(pq.read_metadata(file).num_rows for file in Path(place).rglob("*.parquet"))

seen = {name: rows(name, write) for name, write in writers.items()}
print("believed: 2 rows; seen", seen)
raise SystemExit(not (list(seen.values()) == [4, 4, 2, "refused"]))
PY
