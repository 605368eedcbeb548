"""Records as rows of statements for many."""

from __future__ import annotations

from peewee import Database

from aitap.record import Interception
from aitap.storage.commit import Commits
from aitap.storage.database import rows_of
from tests.storage.making import T0, interception, prompt, tokens, tool

COUNT = 40


def whole(at: float) -> Interception:
    return interception(
        at, user_prompts=[prompt("hi", at)], token_usages=[tokens(at=at)], tool_usages=[tool(f"call {at}", at=at)]
    )


def test_what_is_known_of_a_record_is_stored_however_much_its_neighbours_say(database: Database) -> None:
    records = [whole(T0 + n) for n in range(COUNT)]
    for n, record in enumerate(records):
        record.metadata = {"n": n} if n % 2 else {}
        record.error_message = "" if n % 3 else None
        record.tool_usages[0].server_url = f"https://{n}.example" if n % 4 == 0 else None
    assert not Commits(database, None).commit(records)
    found = rows_of(
        database,
        "SELECT json_extract(i.metadata, '$.n'), i.error_message, t.server_url FROM aibridge_interceptions i "
        "JOIN aibridge_tool_usages t ON t.interception_id = i.id ORDER BY i.started_at",
    )
    assert [(number and int(number), *rest) for number, *rest in found] == [
        (record.metadata.get("n"), record.error_message, record.tool_usages[0].server_url) for record in records
    ]


def test_an_end_takes_away_what_only_the_start_said(database: Database) -> None:
    starts = [interception(T0 + n, None, metadata={"n": n}) for n in range(COUNT)]
    commits = Commits(database, None)
    commits.commit(starts)
    commits.commit([interception(start.started_at, id=start.id) for start in starts])
    assert rows_of(database, "SELECT count(*), count(metadata), count(ended_at) FROM aibridge_interceptions") == [
        (COUNT, 0, COUNT)
    ]


def test_a_child_that_is_there_already_costs_no_record(database: Database) -> None:
    first, *others = (whole(T0 + n) for n in range(COUNT))
    commits = Commits(database, None)
    commits.commit([first])
    rows_of(database, "DELETE FROM aibridge_interceptions")
    assert not commits.commit([first, *others])
    for table in ("aibridge_interceptions", "aibridge_tool_usages", "aibridge_user_prompts"):
        assert rows_of(database, f"SELECT count(*), count(DISTINCT id) FROM {table}") == [(COUNT, COUNT)]
