"""Interceptions in bulk are the ones that lists give, whole, whatever lies between them."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from peewee import Database

from aitap.record import ModelThought, TokenUsage, ToolUsage, UserPrompt
from aitap.storage import bulk
from aitap.storage.bulk import Bulk, as_dict
from aitap.storage.models import Interception
from aitap.storage.queries import Filter, list_interceptions
from tests.storage.making import ANN, BEN, T0, Recording, interception

NASTY = 'two\nlines, "quoted" \\ and \u2028 \U0001f600 \x01'


def told(number: int, **fields: Any) -> Any:
    """An interception with children of each kind, more of them the higher its number."""
    at = T0 + number
    some = range(number % 3)
    return interception(
        at,
        metadata={"purpose_reason": NASTY, "n": [1.5, 1e22, {}]} if number % 2 else {},
        token_usages=[
            TokenUsage(
                provider_response_id="", input_tokens=n, output_tokens=2, metadata={"thinking": n}, created_at=at + n
            )
            for n in some
        ],
        user_prompts=[UserPrompt(provider_response_id=f"msg_{number}", prompt=NASTY, created_at=at) for _ in some],
        tool_usages=[
            ToolUsage(provider_response_id="r", tool=f"Tool{n}", input="{}", injected=bool(n), created_at=at - n)
            for n in some
        ],
        model_thoughts=[ModelThought(provider_response_id="r", content=NASTY, created_at=at) for _ in some],
        **fields,
    )


@pytest.fixture
def listed(database: Database, recording: Recording, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What a list says of 23 interceptions of two users, which are read in bulk in pages of five; oldest first."""
    monkeypatch.setattr(bulk, "_PAGE", 5)
    records = [told(number, initiator_id=(ANN, BEN)[number % 2]) for number in range(23)]
    # Of one moment, so that only their ids tell where a page ends.
    for record in records[8:13]:
        record.started_at = T0 + 8
    recording.batch(*records)
    return list_interceptions(database, Filter(), limit=100)[::-1]


def test_they_are_byte_for_byte_what_lists_give(database: Database, listed: list[dict[str, Any]]) -> None:
    found = list(Bulk(database).all(Filter()))
    assert msgspec.json.encode(found) == msgspec.json.encode(listed)
    assert [as_dict(record) for record in found] == listed


def test_a_filter_that_leaves_out_every_other_gives_the_others_whole(
    database: Database, listed: list[dict[str, Any]]
) -> None:
    found = [as_dict(record) for record in Bulk(database).all(Filter(initiator_id=BEN))]
    assert found == [record for record in listed if record["initiator_id"] == BEN]


def test_ids_that_do_not_follow_the_time_cost_nobody_a_child(
    database: Database, recording: Recording, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was ingested late, or a clock that was wrong: a page's ids then span those of all others."""
    monkeypatch.setattr(bulk, "_PAGE", 4)
    records = [told(number) for number in range(40)]
    ids = sorted(record.id for record in records)
    for place, record in enumerate(records):
        record.id = ids[place * 17 % 40]
    recording.batch(*records)
    found = [as_dict(record) for record in Bulk(database).all(Filter())]
    assert found == list_interceptions(database, Filter(), limit=100)[::-1]
    assert sum(len(record["user_prompts"]) for record in found) == sum(number % 3 for number in range(40))


def test_those_asked_for_by_id_come_in_the_order_asked_for(database: Database, listed: list[dict[str, Any]]) -> None:
    wanted = [listed[place] for place in (7, 2, 11)]
    ids = [record["id"] for record in wanted]
    assert [as_dict(record) for record in Bulk(database).some([*ids, ids[0][:-4] + "0000"], Filter())] == wanted
    assert [record.id for record in Bulk(database).some(ids, Filter(initiator_id=BEN))] == [
        record["id"] for record in wanted if record["initiator_id"] == BEN
    ]


def test_metadata_that_another_program_wrote_is_made_compact(database: Database, recording: Recording) -> None:
    record = interception()
    recording.batch(record)
    text = '{ "a" : [1.50, "\\u00e9"],\n "b": {} }'
    database.execute(Interception.update(metadata=msgspec.json.decode(text)))
    if database.param == "?":
        database.execute_sql("UPDATE aibridge_interceptions SET metadata = ?", (text,))
    [found] = Bulk(database).all(Filter())
    assert bytes(found.metadata) == '{"a":[1.5,"é"],"b":{}}'.encode()


def test_nothing_is_nothing(database: Database) -> None:
    assert list(Bulk(database).all(Filter())) == []
    assert Bulk(database).some([], Filter()) == []
