"""Tunnels and refused handshakes are added up, and keys remember when they were last used."""

from __future__ import annotations

import logging
from typing import Any

import peewee
import pytest
from peewee import Database

from aitap.record import HostSeen
from aitap.storage import tally as module
from aitap.storage.directory import directory_version
from aitap.storage.fields import timestamp_text
from aitap.storage.keys import create_key, list_keys
from aitap.storage.tally import Tally
from aitap.storage.users import ensure_user
from aitap.storage.writer import Writer
from tests.storage.making import ANN, BEN, T0, eventually, interception, other_connection, rows

SUMS = "SELECT host, connections, bytes_sent, bytes_received, refusals, error FROM aitap_hosts ORDER BY host"


def sight(at: float = T0, **fields: Any) -> HostSeen:
    values: dict[str, Any] = {"host": "example.com", "mode": "tunnelled", "initiator_id": ANN, "at": at}
    return HostSeen(**{**values, **fields})


@pytest.fixture
def key(database: Database) -> str:
    ensure_user(database, ANN, "ann")
    return str(create_key(database, ANN)[1]["id"])


def last_used(database: Database) -> str | None:
    [(moment,)] = rows(database, "SELECT last_used_at FROM aitap_keys")
    return None if moment is None else str(moment)


def test_counts_add_up_within_a_batch_and_from_batch_to_batch(database: Database, writer: Writer) -> None:
    for _ in range(2):
        writer.seen(sight(T0 + 5, connections=1, bytes_sent=10))
        writer.seen(sight(T0 + 1, bytes_sent=1, bytes_received=100))
        writer.seen(sight(T0 + 9, refusals=1, error="unknown ca"))
        writer.seen(sight(T0 + 9))
        assert writer.flush(60)
    assert rows(database, SUMS) == [("example.com", 2, 22, 200, 2, "unknown ca")]
    moments = "SELECT first_seen, last_seen FROM aitap_hosts"
    assert rows(database, moments) == [(timestamp_text(T0 + 1), timestamp_text(T0 + 9))]


def test_what_differs_in_any_part_of_the_key_is_told_apart(database: Database, writer: Writer) -> None:
    others: list[dict[str, Any]] = [
        {"host": "b"},
        {"mode": "observed"},
        {"provider": "openai"},
        {"provider_name": "x"},
        {"initiator_id": BEN},
        {"client": "Codex"},
        {"client_address": "192.0.2.1"},
    ]
    for fields in ({}, *others):
        writer.seen(sight(connections=1, **fields))
    assert writer.flush(60)
    assert rows(database, "SELECT count(*), sum(connections) FROM aitap_hosts") == [(8, 8)]


def test_an_idle_writer_stores_what_is_seen_without_being_told(database: Database, writer: Writer) -> None:
    writer.seen(sight(connections=1))
    assert eventually(lambda: len(rows(database, SUMS)) == 1)
    writer.seen(sight(connections=1))
    assert eventually(lambda: rows(database, SUMS)[0][1] == 2)


def test_closing_stores_what_was_seen_before(database: Database) -> None:
    writer = Writer(database, flush_interval=60.0)
    writer.seen(sight(connections=1))
    assert writer.close()
    assert [row[1] for row in rows(database, SUMS)] == [1]


