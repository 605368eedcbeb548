"""A file that goes away or is another one is noticed: to one that was removed the system writes on, for nobody."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from aitap.storage.checks import problems
from aitap.storage.database import open_database
from aitap.storage.writer import Writer
from tests.storage.making import T0, database_in, eventually, interception, lineage, rows, tokens
from tests.storage.spool.making import spool_in


@pytest.fixture
def file(tmp_path: Path) -> Path:
    database_in(tmp_path).close()
    return tmp_path / "aitap.db"


def stored(file: Path) -> int:
    database = open_database(f"sqlite:///{file}", read_only=True)
    try:
        return int(rows(database, "SELECT count(*) FROM aibridge_interceptions")[0][0])
    finally:
        database.close()


def remove(file: Path) -> None:
    for suffix in ("", "-wal", "-shm"):
        file.with_name(file.name + suffix).unlink(missing_ok=True)


def test_what_comes_after_a_file_was_removed_waits_in_the_spool_and_the_log_says_what_to_do(
    file: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    writer = Writer(open_database(f"sqlite:///{file}"), flush_interval=0.0, spool=spool_in(tmp_path / "spool"))
    writer.start()
    writer.submit(interception(T0))
    assert writer.flush(60)
    remove(file)
    for number in range(3):
        writer.submit(interception(T0 + 1 + number))
    assert eventually(lambda: writer.stats.spooled == 3)
    assert (writer.stats.written, writer.stats.lost) == (1, 0)
    assert "was removed while it was in use: put it back, or restart the proxy" in caplog.text
    assert eventually(lambda: "it is gone; put it back" in caplog.text), "what else becomes of it is told, too"
    assert caplog.text.count("cannot write to the database") == 2
    assert not file.exists(), "who takes a disk away for a moment finds no second database in its place"
    database_in(tmp_path).close()
    assert writer.flush(60)
    assert (writer.stats.written, stored(file)) == (4, 3)
    assert writer.close()


def test_a_copy_that_is_put_back_is_written_to_from_then_on_as_one_that_nobody_has_seen(
    file: Path, tmp_path: Path
) -> None:
    """What the writer remembers of the other file, kinds and threads and its own run, is not in the copy."""
    writer = Writer(open_database(f"sqlite:///{file}"), flush_interval=0.0, spool=spool_in(tmp_path / "spool"))
    copy = tmp_path / "copy.db"
    with closing(sqlite3.connect(file)) as source, closing(sqlite3.connect(copy)) as target:
        source.backup(target)
    writer.start()
    for number in range(3):
        writer.submit(interception(T0 + number, model=f"model-{number}", client_session_id="s"))
    assert writer.flush(60)
    remove(file)
    copy.rename(file)
    for number in range(3):
        model = f"model-{2 - number}"
        writer.submit(
            interception(T0 + 9 + number, model=model, token_usages=[tokens(f"m{number}")], lineage=lineage())
        )
    assert writer.flush(60)
    assert (writer.stats.written, writer.stats.lost, stored(file)) == (6, 0, 3)
    database = open_database(f"sqlite:///{file}")
    assert problems(database) == []
    assert rows(
        database, "SELECT count(*) FROM aibridge_interceptions i JOIN aitap_proxies p ON p.id = i.proxy_id"
    ) == [(3,)]
    database.close()
    assert writer.close()
