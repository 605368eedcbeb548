"""The ``q`` grammar, and that a filter made of it means what was written."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from peewee import Database

from aitap.storage import models
from aitap.storage.database import open_database
from aitap.storage.queries import Filter
from aitap.storage.search import KEYS, SearchError, filter_from, parse_moment, terms
from tests import postgres

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
ANN = "019ab3de-0000-7000-8000-000000000001"
LOCAL = ("019ab3de-0000-7000-8000-00000000000a", "local name")


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    folder = tmp_path_factory.mktemp("search")
    url = f"sqlite:///{folder}/records.db" if request.param == "sqlite" else postgres.fresh()
    database = open_database(url, migrate=True)
    models.User.insert(id=ANN, username="ann", created_at=NOW).execute()
    yield database
    database.close()


def made(database: Database, **values: str) -> Filter:
    return filter_from(values, database=database, me=lambda: LOCAL, now=NOW)


def quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


@given(st.dictionaries(st.sampled_from(KEYS), st.text(min_size=1), max_size=len(KEYS)))
def test_quoted_values_come_back_whatever_is_in_them(values: dict[str, str]) -> None:
    assert terms(" ".join(f"{key}:{quoted(value)}" for key, value in values.items()), "sessions") == values


@given(st.text())
def test_any_text_is_understood_or_refused_with_a_reason(text: str) -> None:
    try:
        found = terms(text, "interceptions")
    except SearchError as error:
        found = {}
        reason = error.detail
    else:
        reason = "none"
    assert reason
    assert set(found) <= set(KEYS)
    assert all(found.values())


@pytest.mark.parametrize(
    ("text", "kind", "found"),
    [
        ("", "sessions", {}),
        ("   ", "sessions", {}),
        ("model:gpt-5.2", "sessions", {"model": "gpt-5.2"}),
        ("MODEL:GPT", "sessions", {"model": "GPT"}),
        (
            '  client:"Claude Code"   provider:anthropic ',
            "sessions",
            {"client": "Claude Code", "provider": "anthropic"},
        ),
        ('"client:Claude Code"', "interceptions", {"initiator": "client:Claude Code"}),
        ('started_after:"2026-01-01T00:00:00Z"', "sessions", {"started_after": "2026-01-01T00:00:00Z"}),
        ('model:a"b c"d', "sessions", {"model": "ab cd"}),
        ("model:a\\b", "sessions", {"model": "a\\b"}),
        ('model:"C:\\dir"', "sessions", {"model": "C:\\dir"}),
        ("ann", "interceptions", {"initiator": "ann"}),
        ("gpt", "models", {"model": "gpt"}),
        ("Codex", "clients", {"client": "Codex"}),
        ("openai", "providers", {"provider": "openai"}),
        ("session_id:x ann", "interceptions", {"session_id": "x", "initiator": "ann"}),
    ],
)
def test_grammar(text: str, kind: str, found: dict[str, str]) -> None:
    assert terms(text, kind) == found  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "field", "words"),
    [
        ("model:a:b", "q", "can only contain 1 ':'"),
        ("started_after:2026-01-01T00:00:00Z", "q", "can only contain 1 ':'"),
        (":a", "q", "start or end with ':'"),
        ("model:", "q", "start or end with ':'"),
        ('model:""', "q", "start or end with ':'"),
        ("ann", "q", "no search key specified"),
        ("user:ann", "user", "unknown search key"),
        ("modle:x", "modle", "did you mean 'model'"),
        ("model:a model:b", "model", "more than once"),
        ('model:"a', "q", "not closed"),
    ],
)
def test_what_the_grammar_refuses(text: str, field: str, words: str) -> None:
    with pytest.raises(SearchError, match=words.replace("(", "\\(")) as caught:
        terms(text, "sessions")
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-01-01T00:00:00Z", datetime(2026, 1, 1, tzinfo=UTC)),
        ("2026-01-01t00:00:00z", datetime(2026, 1, 1, tzinfo=UTC)),
        ("2026-01-01T02:00:00.123456789+02:00", datetime(2026, 1, 1, 0, 0, 0, 123456, tzinfo=UTC)),
        ("0001-01-01T00:00:00Z", None),
        ("24h", NOW - timedelta(hours=24)),
        (" 7d ", NOW - timedelta(days=7)),
        ("2w", NOW - timedelta(weeks=2)),
    ],
)
def test_moments(text: str, moment: datetime | None) -> None:
    assert parse_moment(text, NOW) == moment


@pytest.mark.parametrize(
    "text", ["yesterday", "2026-01-01", "2026-01-01T00:00:00", "2026-13-01T00:00:00Z", "7", "99999999w"]
)
def test_what_is_no_moment(text: str) -> None:
    with pytest.raises(ValueError):
        parse_moment(text, NOW)


def test_an_initiator_is_me_an_id_or_a_name(database: Database) -> None:
    assert made(database, initiator="me").initiator_id == LOCAL[0]
    assert made(database, initiator=LOCAL[1]).initiator_id == LOCAL[0]
    assert made(database, initiator="ann").initiator_id == ANN
    assert made(database, initiator=ANN.upper()).initiator_id == ANN
    with pytest.raises(SearchError, match="initiator: user 'bob' does not exist"):
        made(database, initiator="bob")


def test_every_key_reaches_the_filter(database: Database) -> None:
    values = {
        "provider": "anthropic",
        "provider_name": "azure",
        "model": "m",
        "client": "c",
        "session_id": "s",
        "started_after": "2026-01-01T00:00:00Z",
        "started_before": "24h",
    }
    assert made(database, initiator="ann", **values) == Filter(
        initiator_id=ANN,
        provider="anthropic",
        provider_name="azure",
        model="m",
        client="c",
        session_id="s",
        started_after=datetime(2026, 1, 1, tzinfo=UTC),
        started_before=NOW - timedelta(hours=24),
    )


def test_a_range_that_ends_before_it_begins_is_refused(database: Database) -> None:
    with pytest.raises(SearchError) as caught:
        made(database, started_after="24h", started_before="24h")
    assert caught.value.field == "started_before"


def test_a_bad_time_names_its_key(database: Database) -> None:
    with pytest.raises(SearchError, match=r"^started_after: 'soon'"):
        made(database, started_after="soon")
