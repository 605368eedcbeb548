"""Old records go completely, young ones stay, and writing never waits for it."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from peewee import Database

from aitap.record import Lineage
from aitap.storage import recovery
from aitap.storage.database import transaction
from aitap.storage.fields import timestamp_text
from aitap.storage.models import Session
from aitap.storage.retention import prunable, prune, prune_slices
from aitap.storage.sessions import rebuild
from aitap.storage.steady import SteadyClock
from aitap.storage.steps import LARGEST, sized
from aitap.storage.usage_models import KEYS
from aitap.storage.writer import Writer
from tests.storage.making import (
    T0,
    Recording,
    database_in,
    eventually,
    everything,
    interception,
    prompt,
    rows,
    thought,
    tokens,
    tool,
)


def whole(at: float, **fields: Any) -> Any:
    """An interception with a child in every table."""
    values: dict[str, Any] = {
        "user_prompts": [prompt(f"at {at}", at)],
        "token_usages": [tokens(at=at)],
        "tool_usages": [tool(f"call {at}", at=at)],
        "model_thoughts": [thought("hm", at)],
        "lineage": Lineage(history=[f"history {at}"]),
    }
    return interception(at, **{**values, **fields})


def test_everything_of_an_old_interception_goes(recording: Recording) -> None:
    recording.batch(whole(T0 + 10))
    kept = everything(recording.database)
    recording.batch(whole(T0), whole(T0 + 1), whole(T0 + 2, client_session_id="gone"))
    assert prunable(recording.database, T0 + 10) == 3
    assert prune(recording.database, T0 + 10) == 3
    left = everything(recording.database)
    # What was seen of a host, and since when, is told as long as the host is seen.
    assert len(left.pop("aitap_hosts")) == len(kept.pop("aitap_hosts")) == 1
    # What was used on a day is told for ever.
    for table in KEYS:
        assert len(left.pop(table)) == len(kept.pop(table)) == 1
    assert left == kept
    assert prunable(recording.database, T0 + 10) == prune(recording.database, T0 + 10) == 0


def test_what_is_still_open_stays(recording: Recording) -> None:
    recording.batch(interception(T0, None))
    assert prunable(recording.database, T0 + 10) == 0
    assert prune(recording.database, T0 + 10) == 0
    assert rows(recording.database, "SELECT count(*) FROM aibridge_interceptions") == [(1,)]


@settings(max_examples=30, suppress_health_check=[HealthCheck.too_slow])
@given(
    records=st.lists(st.tuples(st.integers(0, 20), st.sampled_from(["s", "t", None])), max_size=25),
    before=st.integers(0, 21),
)
def test_sessions_say_what_is_left_of_them(records: list[tuple[int, str | None]], before: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        recording = Recording(database_in(Path(folder)))
        for at, session in records:
            recording.writer.submit(whole(T0 + at, client_session_id=session, model=f"m{at}"))
        assert recording.writer.flush(60)
        recording.writer.close()
        database = recording.database
        assert prune(database, T0 + before) == sum(at < before for at, _ in records)
        keys = rows(database, "SELECT DISTINCT session_id, initiator_id FROM aibridge_interceptions ORDER BY 1, 2")
        left = sessions_of(database)
        assert [row[:2] for row in left] == keys
        with transaction(database):
            rebuild(database, keys)
        assert sessions_of(database) == left
        database.close()


def sessions_of(database: Database) -> list[tuple[Any, ...]]:
    columns = [field.name for field in Session._meta.sorted_fields if field.name != "models"]
    return rows(database, f"SELECT {', '.join(columns)} FROM aitap_sessions ORDER BY session_id, initiator_id")


@pytest.mark.sqlite
def test_a_long_session_does_not_make_slices_longer(database: Database) -> None:
    """The rows that one slice reads do not grow with what is left of the session."""
    work = []
    for count in (50, 2000):
        database.execute_sql("DELETE FROM aibridge_interceptions")
        filled(database, count, T0 + 10 * count, session="long")
        steps = 0

        def step() -> int:
            nonlocal steps
            steps += 1
            return 0

        slices = prune_slices(database, T0 + 10 * count)
        database.connection().set_progress_handler(step, 100)
        assert next(slices) == 16
        database.connection().set_progress_handler(None, 0)
        slices.close()
        work.append(steps)
    assert work[1] < 2 * work[0]


def test_a_stopped_run_left_every_session_right(recording: Recording) -> None:
    for number in range(40):
        recording.writer.submit(whole(T0 + number, client_session_id="s"))
    assert recording.writer.flush(60)
    slices = prune_slices(recording.database, T0 + 50)
    assert next(slices) == 16
    slices.close()
    assert rows(recording.database, "SELECT interceptions, prompts, started_at FROM aitap_sessions") == [
        (24, 24, timestamp_text(T0 + 16))
    ]


def test_runs_of_proxies_go_but_for_the_last(recording: Recording) -> None:
    recording.restart()
    recording.batch(interception(T0))
    prune(recording.database, time.time() + 10)
    assert rows(recording.database, "SELECT id FROM aitap_proxies") == [(2,)]


def filled(database: Database, count: int, before: float, session: str | None = None) -> None:
    recording = Recording(database)
    for number in range(count):
        recording.writer.submit(whole(before - count + number, client_session_id=session or f"s{number // 10}"))
    assert recording.writer.flush(60)
    recording.writer.close()


@pytest.mark.parametrize(("fixed", "each"), [(0.001, 0.00005), (0.004, 0.0002), (0.02, 0.001)])
def test_slices_are_short(monkeypatch: pytest.MonkeyPatch, fixed: float, each: float) -> None:
    """Writing never waits 50 ms, however quick the database; where it can be, steps are not made shorter than pays."""
    now = 0.0
    steps: list[tuple[int, float]] = []

    def step(size: int) -> int:
        nonlocal now
        now += fixed + each * size
        steps.append((size, fixed + each * size))
        return size if len(steps) < 50 else 0

    monkeypatch.setattr("aitap.storage.retention.time.perf_counter", lambda: now)
    assert len(list(sized(step))) == 50
    assert max(seconds for _, seconds in steps) < 0.05
    size, seconds = steps[-1]
    assert seconds > 0.02 or size == LARGEST


def test_a_slow_disk_gets_smaller_slices(database: Database, monkeypatch: Any) -> None:
    filled(database, 300, T0)
    clock = iter(range(10**6))
    monkeypatch.setattr("aitap.storage.retention.time.perf_counter", lambda: next(clock) * 1.0)
    assert list(prune_slices(database, T0))[:4] == [16, 1, 1, 1]


def test_the_writer_prunes_at_its_start_and_while_records_come(database: Database) -> None:
    filled(database, 2000, time.time() - 3600)
    writer = Writer(database, flush_interval=0.0, retention=1800.0)
    writer.start()
    submitted = 0

    def old() -> int:
        return int(rows(database, "SELECT count(*) FROM aibridge_interceptions WHERE session_id LIKE 's%'")[0][0])

    def gone() -> bool:
        nonlocal submitted
        submitted += 1
        writer.submit(interception(time.time()))
        return old() == 0

    assert eventually(gone)
    assert writer.flush(60)
    assert rows(database, "SELECT count(*) FROM aibridge_interceptions") == [(submitted,)]
    assert writer.stats.lost == 0
    assert writer.close()


def test_the_writer_prunes_again_after_the_interval(database: Database) -> None:
    writer = Writer(database, flush_interval=0.0, retention=3600.0, retention_interval=0.01)
    writer.start()
    writer.submit(interception(time.time() - 7200))
    assert writer.flush(60)
    assert eventually(lambda: rows(database, "SELECT count(*) FROM aibridge_interceptions") == [(0,)])
    assert writer.close()


def test_a_writer_that_starts_while_the_clock_is_years_ahead_removes_nothing(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled(database, 5, time.time() - 600)
    recovery.begin_run(database)
    ahead = time.time() + 1e8
    monkeypatch.setattr("aitap.storage.writer.SteadyClock", lambda: SteadyClock(lambda: ahead))
    writer = Writer(database, flush_interval=0.0, retention=3600.0, retention_interval=0.01)
    writer.start()
    writer.submit(interception(ahead))
    assert writer.flush(60)
    assert writer.submit(interception(ahead))
    assert writer.close()
    assert rows(database, "SELECT count(*) FROM aibridge_interceptions") == [(7,)]


def test_a_thousand_years_are_for_ever(recording: Recording) -> None:
    recording.batch(interception(T0))
    assert prune(recording.database, time.time() - 1e12) == prunable(recording.database, float("-inf")) == 0


def test_without_retention_nothing_goes(database: Database) -> None:
    writer = Writer(database, flush_interval=0.0, retention=0.0, retention_interval=0.01)
    writer.start()
    writer.submit(interception(T0))
    assert writer.flush(60)
    assert writer.submit(interception(T0))
    assert writer.close()
    assert rows(database, "SELECT count(*) FROM aibridge_interceptions") == [(2,)]


def test_the_writer_forgets_who_read_what_in_its_own_time(database: Database) -> None:
    """Also where it keeps records for ever; what was told of budgets goes with it."""
    now = time.time()
    put = "INSERT INTO aitap_audit (id, read_at, reader_id, address, subject_id, path, query, records) VALUES "
    for number, age in enumerate((100, 300)):
        at = timestamp_text(now - age)
        own_id = f"0000000{number}-0000-7000-8000-000000000000"
        rows(database, f"{put}(?, ?, ?, '', ?, '', '', 1)", own_id, at, own_id, own_id)
        notice = (
            "INSERT INTO aitap_budget_notices (budget_id, user_id, since, percent, told_at) VALUES (?, '', '', 85, ?)"
        )
        rows(database, notice, own_id, at)
    writer = Writer(database, flush_interval=0.0, audit_retention=200)
    writer.start()
    tables = ("aitap_audit", "aitap_budget_notices")
    assert eventually(lambda: [rows(database, f"SELECT count(*) FROM {name}") for name in tables] == [[(1,)], [(1,)]])
    writer.close()


@pytest.mark.sqlite
def test_the_room_of_what_is_gone_is_given_back(database: Database) -> None:
    """But for a sixteenth of the file, for what comes next; a step gives back a part of it."""
    database.execute_sql("CREATE TABLE filler (data)")
    with transaction(database):
        for _ in range(3000):
            database.execute_sql("INSERT INTO filler VALUES (zeroblob(4000))")
    database.execute_sql("DROP TABLE filler")
    [(before,)] = rows(database, "PRAGMA page_count")
    assert prune(database, T0) == 0
    [(after,)] = rows(database, "PRAGMA page_count")
    [(free,)] = rows(database, "PRAGMA freelist_count")
    assert before > 3000
    assert after < before - 1500
    assert free <= 1024 + after // 16
