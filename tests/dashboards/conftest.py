"""Both databases, loaded once: nothing here writes to them afterwards."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from peewee import Database

from aitap.storage.database import open_database
from dashboards.dialects import ALL, POSTGRESQL, SQLITE
from dashboards.records import records_dashboard
from tests import postgres
from tests.dashboards import filling
from tests.dashboards.crowd import crowd
from tests.dashboards.loading import END, START, load
from tests.dashboards.reader import as_reader
from tests.storage.making import database_in

Row = tuple[Any, ...]


class Board:
    """A dashboard, with a connection such as its data source has."""

    def __init__(self, dashboard: dict[str, Any], fill: Callable[..., str], run: Callable[[str], Any]) -> None:
        self.dashboard = dashboard
        self.queries = filling.queries(dashboard)
        self._fill = fill
        self._run = run

    def rows(
        self,
        query: str,
        start: float = START,
        end: float = END,
        *,
        chosen: Mapping[str, Sequence[str]] | None = None,
        prefix: str = "",
    ) -> list[Row]:
        """What a panel (by its title) or a query shows; moments are seconds since ``START``."""
        query = self._fill(self.queries.get(query, query), start, end, chosen or {}, f"'{ALL}'")
        return [tuple(_plain(value) for value in row) for row in self._run(prefix + query)]

    def columns(self, panel: str) -> list[str]:
        query = self._fill(self.queries[panel], START, END, {}, f"'{ALL}'")
        return [str(column[0]) for column in self._run(query).description]


def _plain(value: Any) -> Any:
    """A number as a number, a moment as seconds since ``START``: as Grafana takes them."""
    if isinstance(value, str) and len(value) == 32 and value[10] == "T":
        value = datetime.fromisoformat(value)
    if isinstance(value, datetime):
        value = value.timestamp() - START
    if isinstance(value, float | Decimal):
        return int(value) if value == int(value) else round(float(value), 3)
    return value


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="session")
def board(kind: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Board]:
    """The dashboard on the records of :mod:`tests.dashboards.loading`, read as a dashboard may read."""
    yield from _board(kind, tmp_path_factory, load)


@pytest.fixture(scope="session")
def crowded(kind: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Board]:
    """The same dashboard on the many records of :mod:`tests.dashboards.crowd`."""
    yield from _board(kind, tmp_path_factory, crowd)


def _board(kind: str, tmp_path_factory: pytest.TempPathFactory, fill: Callable[[Database], None]) -> Iterator[Board]:
    if kind == "sqlite":
        folder = tmp_path_factory.mktemp("dashboards")
        database: Database = database_in(folder)
        fill(database)
        database.close()
        with sqlite3.connect(f"{(folder / 'aitap.db').as_uri()}?mode=ro", uri=True) as connection:
            yield Board(records_dashboard(SQLITE), filling.sqlite, connection.execute)
        connection.close()
        return
    url = postgres.fresh()
    database = open_database(url)
    fill(database)
    database.close()
    with psycopg.connect(as_reader(url), autocommit=True) as reader:
        yield Board(records_dashboard(POSTGRESQL), filling.postgresql, lambda query: reader.execute(query.encode()))
    postgres.drop(url)
