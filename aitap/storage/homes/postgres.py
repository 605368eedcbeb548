"""A PostgreSQL server, or a CockroachDB cluster, by psycopg 3.

Writers of all proxies take turns: a transaction begins with an advisory lock, so that sums that are read
and written back cannot miss each other, and no two of them wait for each other crosswise. (CockroachDB
has no such lock and needs none: its transactions are serialisable, and one that lost is tried again.)
"""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import peewee
from peewee import PostgresqlDatabase

from aitap.storage.homes.home import StorageError
from aitap.storage.homes.patience import Patience
from aitap.storage.homes.postgres_url import read_url

if TYPE_CHECKING:
    from peewee import Database

__all__ = ["PostgresHome"]

_LOCK = 0x6169746170
"""Of this program alone among those that use the database: ``aitap`` in ASCII."""
_ALONE = 0x61697461
"""The first half of the keys for what one process does at a time."""
_PARAMETERS = {
    "connect_timeout": 10,
    "application_name": "aitap",
    "client_encoding": "utf8",
    # A server that vanished is noticed, and the batch tried elsewhere, within half a minute.
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 25_000,
}
"""In seconds, and the last in milliseconds. What the URL says goes first."""
_FOR_GOOD = (
    "authentication failed",
    "does not exist",
    "permission denied",
    "no pg_hba.conf entry",
    "no password supplied",
    "invalid connection option",
    "invalid dsn",
    "certificate verify failed",
    "does not support SSL",
    "unsupported startup parameter",
)
_SILENCE = 90.0
"""Seconds: more than the server gives itself for a statement."""
_SESSION = {
    "timezone": "UTC",
    "statement_timeout": "60000",
    "idle_in_transaction_session_timeout": "60000",
    "lock_timeout": "30000",
}
"""What the server is asked to keep to, times in milliseconds."""


