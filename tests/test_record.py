"""The record is a plain value whose names are those of the tables."""

from __future__ import annotations

import time
import uuid
from typing import Any

import msgspec
import pytest

from aitap import record
from aitap.storage import models

TABLES = [
    (record.Interception, models.Interception),
    (record.TokenUsage, models.TokenUsage),
    (record.UserPrompt, models.UserPrompt),
    (record.ToolUsage, models.ToolUsage),
    (record.ModelThought, models.ModelThought),
]
CHILDREN = {"token_usages", "user_prompts", "tool_usages", "model_thoughts"}
FILLED_BY_STORAGE = {"interception_id", "kind_id", "proxy_id"}


def test_an_id_is_a_version_7_uuid_of_now() -> None:
    before = int(time.time() * 1000)
    made = uuid.UUID(record.new_id())
    assert made.version == 7
    assert made.variant == uuid.RFC_4122
    assert before <= made.int >> 80 <= int(time.time() * 1000)
    assert str(made) == str(made).lower()


def test_ids_are_all_different_and_sort_by_the_time_they_were_made() -> None:
    ids = [record.new_id() for _ in range(2000)]
    assert len(set(ids)) == 2000
    stamps = [made[:13] for made in ids]
    assert stamps == sorted(stamps)


@pytest.mark.parametrize(("struct", "model"), TABLES)
def test_names_of_fields_are_names_of_columns(struct: type[msgspec.Struct], model: type[models.Table]) -> None:
    fields = set(struct.__struct_fields__) - CHILDREN - {"lineage", "wire", "contents"}
    assert fields == set(model._meta.fields) - FILLED_BY_STORAGE


@pytest.mark.parametrize(("struct", "model"), TABLES)
def test_what_may_be_unknown_may_be_null(struct: type[msgspec.Struct], model: type[models.Table]) -> None:
    """A field whose default is None has a column that takes null, and no other column does but metadata."""
    unknown = {field.name for field in msgspec.structs.fields(struct) if field.default is None}
    nullable = {name for name, field in model._meta.fields.items() if field.null}
    assert nullable - FILLED_BY_STORAGE == unknown | {"metadata"}


def test_two_records_share_nothing() -> None:
    values: dict[str, Any] = dict.fromkeys(("initiator_id", "provider", "provider_name", "model", "api"), "x")
    one, two = (
        record.Interception(**values, method="POST", host="h", path="/", http_version="HTTP/1.1", started_at=0.0)
        for _ in range(2)
    )
    one.metadata["a"] = 1
    one.lineage.history.append("b")
    one.user_prompts.append(record.UserPrompt(provider_response_id="", prompt="p", created_at=0.0))
    assert (two.metadata, two.lineage.history, two.user_prompts) == ({}, [], [])
    assert one.id != two.id


def test_a_derived_id_is_a_version_8_uuid_that_only_its_values_make() -> None:
    made = record.derived_id(1_795_000_000.25, b"digest..")
    found = uuid.UUID(made)
    assert (found.version, found.variant) == (8, uuid.RFC_4122)
    assert found.int >> 80 == 1_795_000_000_250
    assert made == record.derived_id(1_795_000_000.25, b"digest..")
    others = [(1_795_000_000.2501, b"digest.."), (1_795_000_000.25, b"Digest.."), (-5.0, b""), (1e12, b"\xff" * 64)]
    assert len({made, *(record.derived_id(at, digest) for at, digest in others)}) == 5


def test_derived_ids_sort_by_time_or_by_what_they_are_told() -> None:
    times = [0.0, 1.0, 1.0005, 1.001, 1_795_000_000.0, 1_795_000_000.0003]
    made = [record.derived_id(at, bytes([255 - number] * 8)) for number, at in enumerate(times)]
    assert made == sorted(made)
    ordered = [record.derived_id(1.0009, bytes([255 - number] * 8), number) for number in range(20)]
    assert ordered == sorted(ordered)
