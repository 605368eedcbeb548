"""Queries against brute force, and the shape of what they give."""

from __future__ import annotations

import contextlib
import os
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from peewee import Database

from aitap.record import new_id
from aitap.storage import models, newest, newest_sessions, queries, session_filters
from aitap.storage.database import open_database, transaction
from aitap.storage.kinds import recount
from aitap.storage.queries import Filter, QueryError
from tests import postgres

BEGIN = datetime(2026, 3, 1, 12, tzinfo=UTC)
USERS = [f"00000000-0000-7000-8000-00000000000{n}" for n in range(3)]
PROVIDERS = ["anthropic", "openai"]
NAMES = ["anthropic", "openai", "azure-eu"]
MODELS = ["claude-opus-4-8", "gpt-5.2", "gpt-5.2-mini", "Gpt-5.2"]
CLIENTS = ["Claude Code", "Codex", "Unknown", None]
SESSIONS = ["session-a", "session-b", "session-c", "a session: with 'quotes' % and _"]


def interception(**fields: Any) -> dict[str, Any]:
    return {
        "id": new_id(),
        "initiator_id": USERS[0],
        "api_key_id": None,
        "provider": "anthropic",
        "provider_name": "",
        "model": MODELS[0],
        "client": None,
        "session_id": SESSIONS[0],
        "thread_parent_id": None,
        "thread_root_id": None,
        "started_at": BEGIN,
        "ended_at": BEGIN + timedelta(seconds=3),
        "metadata": {},
        "api": "anthropic.messages",
        "method": "POST",
        "host": "api.example",
        "path": "/v1/messages",
        "http_version": "HTTP/2",
        "outcome": "completed",
        "purpose": "conversation",
        "capture": "metadata+prompt",
    } | fields


def session(session_id: str, initiator_id: str, members: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "session_id": session_id,
        "initiator_id": initiator_id,
        "client": members[0]["client"],
        "providers": sorted({member["provider"] for member in members}),
        "models": sorted({member["model"] for member in members}),
        "started_at": min(member["started_at"] for member in members),
        "last_active_at": min(member["started_at"] for member in members),
        "interceptions": len(members),
    }


def fill(rows: list[dict[str, Any]]) -> None:
    """Writes interceptions, and what the writer keeps of them: their kinds, and the sessions that ended ones make."""
    models.Interception.insert_many(rows).execute()
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in rows:
        if row["ended_at"] is not None:
            groups.setdefault((row["session_id"], row["initiator_id"]), []).append(row)
    models.Session.insert_many([session(*key, members) for key, members in groups.items()]).execute()
    database = models.Interception._meta.database
    with transaction(database):
        recount(database)


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def many(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Database, list[dict[str, Any]]]]:
    """A database of 600 rows with many equal times, and the rows as ``iter_interceptions`` must give them."""
    folder = tmp_path_factory.mktemp("many")
    url = f"sqlite:///{folder}/records.db" if request.param == "sqlite" else postgres.fresh()
    database = open_database(url, migrate=True)
    dice = random.Random(7)
    rows = [
        interception(
            initiator_id=dice.choice(USERS),
            provider=dice.choice(PROVIDERS),
            provider_name=dice.choice(NAMES),
            model=dice.choice(MODELS),
            client=dice.choice(CLIENTS),
            session_id=dice.choice(SESSIONS) + str(dice.randrange(20)),
            started_at=BEGIN + timedelta(hours=dice.randrange(40)),
            ended_at=dice.choice([BEGIN + timedelta(hours=50), None]),
        )
        for _ in range(600)
    ]
    fill(rows)
    yield database, sorted(rows, key=lambda row: (row["started_at"], row["id"]))
    database.close()


moments = st.integers(-2, 42).map(lambda hour: BEGIN + timedelta(hours=hour))
filters = st.builds(
    Filter,
    initiator_id=st.none() | st.sampled_from(USERS),
    provider=st.none() | st.sampled_from(PROVIDERS),
    provider_name=st.none() | st.sampled_from([*NAMES, "nobody"]),
    model=st.none() | st.sampled_from([*MODELS, "gpt"]),
    client=st.none() | st.sampled_from(["Claude Code", "Codex", "Unknown", "codex"]),
    session_id=st.none() | st.sampled_from([f"{name}{n}" for name in SESSIONS for n in range(3)]),
    started_after=st.none() | moments,
    started_before=st.none() | moments,
)


def matches(row: dict[str, Any], filter: Filter) -> bool:
    return (
        all(
            getattr(filter, name) in {None, row[name]}
            for name in ("initiator_id", "provider", "provider_name", "model", "session_id")
        )
        and filter.client in {None, row["client"] or "Unknown"}
        and (filter.started_after is None or row["started_at"] >= filter.started_after)
        and (filter.started_before is None or row["started_at"] <= filter.started_before)
    )


