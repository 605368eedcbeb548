"""A database of its own for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from peewee import SqliteDatabase

from aitap.storage.writer import Writer
from tests.storage.making import Recording, database_in


@pytest.fixture
def database(tmp_path: Path) -> Iterator[SqliteDatabase]:
    database = database_in(tmp_path)
    yield database
    database.close()


@pytest.fixture
def writer(database: SqliteDatabase) -> Iterator[Writer]:
    """A writer that does not wait for more records to come."""
    writer = Writer(database, flush_interval=0.0)
    writer.start()
    yield writer
    writer.close()


@pytest.fixture
def recording(database: SqliteDatabase) -> Iterator[Recording]:
    recording = Recording(database)
    yield recording
    recording.writer.close()
