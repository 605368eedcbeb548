"""What is different on a server: other clients beside us, a connection that breaks, texts that it refuses."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import psycopg
import pytest
from peewee import Database, PeeweeException

from aitap.storage.database import StorageError, migration_status, open_database, rows_of
from aitap.storage.homes.postgres import PostgresHome
from aitap.storage.queries import Filter, QueryError, get_interception, list_interceptions
from aitap.storage.writer import Writer
from tests import postgres
from tests.storage.making import ANN, T0, eventually, interception, lineage, prompt, rows, tokens, tool


@pytest.fixture
def url() -> Iterator[str]:
    url = postgres.fresh()
    yield url
    postgres.drop(url)


@pytest.fixture
def server(url: str) -> Iterator[Database]:
    database = open_database(url)
    yield database
    database.close()


@pytest.fixture
def other(url: str) -> Iterator[psycopg.Connection]:
    """Somebody else on the same database."""
    with psycopg.connect(url, autocommit=True) as connection:
        yield connection


def count(database: Database) -> int:
    return int(rows(database, "SELECT count(*) FROM aibridge_interceptions")[0][0])


def test_the_first_start_makes_the_schema_and_the_second_finds_it(url: str) -> None:
    empty = postgres.fresh(empty=True)
    open_database(empty, migrate=True).close()
    database = open_database(empty)
    assert all(applied for _, applied in migration_status(database))
    database.close()
    postgres.drop(empty)


def test_proxies_that_start_at_once_make_the_schema_once() -> None:
    empty = postgres.fresh(empty=True)
    failures: list[BaseException] = []

    def start() -> None:
        try:
            open_database(empty, migrate=True).close()
        except BaseException as error:  # noqa: BLE001 - told below
            failures.append(error)

    starts = [threading.Thread(target=start) for _ in range(4)]
    for thread in starts:
        thread.start()
    for thread in starts:
        thread.join()
    assert failures == []
    postgres.drop(empty)


def test_a_password_is_in_no_message() -> None:
    home = PostgresHome("postgresql://ann:s3cret@db.example.com:5433/aitap?sslmode=require")
    assert home.name == "postgresql://ann@db.example.com:5433/aitap"
    with pytest.raises(StorageError) as caught:
        open_database("postgresql://ann:s3cret@127.0.0.1:1/aitap")
    assert "nobody listens there" in caught.value.args[0]
    assert "s3cret" not in str(caught.value)


def test_a_database_that_is_not_there_is_named(url: str) -> None:
    with pytest.raises(StorageError, match="create them on the server"):
        open_database(url.replace("@/t", "@/no_such_"))


def test_tables_of_another_program_are_left_alone() -> None:
    empty = postgres.fresh(empty=True)
    with psycopg.connect(empty, autocommit=True) as connection:
        connection.execute("CREATE TABLE theirs (id int)")
    with pytest.raises(StorageError, match="theirs"):
        open_database(empty, migrate=True)
    postgres.drop(empty)


def test_who_only_reads_cannot_write(url: str) -> None:
    reader = open_database(url, read_only=True)
    with pytest.raises(PeeweeException, match="read-only"):
        rows_of(reader, "DELETE FROM users")
    reader.close()


def test_text_that_the_server_refuses_is_stored_without_what_it_refuses(server: Database) -> None:
    writer = Writer(server, flush_interval=0.0)
    writer.start()
    record = interception(
        user_prompts=[prompt("a\0b")],
        tool_usages=[tool("call\0", "{}\0")],
        metadata={"k\0": ["v\0"]},
        error_message="\0",
    )
    writer.submit(record)
    assert writer.flush(60)
    assert (writer.stats.written, writer.stats.lost) == (1, 0)
    assert rows(server, "SELECT prompt FROM aibridge_user_prompts") == [("a\ufffdb",)]
    writer.close()


def test_a_number_that_no_column_holds_costs_its_record_alone(server: Database) -> None:
    writer = Writer(server, flush_interval=0.0)
    writer.start()
    for value in (1, 1 << 70, 2):
        writer.submit(interception(token_usages=[tokens(input_tokens=value)]))
    assert writer.flush(60)
    assert (writer.stats.written, writer.stats.lost, count(server)) == (2, 1, 2)
    writer.close()


def test_a_connection_that_is_cut_costs_no_record(server: Database, other: psycopg.Connection) -> None:
    writer = Writer(server, flush_interval=0.0)
    writer.start()
    for number in range(60):
        writer.submit(interception(T0 + number))
        if number % 20 == 10:
            other.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'aitap'")
    assert writer.flush(60)
    server.close()  # ours was cut, too
    assert (writer.stats.lost, count(server)) == (0, 60)
    assert writer.close()


def test_a_lock_that_another_holds_costs_time_alone(server: Database, other: psycopg.Connection) -> None:
    writer = Writer(server, flush_interval=0.0)
    writer.start()
    assert writer.flush(60)
    with other.transaction():
        other.execute("LOCK TABLE aibridge_interceptions IN ACCESS EXCLUSIVE MODE")
        writer.submit(interception())
        assert not writer.flush(0.2)
    assert writer.flush(60)
    assert (writer.stats.lost, count(server)) == (0, 1)
    assert writer.close()


def test_proxies_that_share_a_session_add_up(url: str) -> None:
    databases = [open_database(url) for _ in range(3)]
    writers = [Writer(database, flush_interval=0.001) for database in databases]
    for writer in writers:
        writer.start()
    for number in range(300):
        record = interception(T0 + number, client_session_id="s", token_usages=[tokens(input_tokens=1)])
        writers[number % 3].submit(record)
    assert all(writer.flush(60) for writer in writers)
    assert rows(databases[0], "SELECT interceptions, input_tokens FROM aitap_sessions") == [(300, 300)]
    assert [writer.stats.lost for writer in writers] == [0, 0, 0]
    for writer, database in zip(writers, databases, strict=True):
        assert writer.close()
        database.close()


def test_a_thread_goes_on_through_another_proxy(url: str) -> None:
    databases = [open_database(url) for _ in range(2)]
    writers = [Writer(database, flush_interval=0.0) for database in databases]
    for writer in writers:
        writer.start()
    asked = interception(T0, tool_usages=[tool("call_1")])
    writers[0].submit(asked)
    assert writers[0].flush(60)
    answered = interception(T0 + 5, lineage=lineage("call_1"))
    writers[1].submit(answered)
    assert writers[1].flush(60)
    found = get_interception(databases[0], answered.id)
    assert found is not None
    assert found["thread_parent_id"] == asked.id
    for writer, database in zip(writers, databases, strict=True):
        writer.close()
        database.close()


def test_what_is_no_id_is_not_found_instead_of_an_error(server: Database) -> None:
    assert get_interception(server, "no-id") is None
    with pytest.raises(QueryError, match="not found"):
        list_interceptions(server, Filter(), limit=1, after_id="no id")
    assert list_interceptions(server, Filter(initiator_id="nobody"), limit=1) == []
    assert list_interceptions(server, Filter(initiator_id=ANN), limit=1) == []


def test_the_server_that_comes_back_gets_what_waited(server: Database, url: str) -> None:
    writer = Writer(server, flush_interval=0.0)
    writer.start()
    assert writer.flush(60)
    name = url.partition("@/")[2].partition("?")[0]
    postgres.administer(f"ALTER DATABASE {name} WITH ALLOW_CONNECTIONS false")
    postgres.administer(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")
    for number in range(10):
        writer.submit(interception(T0 + number))
    assert eventually(lambda: writer.stats.retries >= 2)
    postgres.administer(f"ALTER DATABASE {name} WITH ALLOW_CONNECTIONS true")
    assert writer.flush(60)
    server.close()
    assert (writer.stats.lost, count(server)) == (0, 10)
    assert writer.close()
