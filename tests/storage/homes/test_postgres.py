"""What only a real server shows: schemas and encodings, and a network that swallows everything."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from urllib.parse import parse_qs, quote, urlsplit

import peewee
import psycopg
import pytest

from aitap.storage.database import StorageError, migration_status, open_database
from aitap.storage.homes import postgres as module
from tests import postgres
from tests.proxy.wires import Wire


@pytest.fixture
def url() -> Iterator[str]:
    url = postgres.fresh(empty=True)
    yield url
    postgres.drop(url)


def name_of(url: str) -> str:
    return url.partition("@/")[2].partition("?")[0]


def path_of(url: str) -> str:
    """The server's socket."""
    [folder] = parse_qs(urlsplit(url).query)["host"]
    return f"{folder}/.s.PGSQL.5432"


class Pooler:
    """Lets one connection through, without the options with which it begins, as PgBouncer does when it is told to."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        near, _ = self._listener.accept()
        self._listener.close()
        far = socket.socket(socket.AF_UNIX)
        far.connect(self._path)
        # PostgreSQL's manual, "Message Formats": length, version, then names and values that end with a zero each.
        start = near.recv(int.from_bytes(near.recv(4)) - 4, socket.MSG_WAITALL)
        words = start[4:].split(b"\0")[:-2]
        kept = [
            word
            for name, value in zip(words[::2], words[1::2], strict=True)
            if name != b"options"
            for word in (name, value)
        ]
        start = start[:4] + b"\0".join(kept) + b"\0\0"
        far.sendall((len(start) + 4).to_bytes(4) + start)
        threading.Thread(target=self._relay, args=(far, near), daemon=True).start()
        self._relay(near, far)

    @staticmethod
    def _relay(source: socket.socket, sink: socket.socket) -> None:
        while data := source.recv(1 << 16):
            sink.sendall(data)
        sink.close()


def test_moments_are_right_behind_a_pooler_that_drops_what_we_ask_for(url: str) -> None:
    postgres.administer(f"ALTER DATABASE {name_of(url)} SET timezone = 'Asia/Kolkata'")
    pooler = Pooler(path_of(url))
    where = f"postgresql://postgres@127.0.0.1:{pooler.port}/{name_of(url)}?sslmode=disable&gssencmode=disable"
    database = open_database(where, check=False)
    asked = "SELECT CAST('2026-11-21 23:30:00+00' AS timestamptz), current_setting('TimeZone')"
    assert database.execute_sql(asked).fetchone() == ("2026-11-21 23:30:00.000000+00:00", "UTC")
    assert database.execute_sql("SHOW statement_timeout").fetchone() == ("1min",)
    database.execute_sql("SET timezone = 'Asia/Kolkata'")
    assert database.execute_sql(asked).fetchone()[0] == "2026-11-21 23:30:00.000000+00:00"
    database.close()


def test_the_schema_that_the_url_names_is_the_one_that_is_used(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE SCHEMA ours")
        connection.execute("CREATE TABLE of_another_program (x int)")
    ours = f"{url}&options={quote('-c search_path=ours')}"
    open_database(ours, migrate=True).close()
    database = open_database(ours, read_only=True)
    assert all(applied for _, applied in migration_status(database))
    database.close()
    with psycopg.connect(url) as connection:
        assert connection.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchone() == (1,)


def test_an_encoding_that_does_not_hold_all_characters_is_refused() -> None:
    url = postgres.fresh(empty=True)
    name = name_of(url)
    postgres.administer(f"DROP DATABASE {name}")
    postgres.administer(f"CREATE DATABASE {name} ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
    with pytest.raises(StorageError, match=r"its encoding, LATIN1, does not hold all.*ENCODING 'UTF8'"):
        open_database(url, migrate=True)
    postgres.drop(url)


def test_a_server_that_says_nothing_is_given_up_and_one_that_takes_its_time_is_not(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The wire takes what is sent, as a pooler or a firewall may, so TCP notices nothing."""
    wire = Wire(path_of(url))
    name = name_of(url)
    monkeypatch.setattr(module, "_SILENCE", 0.3)
    database = open_database(f"postgresql://postgres@127.0.0.1:{wire.port}/{name}", check=False)
    database.execute_sql("SET statement_timeout = 0")
    assert database.execute_sql("SELECT 1, pg_sleep(0.6)").fetchone()[0] == 1
    database.close()
    database.connect()
    wire.cut(hang=True)
    with pytest.raises(peewee.OperationalError, match=r"said nothing for 0\.3 seconds"):
        database.execute_sql("SELECT 1")
    wire.mend()
    database.close()
    assert database.execute_sql("SELECT 1").fetchone() == (1,), "a new connection does"
    database.close()
    wire.close()
