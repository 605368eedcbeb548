"""A database of an older version keeps what it holds when it is brought to a newer one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from peewee import Database
from playhouse.migrations import Runner

from aitap.record import new_id
from aitap.storage import daily
from aitap.storage import database as opening
from aitap.storage.budget_status import budget_status
from aitap.storage.budgets import budgets_version, set_budget
from aitap.storage.checks import findings
from aitap.storage.database import execute_many, rows_of, transaction
from aitap.storage.fields import timestamp_text
from aitap.storage.homes import home_of
from aitap.storage.long_sessions import far
from tests import postgres
from tests.storage.making import ANN, BEN, T0

Older = Callable[[str], Database]

INTERCEPTION = {
    "initiator_id": ANN,
    "provider": "anthropic",
    "provider_name": "anthropic",
    "model": "m",
    "session_id": "s",
    "started_at": timestamp_text(T0),
    "ended_at": timestamp_text(T0 + 1),
    "credential_kind": "centralized",
    "credential_hint": "",
    "api": "anthropic.messages",
    "method": "POST",
    "host": "api.anthropic.com",
    "path": "/",
    "http_version": "HTTP/1.1",
    "streaming": False,
    "request_bytes": 0,
    "response_bytes": 0,
    "outcome": "completed",
    "purpose": "conversation",
    "capture": "minimal",
}


@pytest.fixture(params=["sqlite", "postgresql"])
def older(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Older]:
    """Makes a database whose last migration is the one that is named."""
    url = f"sqlite:///{tmp_path}/a.db" if request.param == "sqlite" else postgres.fresh(empty=True)
    made: list[Database] = []

    def make(last: str) -> Database:
        home = home_of(url)
        home.prepare(create=True)
        database = home.connect(read_only=False)
        made.append(database)
        with transaction(database):
            Runner(database, str(opening._MIGRATIONS), opening._LEDGER).up(last)
        return database

    yield make
    for database in made:
        database.close()
    if request.param == "postgresql":
        postgres.drop(url)


def upgrade(database: Database, name: str) -> None:
    with transaction(database):
        assert Runner(database, str(opening._MIGRATIONS), opening._LEDGER).up(name) == [name]


def insert(database: Database, table: str, **values: Any) -> None:
    sql = f"INSERT INTO {table} ({', '.join(values)}) VALUES {opening.question_marks(len(values))}"
    execute_many(database, sql, [tuple(values.values())])


def test_0003_counts_what_was_recorded_before(older: Older) -> None:
    """Ended interceptions have their hosts after the upgrade; what has not ended is counted when it does."""
    database = older("0002_contents")
    for number, client in enumerate((None, "Codex", "Codex")):
        at = timestamp_text(T0 + number)
        insert(
            database,
            "aibridge_interceptions",
            **(INTERCEPTION | {"id": new_id(), "client": client, "started_at": at}),
        )
    insert(database, "aibridge_interceptions", **(INTERCEPTION | {"id": new_id(), "ended_at": None}))
    upgrade(database, "0003_hosts")
    found = "SELECT host, mode, client, first_seen, last_seen, interceptions FROM aitap_hosts ORDER BY client"
    assert rows_of(database, found) == [
        ("api.anthropic.com", "decrypted", "", timestamp_text(T0), timestamp_text(T0), 1),
        ("api.anthropic.com", "decrypted", "Codex", timestamp_text(T0 + 1), timestamp_text(T0 + 2), 2),
    ]


def test_0004_keeps_hosts_and_users(older: Older) -> None:
    """What was counted stays counted, without an address and with nothing tunnelled; users are known from here."""
    database = older("0003_hosts")
    seen = {"first_seen": timestamp_text(T0), "last_seen": timestamp_text(T0 + 1)}
    for initiator, client, count in ((ANN, "Codex", 7), (ANN, "", 1), (BEN, "Codex", 2)):
        insert(
            database,
            "aitap_hosts",
            host="api.openai.com",
            mode="decrypted",
            provider="openai",
            provider_name="openai",
            initiator_id=initiator,
            client=client,
            interceptions=count,
            **seen,
        )
    insert(database, "users", id=ANN, username="ann", name="Ann", deleted=False, created_at=timestamp_text(T0))
    before = rows_of(database, "SELECT * FROM aitap_hosts ORDER BY initiator_id, client")
    upgrade(database, "0004_access")
    old = "host, mode, provider, provider_name, initiator_id, client, first_seen, last_seen, interceptions"
    assert rows_of(database, f"SELECT {old} FROM aitap_hosts ORDER BY initiator_id, client") == before
    new = "client_address, connections, bytes_sent, bytes_received, refusals, error"
    assert rows_of(database, f"SELECT DISTINCT {new} FROM aitap_hosts") == [("", 0, 0, 0, 0, "")]
    assert rows_of(database, "SELECT id, username, name, source FROM users") == [(ANN, "ann", "Ann", "local")]
    assert rows_of(database, "SELECT name, version FROM aitap_changes") == [("access", 0), ("contents", 0)]
    assert "aitap_hosts_before" not in database.get_tables()


def test_0005_sums_up_what_was_recorded_before(older: Older) -> None:
    """Days have what their ended interceptions say, all of it without a price; sessions know how much has none."""
    database = older("0004_access")
    child = {"provider_response_id": "msg", "created_at": timestamp_text(T0)}
    counters = {"input_tokens": 3, "output_tokens": 4, "cache_read_input_tokens": 5, "cache_write_input_tokens": 6}
    for number, facts in enumerate(
        (
            {},
            {"client": "Codex"},
            {"outcome": "failed"},
            {"path": "/v1/messages/count_tokens"},
            {"metadata": '{"agent":"Explore"}'},
            {"started_at": timestamp_text(T0 + 86400)},
            {"ended_at": None},
        )
    ):
        own = {"id": new_id()}
        insert(database, "aibridge_interceptions", **(INTERCEPTION | own | facts))
        belonging = {**child, "interception_id": own["id"]}
        for _ in range(number % 3):
            insert(database, "aibridge_token_usages", **belonging, **counters, id=new_id())
            insert(
                database, "aibridge_tool_usages", **belonging, id=new_id(), tool="t", input="", injected=False, kind=""
            )
        insert(database, "aibridge_user_prompts", **belonging, id=new_id(), prompt="hi")
    session = {
        "session_id": "s",
        "initiator_id": ANN,
        "providers": "[]",
        "models": "[]",
        "started_at": timestamp_text(T0),
    }
    sums = dict.fromkeys(("interceptions", "threads", "prompts", "tool_calls", "errors", *counters), 0)
    insert(database, "aitap_sessions", **session, **sums, last_active_at=timestamp_text(T0))
    upgrade(database, "0005_usage")
    names = ", ".join((*daily.KEY, *daily.SUMS))
    found = rows_of(database, f"SELECT {names} FROM aitap_daily_usage")
    size = len(daily.KEY)
    assert {tuple(map(str, row[:size])): list(row[size:]) for row in found} == daily.sums_of_rows(
        database, daily.KEY, "1 = 1", ()
    )
    for table in ("aitap_daily_usage", "aitap_monthly_usage"):
        assert rows_of(database, f"SELECT sum(usages), sum(unpriced), sum(prompts) FROM {table}") == [(6, 6, 5)]
    assert rows_of(database, "SELECT DISTINCT month FROM aitap_monthly_usage") == [("2026-11",)]
    assert rows_of(database, "SELECT unpriced, cost_micros FROM aitap_sessions") == [(6, 0)]


def test_0006_makes_everybody_a_user(older: Older) -> None:
    """Nobody sees more than before; nothing was read yet."""
    database = older("0005_usage")
    insert(database, "users", id=ANN, username="ann", name="Ann", deleted=False, created_at=timestamp_text(T0))
    upgrade(database, "0006_audit")
    assert rows_of(database, "SELECT username, role FROM users") == [("ann", "user")]
    assert rows_of(database, "SELECT count(*) FROM aitap_audit") == [(0,)]


def test_0007_limits_nobody(older: Older) -> None:
    """There are no groups and no budgets yet, and what was used stays known: it counts from the first one on."""
    database = older("0006_audit")
    key = {"initiator_id": ANN, "provider": "p", "provider_name": "p", "model": "m", "client": "", "purpose": ""}
    for table, span in (("aitap_daily_usage", {"day": "2026-11-18"}), ("aitap_monthly_usage", {"month": "2026-11"})):
        insert(database, table, **span, **key, credential_kind="", **dict.fromkeys(daily.SUMS, 3))
    upgrade(database, "0007_budgets")
    for table in ("aitap_groups", "aitap_group_members", "aitap_budgets", "aitap_budget_notices"):
        assert rows_of(database, f"SELECT count(*) FROM {table}") == [(0,)]
    set_budget(database, "everybody", "", period="month", unit="usd", amount=6)
    assert budgets_version(database) == 1
    [told] = budget_status(database, date(2026, 11, 20))
    assert (told["spent"], told["percent"]) == (3, 50)


def test_0011_makes_readings_no_acts(older: Older) -> None:
    """What was read stays as it was, with nothing done in it."""
    database = older("0010_sums")
    line = {"id": new_id(), "read_at": timestamp_text(T0), "reader_id": ANN, "address": "", "subject_id": BEN}
    insert(database, "aitap_audit", **line, path="/p", query="", records=3)
    before = rows_of(database, "SELECT * FROM aitap_audit")
    upgrade(database, "0011_administration")
    assert [row[: len(before[0])] for row in rows_of(database, "SELECT * FROM aitap_audit")] == before
    assert rows_of(database, "SELECT action, detail FROM aitap_audit") == [(None, None)]


def test_0009_chains_nothing_by_itself(older: Older) -> None:
    """What was recorded before stays as it is; it is in no block, and no export waits for what ends."""
    database = older("0008_scale")
    insert(database, "aibridge_interceptions", **(INTERCEPTION | {"id": new_id()}))
    before = rows_of(database, "SELECT * FROM aibridge_interceptions")
    upgrade(database, "0009_evidence")
    assert rows_of(database, "SELECT * FROM aibridge_interceptions") == before
    for table in ("aitap_evidence", "aitap_endings", "aitap_exports"):
        assert rows_of(database, f"SELECT count(*) FROM {table}") == [(0,)]
    assert rows_of(database, "SELECT version FROM aitap_changes WHERE name = 'endings'") == [(0,)]


def test_0012_counts_the_sessions_there_are(older: Older) -> None:
    """Each once for all that can be asked for, on the days on which it began and ended; a client not known is one."""
    database = older("0011_administration")
    kinds = [("m", "Codex"), ("m", ""), ("n", "Unknown")]
    for number, (model, client) in enumerate(kinds):
        kind: dict[str, Any] = {
            "id": number + 1,
            "initiator_id": ANN,
            "provider": "p",
            "provider_name": "p",
            "model": model,
        }
        insert(database, "aitap_kinds", **kind, client=client, interceptions=2)
        # The first session has two kinds, on two days each; the second has the third.
        session = {"session_id": f"s{number // 2}", "initiator_id": ANN, "kind_id": number + 1, "interceptions": 2}
        first, last = (timestamp_text(T0 + (number + days) * 86400) for days in (0, 1))
        insert(database, "aitap_session_kinds", **session, first_at=first, last_at=last)
    upgrade(database, "0012_session_days")
    sums = "SELECT sum(began), sum(ended) FROM aitap_session_days WHERE asked = {} AND {}"
    for asked, which, count in (
        (0, "TRUE", 2),
        (4, "model = 'm'", 1),
        (8, "client = 'Unknown'", 2),
        (12, "client = 'Unknown' AND model = 'n'", 1),
    ):
        assert rows_of(database, sums.format(asked, which)) == [(count, count)]
    days = "SELECT day - (SELECT min(day) FROM aitap_session_days), began, ended FROM aitap_session_days"
    assert rows_of(database, f"{days} WHERE asked = 4 AND model = 'm' ORDER BY 1") == [(0, 1, 0), (2, 0, 1)]
    assert not any(problem.table == "aitap_session_days" for problem in findings(database))


def test_0013_takes_the_indexes_of_random_keys_from_files(older: Older) -> None:
    """Those with the span before the key are in their place; PostgreSQL keeps its own."""
    database = older("0012_session_days")
    before = rows_of(database, "SELECT * FROM aibridge_tool_usages")
    upgrade(database, "0013_spans")
    assert rows_of(database, "SELECT * FROM aibridge_tool_usages") == before
    tables = ("aibridge_interceptions", "aibridge_token_usages", "aibridge_tool_usages")
    names = {index.name for table in tables for index in database.get_indexes(table)}
    keys = {"aibridge_interceptions_id_end", "aibridge_token_usages_provider_response_id"}
    keys.add("aibridge_tool_usages_provider_tool_call_id")
    spans = {f"{table}_span_{what}" for table, what in zip(tables, ("end", "response", "call"), strict=True)}
    assert names & (keys | spans) == (spans if database.param == "?" else keys)


def test_0014_has_the_sessions_that_went_over_a_midnight_in_an_index(older: Older) -> None:
    """By how far they went; of those that did not, nothing."""
    database = older("0013_spans")
    sums = dict.fromkeys(("interceptions", "threads", "prompts", "tool_calls", "errors"), 0)
    for number, days in enumerate((0, 1, 40, 400)):
        begin, end = timestamp_text(T0), timestamp_text(T0 + 86400 * days + 1)
        moments = {"started_at": begin, "ended_at": end, "last_active_at": end}
        counters = ("input_tokens", "output_tokens", "cache_read_input_tokens", "cache_write_input_tokens")
        rest = {"initiator_id": ANN, "providers": "[]", "models": "[]", **sums, **dict.fromkeys(counters, 0)}
        insert(database, "aitap_sessions", session_id=f"s{number}", **moments, **rest)
    upgrade(database, "0014_long_sessions")
    how_far = far(database)
    sql = f"SELECT session_id, {how_far} FROM aitap_sessions WHERE {how_far} IS NOT NULL ORDER BY 1"
    assert rows_of(database, sql) == [("s1", 1), ("s2", 2), ("s3", 3)]
    assert "aitap_sessions_far" in {index.name for index in database.get_indexes("aitap_sessions")}
