"""While the database is away records go to the spool; when it is back they are stored in order and once each."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import peewee
import pytest
from peewee import Database

from aitap.record import Interception
from aitap.storage import keeper
from aitap.storage import writer as module
from aitap.storage.commit import Commits
from aitap.storage.losses import FULL, QUEUE
from aitap.storage.spool.folders import make_folder
from aitap.storage.spool.own import take_over
from aitap.storage.spool.segments import Spool
from aitap.storage.writer import Writer
from tests.storage.making import T0, eventually, everything, interception, lineage, prompt, rows, tokens, tool
from tests.storage.spool.making import URL, spool_in


class Switch:
    """Turns a database off and on, as the writer sees it."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.off = False
        self.held = threading.Event()
        self.held.set()
        commit = Commits.commit

        def switched(commits: Commits, *arguments: Any, **options: Any) -> set[str]:
            self.held.wait(30)
            if self.off:
                raise peewee.OperationalError("server closed the connection unexpectedly")
            return commit(commits, *arguments, **options)

        patch.setattr(Commits, "commit", switched)
        patch.setattr(module, "_LONGEST_PAUSE", 0.1)


@pytest.fixture
def switch(monkeypatch: pytest.MonkeyPatch) -> Iterator[Switch]:
    switch = Switch(monkeypatch)
    yield switch
    switch.held.set()


@pytest.fixture
def start(database: Database, tmp_path: Path, switch: Switch) -> Iterator[Callable[..., Writer]]:
    """Start a writer with a spool of its own."""
    started: list[Writer] = []

    def begin(spool: Spool | None = None, **options: Any) -> Writer:
        spool = spool_in(tmp_path / "spool") if spool is None else spool
        started.append(Writer(database, flush_interval=0.0, spool=spool, **options))
        started[-1].start()
        return started[-1]

    yield begin
    switch.off = False
    switch.held.set()
    for writer in started:
        writer.close()


def conversation(count: int) -> list[Interception]:
    """Each continues the one before, which it can only find if that is stored first."""
    return [
        interception(
            T0 + number,
            client_session_id="s",
            user_prompts=[prompt(f"prompt {number}", T0 + number)],
            token_usages=[tokens(f"msg_{number}", T0 + number)],
            tool_usages=[tool(f"call-{number}", at=T0 + number)],
            lineage=lineage(f"call-{number - 1}") if number else lineage(),
        )
        for number in range(count)
    ]


def chain(database: Database) -> list[str | None]:
    return [row[0] for row in rows(database, "SELECT thread_parent_id FROM aibridge_interceptions ORDER BY started_at")]


def test_what_comes_while_the_database_is_away_is_stored_in_order_when_it_is_back(
    database: Database, start: Callable[..., Writer], switch: Switch
) -> None:
    records = conversation(60)
    ids = [record.id for record in records]
    writer = start()
    for number, record in enumerate(records):
        if number == 20:
            assert writer.flush(60)
            switch.off = True
        if number == 40:
            assert eventually(lambda: writer.stats.spooled == 20)
            assert writer.stats.queued == 0, "no memory is needed meanwhile"
            switch.off = False
        writer.submit(record)
    assert writer.flush(60)
    assert chain(database) == [None, *ids[:-1]]
    stats = writer.stats
    assert (stats.written, stats.lost, stats.spooled, stats.queued) == (60, 0, 0, 0)
    assert rows(database, "SELECT interceptions, prompts, input_tokens FROM aitap_sessions") == [(60, 60, 600)]
    assert writer.spool_bytes == 0


def test_a_batch_whose_commit_was_not_heard_of_is_stored_once(
    database: Database, start: Callable[..., Writer], tmp_path: Path
) -> None:
    """The process dies after the commit and before the spool has let go of it."""
    folder = make_folder(tmp_path / "before", URL)
    spool = Spool(folder, limit=1 << 30, sync=False)
    records = conversation(10)
    spool.append(copy.deepcopy(records))
    batch = spool.oldest()
    assert batch is not None
    Commits(database, None).commit(batch.records)
    before = everything(database)
    writer = start(Spool(folder, limit=1 << 30, sync=False))
    assert writer.flush(60)
    after = everything(database)
    for tables in (before, after):
        tables["aibridge_interceptions"] = [row[0] for row in tables["aibridge_interceptions"]]
    assert after == before
    assert writer.stats.adopted == 10


