"""Parquet holds what the other formats hold, in columns that have their types."""

from __future__ import annotations

import io
import json
import sys
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from aitap.export import parquet
from aitap.export.parquet import parquet_pieces, schema_of
from aitap.storage.rows import CHILDREN, INTERCEPTION
from tests.export.conftest import Invoke


def as_json(value: Any) -> Any:
    """A value as the other formats have it: times as text."""
    if isinstance(value, dict):
        return {name: json.loads(v) if name == "metadata" and v else as_json(v) for name, v in value.items()}
    if isinstance(value, list):
        return [as_json(item) for item in value]
    return value.isoformat("T", "microseconds") if hasattr(value, "isoformat") else value


@pytest.mark.parametrize("what", ["interceptions", "sessions"])
def test_it_holds_the_same_records_as_jsonl(what: str, invoke: Invoke) -> None:
    table = pq.read_table(io.BytesIO(invoke("export", what, "--format", "parquet").stdout_bytes))
    lines = [json.loads(line) for line in invoke("export", what).stdout.splitlines()]
    assert as_json(table.to_pylist()) == lines
    assert set(table.column_names) == set(lines[0])


def test_children_are_lists_of_structures_with_types() -> None:
    schema = schema_of("interceptions")
    assert set(schema.names) == {*INTERCEPTION.names, "initiator", *CHILDREN}
    usages = schema.field("token_usages").type
    assert pa.types.is_list(usages)
    assert usages.value_type.field("input_tokens").type == pa.int64()
    assert usages.value_type.field("created_at").type == pa.timestamp("us", "UTC")
    assert schema.field("streaming").type == pa.bool_()


def test_row_groups_are_bounded(invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parquet, "_AT_ONCE", 2)
    monkeypatch.setattr(parquet, "_ROWS", 4)
    records = [json.loads(line) for line in invoke("export").stdout.splitlines()]
    file = pq.ParquetFile(io.BytesIO(b"".join(parquet_pieces(records, "interceptions"))))
    assert [file.metadata.row_group(n).num_rows for n in range(file.num_row_groups)] == [4, 4, 4, 2]
    monkeypatch.setattr(parquet, "_BYTES", 1)
    file = pq.ParquetFile(io.BytesIO(b"".join(parquet_pieces(records, "interceptions"))))
    assert file.num_row_groups == 7


def test_messages_have_a_shape_too() -> None:
    schema = schema_of("sessions", contents=True)
    assert schema.field("messages").type.value_type.field("content").type == pa.string()


def test_a_missing_package_is_one_line_that_names_the_extra(invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "aitap.export.parquet")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert "pip install 'aitap[parquet]'" in invoke("export", "-o", "all.parquet", status=1).stderr