def ids(rows: Any) -> list[str]:
    return [row["id"] for row in rows]


@contextlib.contextmanager
def looking(window: int) -> Iterator[None]:
    """Of how many that are newest, or match, queries try each before they go another way."""
    with (
        patch.object(newest, "_WINDOW", window),
        patch.object(newest_sessions, "_WINDOW", window),
        patch.object(session_filters, "_RARE", window),
        patch.object(session_filters, "_NARROW", window),
    ):
        yield


windows = st.sampled_from([1, 40, 3000])
several = settings(max_examples=int(os.environ.get("AITAP_TEST_FILTERS", "130")), deadline=None)
"""A thousand on each database takes some minutes."""


@several
@given(filter=filters)
def test_any_filter_finds_what_a_scan_finds(many: tuple[Database, list[dict[str, Any]]], filter: Filter) -> None:
    database, rows = many
    wanted = [row for row in rows if matches(row, filter)]
    assert ids(queries.iter_interceptions(database, filter)) == ids(wanted)
    assert ids(queries.list_interceptions(database, filter, limit=1000)) == ids(reversed(wanted))
    assert queries.count_interceptions(database, filter) == len(wanted)
    assert queries.distinct_models(database, filter) == sorted({row["model"] for row in wanted})
    assert queries.distinct_clients(database, filter) == sorted({row["client"] or "Unknown" for row in wanted})
    assert queries.distinct_providers(database, filter) == sorted({row["provider"] for row in wanted})


@several
@given(filter=filters, window=windows, limit=st.integers(1, 60), offset=st.integers(0, 60))
def test_a_session_is_found_where_any_ended_interception_matches(
    many: tuple[Database, list[dict[str, Any]]], filter: Filter, window: int, limit: int, offset: int
) -> None:
    database, rows = many
    ended = [row for row in rows if row["ended_at"] is not None]
    wanted = {(row["session_id"], row["initiator_id"]) for row in ended if matches(row, filter)}
    with looking(window):
        found = queries.list_sessions(database, filter, limit=1000)
        assert queries.list_sessions(database, filter, limit=limit, offset=offset) == found[offset : offset + limit]
        assert len(found) == len(wanted) == queries.count_sessions(database, filter)
    assert {(row["id"], row["initiator_id"]) for row in found} == wanted
    assert [row["id"] for row in queries.iter_sessions(database, filter)] == [row["id"] for row in found][::-1]


@several
@given(filter=filters, limit=st.integers(7, 250), window=windows)
def test_pages_put_together_are_the_list(
    many: tuple[Database, list[dict[str, Any]]], filter: Filter, limit: int, window: int
) -> None:
    database, _ = many
    whole = ids(queries.list_interceptions(database, filter, limit=1000))
    paged: list[str] = []
    with looking(window):
        while page := queries.list_interceptions(database, filter, limit=limit, after_id=paged[-1] if paged else None):
            paged += ids(page)
    assert paged == whole


@several
@given(filter=filters, limit=st.integers(3, 60), user=st.sampled_from(USERS), window=windows)
def test_pages_of_sessions_put_together_are_the_list(
    many: tuple[Database, list[dict[str, Any]]], filter: Filter, limit: int, user: str, window: int
) -> None:
    database, _ = many
    mine = msgspec.structs.replace(filter, initiator_id=user)
    whole = ids(queries.list_sessions(database, mine, limit=1000))
    paged: list[str] = []
    with looking(window):
        while page := queries.list_sessions(database, mine, limit=limit, after_id=paged[-1] if paged else None):
            paged += ids(page)
    assert paged == whole
    assert len(set(paged)) == len(paged)


def test_distinct_values_by_prefix_are_case_sensitive(many: tuple[Database, list[dict[str, Any]]]) -> None:
    database, _ = many
    assert queries.distinct_models(database, Filter(), prefix="gpt-5.2") == ["gpt-5.2", "gpt-5.2-mini"]
    assert queries.distinct_clients(database, Filter(), prefix="Unk") == ["Unknown"]


def test_an_unknown_cursor_is_an_error(many: tuple[Database, list[dict[str, Any]]]) -> None:
    database, _ = many
    with pytest.raises(QueryError, match="not found"):
        queries.list_interceptions(database, Filter(), limit=1, after_id="0190")
    with pytest.raises(QueryError, match="not found"):
        queries.list_sessions(database, Filter(), limit=1, after_id="nowhere")