def test_a_locked_database_costs_time_and_counts_nothing_twice(
    database: Database, writer: Writer, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        fails = [peewee.OperationalError("database is locked")] * 2
        true = module.touch_keys

        def touch(*args: Any) -> None:
            if fails:
                raise fails.pop()
            true(*args)

        patch.setattr(module, "touch_keys", touch)
        writer.seen(sight(connections=3))
        assert writer.flush(60)
    assert [row[1] for row in rows(database, SUMS)] == [3]
    assert "will try again" in caplog.text


def test_what_cannot_be_stored_is_lost_with_a_word_and_nothing_with_it(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    writer = Writer(database)
    for host in "abcde":
        writer.seen(sight(host=host, connections=1, bytes_sent=1 << 70 if host == "c" else 1))
    writer.submit(interception())
    assert writer.close()
    assert [row[:2] for row in rows(database, SUMS)] == [
        ("a", 1),
        ("api.anthropic.com", 0),
        ("b", 1),
        ("d", 1),
        ("e", 1),
    ]
    assert "what was seen of 1 hosts or tunnels is lost" in caplog.text


@pytest.mark.sqlite
def test_a_database_that_stays_locked_to_the_end_loses_with_a_word(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    writer = Writer(database, flush_interval=0.0)
    writer.start()
    assert writer.flush(60)
    holder = other_connection(database)
    holder.execute("BEGIN IMMEDIATE")
    writer.seen(sight(connections=1))
    assert not writer.close(0.2)
    holder.execute("ROLLBACK")
    holder.close()
    assert "is lost: the database did not take it" in caplog.text


def test_there_is_a_bound_and_both_its_ends_are_told(database: Database, caplog: pytest.LogCaptureFixture) -> None:
    tally = Tally(database, 2)
    assert [tally.add(sight(host=host, connections=1)) for host in ("a", "b", "a", "c", "d", "b")] == [
        True,
        False,
        False,
        False,
        False,
        False,
    ]
    assert (tally.waiting, tally.lost) == (2, 2)
    assert caplog.text.count("WHAT TUNNELS DO IS NOT COUNTED") == 1
    assert tally.take()
    tally.commit()
    assert tally.add(sight(host="c", connections=1))
    assert "counted again; 2 times they were not" in caplog.text
    assert [row[:2] for row in rows(database, SUMS)] == [("a", 2), ("b", 2)]


def test_a_closed_writer_counts_no_more_and_says_so(database: Database, caplog: pytest.LogCaptureFixture) -> None:
    writer = Writer(database)
    assert writer.close()
    with caplog.at_level(logging.ERROR):
        writer.seen(sight(connections=1))
    assert "the writer is closed" in caplog.text
    assert rows(database, SUMS) == []


def test_a_record_says_when_its_key_was_used(database: Database, writer: Writer, key: str) -> None:
    writer.submit(interception(T0, api_key_id=key))
    assert writer.flush(60)
    assert last_used(database) == timestamp_text(T0)
    assert list_keys(database)[0]["last_used_at"] == timestamp_text(T0).replace(" ", "T")


def test_a_tunnel_says_when_its_key_was_used(database: Database, writer: Writer, key: str) -> None:
    writer.seen(sight(T0 + 1, api_key_id=key))
    writer.seen(sight(T0, api_key_id=key))
    assert writer.flush(60)
    assert last_used(database) == timestamp_text(T0 + 1)


def test_a_busy_key_is_written_once_a_minute(database: Database, writer: Writer, key: str) -> None:
    for seconds, stored in ((0, 0), (30, 0), (59, 0), (60, 60), (119, 60), (120, 120)):
        writer.submit(interception(T0 + seconds, api_key_id=key))
        assert writer.flush(60)
        assert last_used(database) == timestamp_text(T0 + stored)


def test_the_last_use_never_goes_back(database: Database, key: str) -> None:
    for at in (T0 + 100, T0):
        writer = Writer(database)
        writer.submit(interception(at, api_key_id=key))
        assert writer.close()
    assert last_used(database) == timestamp_text(T0 + 100)


def test_use_is_no_change_of_the_directory(database: Database, writer: Writer, key: str) -> None:
    before = directory_version(database)
    writer.submit(interception(T0, api_key_id=key))
    writer.seen(sight(T0 + 100, api_key_id=key))
    assert writer.flush(60)
    assert last_used(database) is not None
    assert directory_version(database) == before


def test_a_key_of_another_directory_is_no_trouble(database: Database, writer: Writer) -> None:
    writer.submit(interception(T0, api_key_id="not-ours"))
    assert writer.flush(60)
    assert rows(database, "SELECT api_key_id FROM aibridge_interceptions") == [("not-ours",)]