class PostgresHome:
    """A :class:`aitap.storage.homes.home.Home`."""

    def __init__(self, url: str) -> None:
        self._cockroach = url.startswith("cockroachdb:")
        self._url, self.name, self._told = read_url(url)
        self._theirs = self._told.get("options", os.environ.get("PGOPTIONS", ""))
        self.patient = "statement_timeout" in self._theirs
        """Whether statements may take longer than ours do."""

    def prepare(self, *, create: bool) -> None:  # noqa: ARG002 - nothing to create
        """See :class:`aitap.storage.homes.home.Home`: the server's administrator makes databases."""
        try:
            import psycopg  # noqa: F401, PLC0415 - an extra
        except ImportError:
            raise StorageError("PostgreSQL needs a driver: pip install 'aitap[postgres]'") from None

    def database(self, *, read_only: bool) -> Database:
        """See :class:`aitap.storage.homes.home.Home`."""
        # Theirs come last, and win: a search path, say, or a longer timeout.
        session = " ".join(f"-c {name}={value}" for name, value in _SESSION.items())
        options = f"{session} {self._theirs}" + (" -c default_transaction_read_only=on" if read_only else "")
        ours = {name: value for name, value in _PARAMETERS.items() if name not in self._told}
        if read_only and self._told.get("target_session_attrs") == "read-write":
            # A session that writes nothing is none of those; what is meant is the server that takes writes.
            ours["target_session_attrs"] = "primary"
        kind: Any = _cockroach() if self._cockroach else _Postgres
        database = kind(
            self._url,
            prefer_psycopg3=True,
            options=options,
            **ours,
        )
        database.aitap_home = self
        return database  # type: ignore[no-any-return]

    def connect(self, *, read_only: bool) -> Database:
        """See :class:`aitap.storage.homes.home.Home`."""
        database = self.database(read_only=read_only)
        self.open(database)
        return database

    def open(self, database: Database) -> None:
        """See :class:`aitap.storage.homes.home.Home`."""
        database.connect()
        encoding = database.connection().info.parameter_status("server_encoding")
        if encoding != "UTF8" and not self._cockroach:
            raise StorageError(
                f"cannot use {self.name}: its encoding, {encoding}, does not hold all that people write; make another "
                "with CREATE DATABASE ... ENCODING 'UTF8' TEMPLATE template0"
            )

    def lock(self, database: Database) -> None:
        """See :class:`aitap.storage.homes.home.Home`."""
        if not self._cockroach:
            database.execute_sql("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))

    def make_sure(self, database: Database) -> None:
        """See :class:`aitap.storage.homes.home.Home`: a connection to a server that is another now is cut."""

    def begin_alone(self, database: Database, work: str) -> bool:
        """See :class:`aitap.storage.homes.home.Home`."""
        if self._cockroach:
            return True
        [(taken,)] = database.execute_sql("SELECT pg_try_advisory_lock(%s, hashtext(%s))", (_ALONE, work)).fetchall()
        return bool(taken)

    def end_alone(self, database: Database, work: str) -> None:
        """See :class:`aitap.storage.homes.home.Home`."""
        if not self._cockroach and not database.is_closed():
            database.execute_sql("SELECT pg_advisory_unlock(%s, hashtext(%s))", (_ALONE, work))

    def take_time(self, database: Database) -> None:
        """See :class:`aitap.storage.homes.home.Home`."""
        for name in ("statement_timeout", "idle_in_transaction_session_timeout"):
            database.execute_sql(f"SET LOCAL {name} = 0")

    def back_up(self, pending: str) -> str:  # noqa: ARG002 - as in Home
        """See :class:`aitap.storage.homes.home.Home`: the server has its own, and migrations undo as a whole."""
        return ""

    def give_back(self, database: Database, most: int) -> int:  # noqa: ARG002 - as in Home
        """See :class:`aitap.storage.homes.home.Home`: the server's autovacuum keeps the room for what comes next."""
        return 0

    def overwrite_deleted(self, database: Database) -> str:
        """See :class:`aitap.storage.homes.home.Home`: pages, write-ahead log and backups are the server's affair."""
        try:
            database.execute_sql("SET statement_timeout = 0")
            database.execute_sql("VACUUM")
        except peewee.PeeweeException as error:
            return f"the server's free space may still hold what was deleted ({self.advice(str(error))})"
        return (
            "" if self._cockroach else "the server's pages and write-ahead log hold deleted rows until it reuses them"
        )

    def advice(self, reason: str) -> str:
        """See :class:`aitap.storage.homes.home.Home`."""
        reason = " ".join(reason.split())
        for words, advice in (
            ("unsupported startup parameter", "a pooler refuses our options; have PgBouncer ignore_startup_parameters"),
            ("ertificate", "check sslmode and sslrootcert in AITAP_DATABASE_URL"),
            ("too many", "the server takes no more connections of this user; raise its limit or that of the user"),
            ("password authentication failed", "the server refuses user or password; check AITAP_DATABASE_URL"),
            ("does not exist", "check user and database name in AITAP_DATABASE_URL, or create them on the server"),
            ("onnection refused", "nobody listens there; check host and port in AITAP_DATABASE_URL"),
            ("permission denied", "the user may not do that; grant it the schema, or own the database"),
            ("read-only", "the server takes no writes; connect to the primary"),
        ):
            if words in reason:
                return f"{advice} ({reason[:200]})"
        return reason[:300]

    def may_come_back(self, reason: str) -> bool:
        """See :class:`aitap.storage.homes.home.Home`: one that is away may, one that does not know us will not."""
        return not any(words in reason for words in _FOR_GOOD)


class _AsText:
    """Gives moments, ids and JSON as the text that SQLite would give, and makes plain tables."""

    aitap_home: PostgresHome

    def _connect(self) -> Any:
        connection = super()._connect()  # type: ignore[misc]
        _register(connection)
        if connection.info.parameter_status("TimeZone") != _SESSION["timezone"]:
            # A pooler may leave out what we ask for when we connect.
            for name, value in _SESSION.items():
                connection.execute(f"SET {name} = '{value}'")
        connection.aitap_patience = Patience(connection, float("inf") if self.aitap_home.patient else _SILENCE)
        return connection

    def execute_sql(self, sql: str, *arguments: Any, **options: Any) -> Any:
        if sql.startswith("SET ") and "statement_timeout" in sql:
            # What is meant to take its time is waited for.
            self.connection().aitap_patience.seconds = float("inf")  # type: ignore[attr-defined]
        return super().execute_sql(sql, *arguments, **options)  # type: ignore[misc]

    def create_tables(self, models: Any, **options: Any) -> None:
        clustered = [model for model in models if model._meta.without_rowid]
        for model in clustered:
            model._meta.without_rowid = False
        try:
            super().create_tables(models, **options)  # type: ignore[misc]
        finally:
            for model in clustered:
                model._meta.without_rowid = True


class _Postgres(_AsText, PostgresqlDatabase):
    takes_documents = True
    """Rows can be inserted as one JSON document."""


def _cockroach() -> Any:
    from playhouse.cockroachdb import CockroachDatabase  # noqa: PLC0415 - needs the extra

    return type("_Cockroach", (_AsText, CockroachDatabase), {})


def _register(connection: Any) -> None:
    from psycopg.adapt import Loader  # noqa: PLC0415 - an extra
    from psycopg.types.string import TextLoader  # noqa: PLC0415

    class Moment(Loader):
        """``2026-11-20 16:11:35.12+00`` as :func:`aitap.storage.fields.timestamp_text` writes it."""

        def load(self, data: Any) -> str:
            text = bytes(data).decode()
            if not text.endswith("+00"):
                # Somebody set another time zone, behind a pooler where connections are shared.
                text = f"{datetime.fromisoformat(text).astimezone(UTC):%Y-%m-%d %H:%M:%S.%f}+00"
            moment, fraction = text[:19], text[19:-3]
            return f"{moment}{(fraction or '.').ljust(7, '0')}+00:00"

    connection.adapters.register_loader("timestamptz", Moment)
    for name in ("uuid", "json", "jsonb"):
        connection.adapters.register_loader(name, TextLoader)