def test_a_cursor_that_two_users_share_asks_whose_it_is(database: Database) -> None:
    fill([interception(), interception(initiator_id=USERS[1])])
    with pytest.raises(QueryError, match="several users"):
        queries.list_sessions(database, Filter(), limit=1, after_id=SESSIONS[0])
    with pytest.raises(QueryError, match="several users"):
        queries.get_session(database, SESSIONS[0])
    found = queries.get_session(database, SESSIONS[0], USERS[1])
    assert found is not None
    assert found["initiator_id"] == USERS[1]


def test_children_are_inline_in_wire_order_and_unknown_is_none(database: Database) -> None:
    row = interception()
    fill([row])
    common = {"interception_id": row["id"], "provider_response_id": "", "metadata": None, "created_at": BEGIN}
    models.ToolUsage.insert_many(
        [common | {"id": new_id(), "tool": f"t{n}", "input": "", "kind": "function"} for n in range(5)]
    ).execute()
    models.UserPrompt.insert_many([common | {"id": new_id(), "prompt": "hi"}]).execute()
    (found,) = queries.list_interceptions(database, Filter(), limit=1)
    assert [usage["tool"] for usage in found["tool_usages"]] == ["t0", "t1", "t2", "t3", "t4"]
    assert found["tool_usages"][0]["provider_response_id"] is None
    assert found["tool_usages"][0]["injected"] is False
    assert found["tool_usages"][0]["input"] == ""
    assert found["user_prompts"][0]["created_at"] == "2026-03-01T12:00:00.000000+00:00"
    assert found["token_usages"] == []
    assert found["provider_name"] is None
    assert found["initiator"] == {"id": USERS[0], "username": None, "name": None, "avatar_url": None}
    assert "proxy_id" not in found
    assert msgspec.json.decode(msgspec.json.encode(found)) == found


def test_a_known_user_is_named(database: Database) -> None:
    fill([interception()])
    models.User.insert(id=USERS[0], username="ann", name="Ann", created_at=BEGIN).execute()
    (found,) = queries.list_interceptions(database, Filter(), limit=1)
    assert found["initiator"]["username"] == "ann"


def test_one_interception_by_id_beginning_or_end(database: Database) -> None:
    rows = [interception(id=f"019ab3de-6c1f-7d20-8a5e-000000{n}ab{n}") for n in range(10, 13)]
    fill(rows)
    for part in (rows[1]["id"], rows[1]["id"].upper(), "11ab11", "019ab3de6c1f7d208a5e00000011", "5e-00000011ab11"):
        found = queries.get_interception(database, part)
        assert found is not None, part
        assert found["id"] == rows[1]["id"]
    assert queries.get_interception(database, "ffffffff") is None
    assert queries.get_interception(database, "not an id") is None
    assert queries.get_interception(database, "019") is None
    with pytest.raises(QueryError, match="several"):
        queries.get_interception(database, "019ab3de")


def test_one_session_by_id_part_or_interception(database: Database) -> None:
    row = interception(session_id="abc%_def-0123456789")
    fill([row, interception(session_id="abcXYdef-9876543210")])
    for part in ("abc%_def-0123456789", "abc%_", "56789", row["id"], row["id"][-12:]):
        found = queries.get_session(database, part)
        assert found is not None, part
        assert found["id"] == row["session_id"]
    assert queries.get_session(database, "abc_") is None
    fill([interception(session_id="abc%_other")])
    with pytest.raises(QueryError, match="several sessions"):
        queries.get_session(database, "abc%_")


def test_tokens_of_a_session_without_any_usage_are_unknown(database: Database) -> None:
    fill([interception()])
    (found,) = queries.list_sessions(database, Filter(), limit=1)
    assert set(found["token_usage_summary"].values()) == {None}
    models.Session.update(input_tokens=5).execute()
    (found,) = queries.list_sessions(database, Filter(), limit=1)
    assert found["token_usage_summary"] == {
        "input_tokens": 5,
        "output_tokens": 0,
        "cache_read_input_tokens": 0,
        "cache_write_input_tokens": 0,
    }


def test_a_session_has_the_metadata_of_its_first_interception(database: Database) -> None:
    later = BEGIN + timedelta(seconds=9)
    fill([interception(started_at=later, metadata={"n": 2}), interception(metadata={"n": 1})])
    (found,) = queries.list_sessions(database, Filter(), limit=1)
    assert found["metadata"] == {"n": 1}


@pytest.mark.sqlite
def test_sessions_are_exported_while_the_writer_holds_its_lock(database: Database) -> None:
    fill([interception(session_id=f"s{n}") for n in range(3)])
    path = Path(database.database.split(":", 1)[1].split("?")[0].removeprefix("//"))
    reader = open_database(f"sqlite:///{path}", read_only=True)
    writer = open_database(f"sqlite:///{path}")
    try:
        with writer.atomic():
            assert len(list(queries.iter_sessions(reader, Filter()))) == 3
    finally:
        reader.close()
        writer.close()
