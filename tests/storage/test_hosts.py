"""Which hosts were seen, by whom, how often."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from peewee import SqliteDatabase

from aitap.storage import database as opening
from aitap.storage.database import rows_of
from aitap.storage.filters import Filter
from aitap.storage.hosts import list_hosts
from aitap.storage.recovery import mark_interrupted
from aitap.storage.retention import prune
from aitap.storage.writer import Writer
from tests.storage.making import ANN, BEN, T0, interception


def write(writer: Writer, *records: Any) -> None:
    for record in records:
        writer.submit(record)
    assert writer.flush(10)


def told(database: SqliteDatabase, **wanted: Any) -> list[tuple[Any, ...]]:
    return [(row["host"], row["interceptions"]) for row in list_hosts(database, Filter(**wanted))]


def test_a_host_is_told_once_with_all_that_was_seen_of_it(database: SqliteDatabase, writer: Writer) -> None:
    write(writer, interception(T0, client="Codex"), interception(T0 + 5, client=None, initiator_id=BEN))
    write(writer, interception(T0 + 9, client="Codex", provider="other", provider_name="newer"))
    (host,) = list_hosts(database, Filter())
    assert {name: host[name] for name in ("host", "mode", "provider", "provider_name", "interceptions")} == {
        "host": "api.anthropic.com",
        "mode": "decrypted",
        "provider": "other",
        "provider_name": "newer",
        "interceptions": 3,
    }
    assert set(host["clients"]) == {"Codex", "Unknown"}
    assert {user["id"] for user in host["users"]} == {ANN, BEN}
    first, last = (datetime.fromisoformat(host[name]).timestamp() for name in ("first_seen", "last_seen"))
    assert (first, last) == (T0, T0 + 9)


def test_hosts_of_unknown_providers_come_first_then_the_newest(database: SqliteDatabase, writer: Writer) -> None:
    write(
        writer,
        interception(T0, host="llm.example.com", provider="unknown"),
        interception(T0 + 1, host="a.example.com"),
        interception(T0 + 2, host="b.example.com"),
    )
    assert told(database) == [("llm.example.com", 1), ("b.example.com", 1), ("a.example.com", 1)]


def test_filters_choose_what_was_seen(database: SqliteDatabase, writer: Writer) -> None:
    write(writer, interception(T0, client="Codex"), interception(T0 + 100, client=None, host="b", initiator_id=BEN))
    at = datetime.fromtimestamp(T0 + 50, UTC)
    first, second = [("api.anthropic.com", 1)], [("b", 1)]
    assert told(database, client="Codex") == told(database, initiator_id=ANN) == first
    assert told(database, client="Unknown") == told(database, started_after=at) == second
    assert told(database, started_before=at) == first
    assert told(database, provider="openai") == told(database, provider_name="x") == []
    assert len(told(database, provider="anthropic")) == 2


def test_an_interception_counts_once_when_it_has_ended(database: SqliteDatabase, writer: Writer) -> None:
    record = interception(took=None)
    write(writer, record)
    assert told(database) == []
    ended = interception(id=record.id)
    write(writer, ended)
    write(writer, ended)
    assert told(database) == [("api.anthropic.com", 1)]


def test_what_a_crash_cut_off_counts_once(database: SqliteDatabase, writer: Writer) -> None:
    write(writer, interception(took=None))
    rows_of(database, "UPDATE aitap_proxies SET pid = 0, ended_at = heartbeat_at")
    assert mark_interrupted(database) == 1
    assert mark_interrupted(database) == 0
    assert told(database) == [("api.anthropic.com", 1)]


def test_a_host_not_seen_since_goes_with_the_retention(database: SqliteDatabase, writer: Writer) -> None:
    write(writer, interception(T0, host="old"), interception(T0, host="kept"), interception(T0 + 100, host="kept"))
    prune(database, T0 + 50)
    assert told(database) == [("kept", 2)]


def test_the_migration_counts_what_was_recorded_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A database of the version before, with records in it, has its hosts after the upgrade."""
    url = f"sqlite:///{tmp_path}/a.db"
    database = opening.open_database(url, migrate=True)
    writer = Writer(database, flush_interval=0.0)
    writer.start()
    write(writer, *(interception(T0 + n, client=c) for n, c in enumerate((None, "Codex", "Codex"))))
    write(writer, interception(T0 + 9, took=None))
    assert writer.close()
    whole = rows_of(database, "SELECT * FROM aitap_hosts ORDER BY client")
    rows_of(database, "DROP TABLE aitap_hosts")
    rows_of(database, "DELETE FROM aitap_migrations WHERE name = '0003_hosts'")
    assert opening.migrate(database) == ["0003_hosts"]
    assert rows_of(database, "SELECT * FROM aitap_hosts ORDER BY client") == whole
    assert len(whole) == 2
    database.close()
