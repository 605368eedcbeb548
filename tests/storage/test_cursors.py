"""Exports that go on where they stopped: everything once, whenever it began and whatever happened in between."""

from __future__ import annotations

from typing import Any

import pytest
from peewee import Database

from aitap.storage import cursors, recovery, retention
from aitap.storage.cursors import CursorMoved
from aitap.storage.database import rows_of, transaction
from aitap.storage.queries import Filter, snapshot
from tests.storage.making import T0, Recording, interception, rows

ALL = Filter()


def nightly(database: Database, filter: Filter = ALL, *, safe: bool = True) -> list[str]:
    """The ids that an export gives; ``safe`` says whether it got to its end."""
    cursor = cursors.begin(database, "nightly", "all")
    with snapshot(database):
        found = [record.id for record in cursors.iter_since(database, cursor, filter)]
    if safe:
        cursors.finish(database, cursor, len(found))
    return found


def test_each_interception_comes_once_when_it_has_ended(database: Database, recording: Recording) -> None:
    """Also one that began before the others and ended long after them."""
    long, first, second = interception(T0, None), interception(T0 + 1), interception(T0 + 2)
    recording.batch(long, first)
    assert nightly(database) == [first.id]
    recording.batch(second)
    assert nightly(database) == [second.id]
    recording.batch(interception(T0, 9000.0, id=long.id))
    assert nightly(database) == [long.id]
    assert nightly(database) == []


def test_what_waited_in_a_spool_for_days_comes_too(database: Database, recording: Recording) -> None:
    recording.batch(interception(T0 + 1e6))
    nightly(database)
    late = interception(T0)
    recording.batch(late)
    assert nightly(database) == [late.id]


def test_an_export_that_was_cut_off_is_repeated(database: Database, recording: Recording) -> None:
    first, second = interception(T0), interception(T0 + 1)
    recording.batch(first)
    assert nightly(database, safe=False) == [first.id]
    assert nightly(database) == [first.id]
    recording.batch(second)
    assert nightly(database, safe=False) == [second.id]
    assert nightly(database) == [second.id]
    assert nightly(database) == []


def test_what_is_committed_while_it_runs_comes_next_time(database: Database, recording: Recording) -> None:
    first, second = interception(T0), interception(T0 + 1)
    recording.batch(first)
    for batch in (second, interception(T0 + 2)):
        cursor = cursors.begin(database, "nightly", "all")
        with snapshot(database):
            found: list[Any] = []
            for record in cursors.iter_since(database, cursor, Filter()):
                found.append(record.id)
                recording.batch(batch)
        cursors.finish(database, cursor, 1)
        assert found == [first.id]
        first = batch
    assert nightly(database) == [first.id]


def test_a_filter_leaves_out_without_losing_the_place(database: Database, recording: Recording) -> None:
    recording.batch(interception(T0))
    assert nightly(database, Filter(model="none")) == []
    other = interception(T0 + 1, model="other")
    recording.batch(interception(T0 + 2), other)
    assert nightly(database, Filter(model="other")) == [other.id]


def test_what_was_cut_off_with_its_proxy_comes_when_that_is_known(database: Database, recording: Recording) -> None:
    nightly(database)
    lost = interception(T0, None)
    recording.batch(lost)
    with transaction(database):
        rows_of(database, "UPDATE aitap_proxies SET ended_at = heartbeat_at")
    assert recovery.mark_interrupted(database) == 1
    assert nightly(database) == [lost.id]


def test_endings_are_kept_as_long_as_somebody_needs_them(database: Database, recording: Recording) -> None:
    recording.batch(interception(T0))
    assert rows(database, "SELECT count(*) FROM aitap_endings") == [(0,)]
    nightly(database)
    for at in (T0 + 1, T0 + 2):
        recording.batch(interception(at))
    weekly = cursors.begin(database, "weekly", "all")
    assert len(nightly(database)) == 2
    assert rows(database, "SELECT count(*) FROM aitap_endings") == [(2,)]
    assert cursors.forget(database, weekly.name)
    assert rows(database, "SELECT count(*) FROM aitap_endings") == [(0,)]
    recording.batch(interception(T0 + 3))
    assert len(nightly(database)) == 1


def test_what_retention_took_is_passed_over(database: Database, recording: Recording) -> None:
    nightly(database)
    recording.batch(interception(T0), interception(T0 + 100))
    retention.prune(database, T0 + 50)
    assert len(nightly(database)) == 1


def test_two_at_once_and_another_question_are_refused(database: Database, recording: Recording) -> None:
    recording.batch(interception(T0))
    cursor = cursors.begin(database, "nightly", "all")
    with snapshot(database):
        assert len(list(cursors.iter_since(database, cursor, Filter()))) == 1
    nightly(database)
    recording.batch(interception(T0 + 1))
    nightly(database)
    with pytest.raises(CursorMoved, match="at the same time"):
        cursors.finish(database, cursor, 1)
    with pytest.raises(CursorMoved, match="other filters"):
        cursors.begin(database, "nightly", "some")
