"""What is asked for by a provider's id, or by the end of ours, is found whatever its row's own id says of its age."""

from __future__ import annotations

import random
import time
from uuid import UUID

import pytest
from peewee import Database

from aitap.reconcile.recorded import calls_of_responses
from aitap.record import Interception, derived_id
from aitap.storage import memory as asking
from aitap.storage import queries
from aitap.storage.memory import Memory
from aitap.storage.spans import in_every_span, newest_first
from tests.storage.making import ANN, BEN, Recording, interception, rows, tokens, tool

DAY = 86_400.0
NOW = time.time()
MOMENTS = {
    "now": NOW,
    "some days ago": NOW - 4 * DAY,
    "a year ago": NOW - 365 * DAY,
    "the clock was not set": 0.0,
    "the clock was set wrong": NOW + 74 * 365 * DAY,
}


def made(version: int, at: float, dice: random.Random) -> str:
    """An id of this version, which says when it was made if it is 7 or 8."""
    if version == 4:
        return str(UUID(bytes=dice.randbytes(16), version=4))
    own = derived_id(at, dice.randbytes(8))
    return f"{own[:14]}{version}{own[15:]}"


def call(name: str, version: int, at: float, dice: random.Random, initiator: str = ANN) -> Interception:
    """A call of one tool, all of whose ids are of one version and moment."""
    usage, counts = tool(name, at=at), tokens(f"answer to {name}", at=at)
    usage.id, counts.id = made(version, at, dice), made(version, at, dice)
    own = made(version, at, dice)
    return interception(at, id=own, initiator_id=initiator, tool_usages=[usage], token_usages=[counts])


@pytest.mark.parametrize("moment", MOMENTS)
def test_every_id_is_found(recording: Recording, moment: str) -> None:
    dice = random.Random(moment)
    records = [call(f"call {version}", version, MOMENTS[moment], dice) for version in (4, 7, 8)]
    recording.batch(*records)
    for record in records:
        memory = Memory(recording.database, 20)
        [usage], [counts] = record.tool_usages, record.token_usages
        found = memory.of_call(ANN, usage.provider_tool_call_id or "")
        assert found is not None
        assert (found[0].id, found[1]) == (record.id, usage.id)
        node = Memory(recording.database, 20).of_response(ANN, counts.provider_response_id)
        assert node is not None
        assert node.id == record.id
        by_end = queries.get_interception(recording.database, record.id[-6:])
        assert by_end is not None
        assert by_end["id"] == record.id
    answers = [record.token_usages[0].provider_response_id for record in records]
    found_calls = calls_of_responses(recording.database, [*answers, "no answer"])
    assert {found.id for found in found_calls} == {record.id for record in records}


def test_of_many_it_is_the_newest_of_the_one_who_asks(recording: Recording) -> None:
    """The same calls of several people, some of them again and again over years, against all that there is."""
    dice = random.Random(7)
    # Ids of version 4 are of long ago: nothing makes them now.
    records = [
        call(f"call {dice.randrange(12)}", 4, NOW - dice.uniform(700, 900) * DAY, dice, dice.choice((ANN, BEN)))
        for _ in range(20)
    ]
    for _ in range(100):
        at = NOW - dice.choice((1, 10, 600)) * dice.random() * DAY
        records.append(call(f"call {dice.randrange(40)}", dice.choice((7, 8)), at, dice, dice.choice((ANN, BEN))))
    recording.batch(*records)
    memory = Memory(recording.database, 20)
    for initiator in (ANN, BEN):
        for number in range(41):
            name = f"call {number}"
            theirs = [
                record
                for record in records
                if record.initiator_id == initiator and record.tool_usages[0].provider_tool_call_id == name
            ]
            wanted = max(theirs, key=lambda record: record.started_at, default=None)
            found = memory.of_call(initiator, name)
            assert (found and found[0].id) == (wanted and wanted.id)
            node = memory.of_response(initiator, f"answer to {name}")
            assert (node and node.id) == (wanted and wanted.id)
    for number in range(41):
        named = {record.id for record in records if record.tool_usages[0].provider_tool_call_id == f"call {number}"}
        assert {found.id for found in calls_of_responses(recording.database, [f"answer to call {number}"])} == named


def test_an_end_that_several_have_is_told_whenever_they_were_made(recording: Recording) -> None:
    dice = random.Random(3)
    records = [interception(at, id=f"{made(7, at, dice)[:-4]}abcd") for at in MOMENTS.values()]
    recording.batch(*records)
    with pytest.raises(queries.QueryError, match="several"):
        queries.get_interception(recording.database, "abcd")


def plan(database: Database, sql: str, *parameters: str) -> list[str]:
    return [row[3] for row in rows(database, f"EXPLAIN QUERY PLAN {sql}", *parameters)]


@pytest.mark.sqlite
def test_no_table_is_read_whole(recording: Recording) -> None:
    database = recording.database
    asked = []
    for table, sql in (("aibridge_tool_usages", asking._BY_CALL), ("aibridge_token_usages", asking._BY_RESPONSE)):
        asked += [plan(database, sql.format(span=span), "x", ANN) for span in newest_first(database, table, "t")]
    span = in_every_span(database, "aibridge_interceptions")
    asked.append(plan(database, queries._BY_END.format(span=span), "abcd", "33", "abcd"))
    span = in_every_span(database, "aibridge_token_usages")
    asked.append(
        plan(database, f"SELECT id FROM aibridge_token_usages WHERE {span}provider_response_id IN (?, ?)", "x", "y")
    )
    for steps in asked:
        assert sum("_span_" in step for step in steps) == 3, steps
        assert {step for step in steps if step.startswith("SCAN")} == {"SCAN spans"}
