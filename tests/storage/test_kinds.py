"""What lists answer from is in step with what there is, whatever comes and goes."""

from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any

import pytest
from peewee import Database

from aitap.record import derived_id
from aitap.storage import kinds
from aitap.storage.database import transaction
from aitap.storage.newest import reach
from aitap.storage.queries import Filter
from aitap.storage.retention import prune
from tests.storage.making import ANN, BEN, T0, Recording, database_in, interception, rows, tokens

TABLES = ("aitap_kinds", "aitap_kind_days", "aitap_session_kinds", "aitap_session_days")


def state(database: Database) -> dict[str, list[tuple[Any, ...]]]:
    return {table: sorted(rows(database, f"SELECT * FROM {table}"), key=repr) for table in TABLES}


def some(dice: Random, number: int) -> Any:
    return interception(
        T0 + 3600 * number,
        dice.choice([1.0, 1.0, 1.0, None]),
        initiator_id=dice.choice([ANN, BEN]),
        model=dice.choice(["a", "b", "c"]),
        client=dice.choice(["Codex", "Unknown", None]),
        client_session_id=dice.choice(["s", "t", None]),
    )


def test_counts_are_what_counting_gives(recording: Recording) -> None:
    """After starts, ends that come later, and retention."""
    dice = Random(3)
    database = recording.database
    records = [some(dice, number) for number in range(60)]
    recording.batch(*records[:30])
    recording.batch(*records[30:])
    ends = [interception(r.started_at, 2.0, id=r.id, model="d") for r in records if r.ended_at is None]
    recording.batch(*ends[::2])
    assert prune(database, T0 + 3600 * 25) > 0
    kept = state(database)
    with transaction(database):
        kinds.recount(database)
    assert state(database) == kept
    known = {row[0] for row in kept["aitap_kinds"]}
    assert {row[0] for row in rows(database, "SELECT kind_id FROM aibridge_interceptions")} <= known


def test_a_kind_that_was_removed_is_found_again(recording: Recording) -> None:
    """Who erases a person takes the kinds too, beside a running writer that knows their numbers."""
    recording.batch(interception(T0))
    for table in TABLES:
        rows(recording.database, f"DELETE FROM {table}")
    later = interception(T0 + 1)
    recording.batch(later)
    [(kind, count)] = rows(recording.database, "SELECT id, interceptions FROM aitap_kinds")
    assert count == 1
    assert recording.row(later)["kind_id"] == kind


def test_what_a_file_brings_back_is_counted_once(recording: Recording) -> None:
    """Its day counted it before retention took it, and remembers."""
    record = interception(T0, id=derived_id(T0, b"12345678"), token_usages=[tokens(at=T0)])
    days = "SELECT day, interceptions, usages FROM aitap_daily_usage"
    recording.batch(record)
    counted = rows(recording.database, days)
    for _ in range(2):
        assert prune(recording.database, T0 + 10) == 1
        recording.batch(interception(T0, id=record.id, token_usages=[tokens(at=T0)]))
        assert rows(recording.database, days) == counted
        assert rows(recording.database, "SELECT interceptions FROM aitap_kinds") == [(1,)]


@pytest.mark.parametrize("wanted", [1, 3, 7, 50])
@pytest.mark.parametrize("chosen", [Filter(model="a"), Filter(model="b"), Filter(client="Unknown"), Filter(model="z")])
def test_a_page_reaches_far_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wanted: int, chosen: Filter
) -> None:
    """Kinds with many rows and with few, and many at one moment: as many match as were wanted, or all that do."""
    monkeypatch.setattr("aitap.storage.newest._WINDOW", 2)
    dice = Random(wanted)
    recording = Recording(database_in(tmp_path))
    moments = [T0 + dice.choice([0, 1, 1, 2, 5, 5, 5, 9, 40, 41, 42]) for _ in range(90)]
    models = [dice.choice("aaaaaabbc") for _ in moments]
    recording.batch(*(interception(at, model=model) for at, model in zip(moments, models, strict=True)))
    matching = models.count(chosen.model) if chosen.model else len(models)
    found = reach(recording.database, chosen, after=None, before=None, wanted=wanted)
    assert (found is None) == (matching == 0)
    if found is not None:
        sql = "SELECT count(*) FROM aibridge_interceptions WHERE started_at >= ? AND coalesce(model = ?, TRUE)"
        [(count,)] = rows(recording.database, sql, found.since, chosen.model)
        assert min(wanted, matching) <= count
    recording.writer.close()
    recording.database.close()
