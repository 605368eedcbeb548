"""A database of its own for each test: an SQLite file, and the same test again on a real PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from peewee import Database

from aitap.storage.database import open_database
from aitap.storage.writer import Writer
from tests import postgres
from tests.storage.making import Recording, database_in


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    if request.param == "sqlite":
        database = database_in(tmp_path)
        yield database
        database.close()
    else:
        if request.node.get_closest_marker("sqlite"):
            pytest.skip("of SQLite files alone")
        url = postgres.fresh()
        database = open_database(url)
        yield database
        database.close()
        postgres.drop(url)


@pytest.fixture
def writer(database: Database) -> Iterator[Writer]:
    """A writer that does not wait for more records to come."""
    writer = Writer(database, flush_interval=0.0)
    writer.start()
    yield writer
    writer.close()


@pytest.fixture
def recording(database: Database) -> Iterator[Recording]:
    recording = Recording(database)
    yield recording
    recording.writer.close()