def test_what_is_left_at_the_end_is_the_next_proxys(
    database: Database, start: Callable[..., Writer], switch: Switch, tmp_path: Path
) -> None:
    root = tmp_path / "spool"
    folder = make_folder(root, URL)
    switch.off = True
    first = start(Spool(folder, limit=1 << 30, sync=False))
    ended, still_open = interception(T0), interception(T0 + 1, None)
    for record in (ended, still_open):
        first.submit(record)
    assert first.close(20), "nothing is lost"
    assert (first.stats.spooled, first.stats.lost) == (2, 0)
    folder.release()
    switch.off = False

    spool = spool_in(root)
    second = start(spool, adopting=lambda: take_over(root, URL, spool.adopt))
    new = interception(T0 + 2)
    second.submit(new)
    assert second.flush(60)
    assert eventually(lambda: len(outcomes(database)) == 3)
    assert eventually(lambda: outcomes(database)[still_open.id] == "interrupted")
    assert (outcomes(database)[ended.id], outcomes(database)[new.id]) == ("completed", "completed")
    assert (second.stats.adopted, second.stats.written) == (2, 1)
    assert not folder.path.exists()


def test_what_a_recorder_left_open_that_died_after_the_next_proxys_start_is_interrupted(
    database: Database, start: Callable[..., Writer], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_ADOPT_EVERY", 0.05)
    root = tmp_path / "spool"
    dying = make_folder(root, URL)
    left = interception(T0, None)
    Spool(dying, limit=1 << 30, sync=False).append([left])
    spool = spool_in(root)
    looks = []

    def look() -> dict[str, int]:
        looks.append(1)
        return take_over(root, URL, spool.adopt)

    writer = start(spool, adopting=look)
    assert writer.flush(60)
    assert eventually(lambda: len(looks) > 1)
    assert outcomes(database) == {}
    dying.release()
    assert eventually(lambda: outcomes(database) == {left.id: "interrupted"})


def outcomes(database: Database) -> dict[str, str]:
    return dict(rows(database, "SELECT CAST(id AS TEXT), outcome FROM aibridge_interceptions"))


def test_a_database_that_takes_too_long_is_not_waited_for(
    database: Database, start: Callable[..., Writer], switch: Switch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is at work is in the spool too, and stored once all the same."""
    monkeypatch.setattr(keeper, "_PATIENCE", 0.05)
    writer = start()
    assert writer.flush(60)
    switch.held.clear()
    records = conversation(30)
    for record in records:
        writer.submit(record)
    assert eventually(lambda: writer.stats.spooled == 30)
    switch.held.set()
    assert writer.flush(60)
    assert chain(database) == [None, *(record.id for record in records[:-1])]
    assert rows(database, "SELECT interceptions, prompts FROM aitap_sessions") == [(30, 30)]
    assert (writer.stats.written, writer.stats.lost, writer.stats.spooled) == (30, 0, 0)


def test_a_proxy_may_start_while_the_database_is_away(database: Database, start: Callable[..., Writer]) -> None:
    away = True

    def opening() -> None:
        if away:
            raise peewee.OperationalError("connection refused")

    writer = start(opening=opening)
    writer.submit(interception())
    assert eventually(lambda: writer.stats.spooled == 1)
    assert "connection refused" in writer.trouble
    assert writer.keeps_nothing == ""
    away = False
    assert writer.flush(60)
    assert writer.trouble == ""
    assert rows(database, "SELECT count(*) FROM aibridge_interceptions") == [(1,)]


def test_only_the_bounds_lose_records_and_each_is_counted_with_the_reason(
    database: Database, start: Callable[..., Writer], switch: Switch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    spool = spool_in(tmp_path / "small", limit=100_000)
    writer = start(spool, queue_bytes=100_000)
    settled: dict[bool, int] = {True: 0, False: 0}

    def count(records: list[Interception], kept: bool) -> None:
        settled[kept] += len(records)

    writer.on_settled = count
    assert writer.flush(60)
    switch.off = True
    writer.submit(interception())
    assert eventually(lambda: writer.stats.spooled == 1)
    for number in range(100):
        writer.submit(interception(T0 + number, user_prompts=[prompt("x" * 5000)]))
        assert eventually(lambda: writer.stats.queued == 0 or writer.keeps_nothing != "")
    while writer.submit(interception(T0 + 200, user_prompts=[prompt("x" * 5000)])):
        pass
    lost = writer.stats.lost
    assert lost > 0
    assert set(writer.stats.lost_by) <= {FULL, QUEUE}
    assert writer.keeps_nothing
    assert "RECORDS ARE BEING LOST" in caplog.text
    switch.off = False
    assert writer.flush(60)
    submitted = writer.stats.submitted
    assert rows(database, "SELECT count(*) FROM aibridge_interceptions") == [(submitted - writer.stats.lost,)]
    assert settled == {True: submitted - writer.stats.lost, False: writer.stats.lost}
    assert (writer.stats.queued, writer.stats.spooled) == (0, 0)


def test_memory_without_a_spool_is_bounded_by_bytes(database: Database, switch: Switch) -> None:
    writer = Writer(database, queue_bytes=1 << 20)
    taken = [writer.submit(interception(T0 + number, user_prompts=[prompt("x" * 100_000)])) for number in range(30)]
    assert 5 < sum(taken) < 12
    assert writer.stats.lost_by[QUEUE] == 30 - sum(taken)
    writer.start()
    assert writer.close()
    assert writer.stats.written == sum(taken)


def test_statements_that_a_migration_has_outdated_are_made_anew(
    database: Database, start: Callable[..., Writer], monkeypatch: pytest.MonkeyPatch
) -> None:
    """PostgreSQL says so of what it has prepared; a new connection knows better."""
    writer = start()
    assert writer.flush(60)
    failing = True

    def outdated(commits: Commits, records: Any, run: Any) -> None:
        nonlocal failing
        if failing:
            raise peewee.NotSupportedError("cached plan must not change result type")
        commit(commits, records, run)

    def close() -> Any:
        nonlocal failing
        failing = False
        return shut()

    commit, shut = Commits._commit, database.close
    monkeypatch.setattr(Commits, "_commit", outdated)
    monkeypatch.setattr(database, "close", close)
    writer.submit(interception())
    assert writer.flush(60)
    monkeypatch.undo()
    assert (writer.stats.written, writer.stats.lost) == (1, 0)


def test_a_newer_schema_that_refuses_our_records_costs_none(database: Database, start: Callable[..., Writer]) -> None:
    """Another process migrates the database: records wait until this proxy is restarted with that version."""
    writer = start()
    assert writer.flush(60)
    rows(database, "INSERT INTO aitap_migrations (name, applied) VALUES ('9999_future', CURRENT_TIMESTAMP)")
    rows(database, "ALTER TABLE aibridge_interceptions RENAME COLUMN user_agent TO agent")
    database.close()
    for number in range(3):
        writer.submit(interception(T0 + number))
    assert eventually(lambda: writer.stats.spooled == 3)
    assert "a newer aitap" in writer.trouble
    rows(database, "ALTER TABLE aibridge_interceptions RENAME COLUMN agent TO user_agent")
    rows(database, "DELETE FROM aitap_migrations WHERE name = '9999_future'")
    assert writer.flush(60)
    assert (writer.stats.written, writer.stats.lost) == (3, 0)


@pytest.mark.parametrize("error", [OSError(24, "Too many open files"), RuntimeError("a mistake of ours")])
def test_nothing_that_fails_beside_the_database_ends_the_writing(
    database: Database, start: Callable[..., Writer], monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """Whoever adopts, keeps or looks: without these threads nothing would be stored until somebody restarts."""
    monkeypatch.setattr(module, "_ADOPT_EVERY", 0.0)
    failing = threading.Event()
    failing.set()

    def adopting() -> dict[str, int]:
        if failing.is_set():
            raise error
        return {}

    writer = start(adopting=adopting)
    record = interception(T0)
    writer.submit(record)
    assert eventually(lambda: writer.stats.written + writer.stats.spooled == 1)
    failing.clear()
    writer.submit(interception(T0 + 1))
    assert writer.flush(60)
    assert (writer.stats.written, writer.stats.lost, writer.trouble) == (2, 0, "")
