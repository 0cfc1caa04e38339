"""The Parquet table: what is not known is null, and scores are float32."""

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from lungct_tools.folder.parquet import write_parquet
from lungct_tools.folder.record import columns

CLASSES = ("Normal", "Benign", "Malignant")
SCORED = {"file": "a.png", "label": "Normal", "confidence": 0.9, "probabilities": {"Normal": 0.9, "Benign": 0.1}}
REFUSED = {"file": "b.txt", "error": "unsupported_format"}
FACTS = {"Reports": "nothing", "Not known": "all else"}


def test_scores_are_float32_and_a_refused_files_are_null_never_nan(tmp_path):
    write_parquet([SCORED, REFUSED], CLASSES, tmp_path / "t.parquet", FACTS)
    table = pq.read_table(tmp_path / "t.parquet")
    scores = ["confidence", *(name for name in columns(CLASSES) if name.startswith("probability_"))]
    assert len(scores) == 4
    for name in scores:
        column = table[name]
        assert column.type == pa.float32()
        assert column[1].as_py() is None
        assert not pc.any(pc.is_nan(column)).as_py()
    assert table["probability_Malignant"].null_count == 2
    assert table.schema.metadata[b"about_model"] == b"Reports: nothing | Not known: all else"


def test_every_portion_has_the_same_columns_even_one_of_refused_files_only(tmp_path):
    """Readers of several files go by the first one's columns."""
    for name, row in (("a", SCORED), ("b", REFUSED)):
        write_parquet([row], CLASSES, tmp_path / f"{name}.parquet", {})
    schemas = [pq.read_schema(tmp_path / f"{name}.parquet") for name in "ab"]
    assert schemas[0].equals(schemas[1])
