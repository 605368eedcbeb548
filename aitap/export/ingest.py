"""``aitap ingest``: saved traffic into records, by the code that records live traffic."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import time
from typing import TYPE_CHECKING, Any, BinaryIO

import click

from aitap.export.failures import Failure
from aitap.export.progress import progress_bar
from aitap.export.store import database_option, in_force, keep_evidence

if TYPE_CHECKING:
    from collections.abc import Iterator

    from peewee import Database

    from aitap.capture.saved import Replay, SavedExchange
    from aitap.capture.saved_file import SavedFile
    from aitap.record import Interception
    from aitap.storage.writer import Writer

__all__ = ["ingest"]

_BATCH = 500
_STDIN = "-"

"""Takes how many bytes of the file are read."""


@click.command()
@click.argument("files", metavar="FILE...", nargs=-1, required=True)
@click.option("--initiator", metavar="NAME", default="me", show_default=True, help="Whose traffic it is: a username.")
@database_option
def ingest(*, files: tuple[str, ...], initiator: str) -> None:
    """Record traffic that was saved: flow files of mitmproxy (.mitm) and HTTP archives (HAR). - is stdin.

    Times are those of the files. What was ingested before is not recorded twice. What can be read of a
    broken file is recorded, and the exit status is 1.
    """
    from aitap.capture.routes import Router
    from aitap.capture.saved import Replay
    from aitap.prices.pricing import Prices
    from aitap.redaction.redactor import redactor_of
    from aitap.storage.database import open_database
    from aitap.storage.writer import Writer

    settings = in_force()
    database = open_database(settings.database_url, migrate=True)
    try:
        keep_evidence(database, settings)
        initiator_id = _initiator(database, initiator)
        redactor = redactor_of(settings.redact, settings.redactions)
        replay = Replay(Router(settings.providers), initiator_id, settings.capture, redactor)
        prices = Prices(settings.prices)
        # Nothing is pruned from here: who ingests old traffic wants to look at it first.
        with _running(Writer(database, flush_interval=0.0, prices=prices)) as writer, _one_line_logs():
            intake = _Intake(database, writer, replay, time.time() - settings.retention if settings.retention else 0.0)
            problems = [problem for file in files if (problem := _ingest_file(file, intake))]
            intake.settle()
        lost = writer.stats.lost
    finally:
        database.close()
    click.echo(f"{intake.recorded} recorded, {intake.known} already there, {intake.other} not AI")
    if intake.old:
        click.echo(
            f"{intake.old} of them are older than the retention: a proxy will remove them; AITAP_RETENTION=0 keeps them"
        )
    if replay.decode_errors:
        problems.append(f"{replay.decode_errors} exchanges could not be read by a fault of aitap's: please report it")
    if lost:
        problems.append(f"{lost} records could not be stored")
    if problems:
        raise Failure("; ".join(problems))


class _Intake:
    """Takes exchanges, hands their records to the writer, batch by batch, and counts."""

    def __init__(self, database: Database, writer: Writer, replay: Replay, keeps_since: float) -> None:
        self.recorded = self.known = self.other = self.old = 0
        self._keeps_since = keeps_since
        self._database = database
        self._writer = writer
        self._replay = replay
        self._batch: dict[str, Interception] = {}

    def take(self, saved: SavedExchange | None) -> None:
        """One exchange, or None for what is no exchange."""
        records = self._replay.records(saved) if saved is not None else []
        self.other += not records
        for record in records:
            self.known += record.id in self._batch
            self._batch[record.id] = record
        if len(self._batch) >= _BATCH:
            self.settle()

    def settle(self) -> None:
        """Record what is new of what was taken, and wait until it is stored."""
        from aitap.storage.database import question_marks, rows_of

        if not self._batch:
            return
        sql = "SELECT id FROM aibridge_interceptions WHERE ended_at IS NOT NULL AND id IN "
        there = {str(row[0]) for row in rows_of(self._database, sql + question_marks(len(self._batch)), [*self._batch])}
        for own_id, record in self._batch.items():
            if own_id not in there:
                self._writer.submit(record)
                self.old += record.started_at < self._keeps_since
        self.known += len(there)
        self.recorded += len(self._batch) - len(there)
        self._batch.clear()
        while not self._writer.flush(1.0):
            pass


def _ingest_file(name: str, intake: _Intake) -> str | None:
    """Take all that can be read; what kept the rest from being read, if anything did."""
    from aitap.capture.saved import SavedFileError
    from aitap.capture.saved_file import SavedFile
    from aitap.export.human import one_line

    shown = "stdin" if name == _STDIN else name
    try:
        bar_name = one_line(os.path.basename(shown), 40)  # noqa: PTH119 - no path need be one
        with _opened(name) as raw, progress_bar(bar_name, total=_size(raw), of_bytes=True) as bar:
            file = SavedFile(raw)
            for saved in _exchanges(file):
                intake.take(saved)
                bar.reached(file.position)
    except SavedFileError as error:
        return f"{shown} {error}"
    except OSError as error:
        return f"{shown}: {error.strerror or error}"
    return None


def _exchanges(file: SavedFile) -> Iterator[SavedExchange | None]:
    from aitap.capture.saved import SavedFileError

    kind = file.kind()
    if kind == "har":
        from aitap.capture.har import read_har

        return read_har(file)
    if kind == "flows":
        from aitap.capture.saved_flows import read_flows

        return read_flows(file)
    if kind is None:
        raise SavedFileError("is neither a flow file of mitmproxy nor an HTTP archive")
    return iter(())


@contextlib.contextmanager
def _opened(name: str) -> Iterator[BinaryIO]:
    if name == _STDIN:
        yield sys.stdin.buffer
        return
    with open(name, "rb") as file:  # noqa: PTH123 - a name is all it is
        yield file


def _size(raw: BinaryIO) -> int | None:
    """Bytes of a file; None for a pipe, which has no size."""
    try:
        return os.fstat(raw.fileno()).st_size or None
    except (OSError, ValueError):
        return None


@contextlib.contextmanager
def _running(writer: Writer) -> Iterator[Writer]:
    writer.start()
    try:
        yield writer
    finally:
        writer.close()


@contextlib.contextmanager
def _one_line_logs() -> Iterator[None]:
    """What the recording code logs, as lines of this command: a traceback is for a proxy's log."""
    logger = logging.getLogger("aitap")
    handler = logging.StreamHandler()
    handler.setFormatter(_OneLine("aitap: %(message)s"))
    logger.addHandler(handler)
    logger.propagate = False
    try:
        yield
    finally:
        logger.propagate = True
        logger.removeHandler(handler)


class _OneLine(logging.Formatter):
    def formatException(self, ei: Any) -> str:  # noqa: ARG002, N802
        return ""

    def format(self, record: logging.LogRecord) -> str:
        return " ".join(super().format(record).split())


def _initiator(database: Database, name: str) -> str:
    """The id of the user of this name, who is made where there is none. Raises ``SearchError`` for an unknown id."""
    from aitap.access.identity import local_user, user_id
    from aitap.storage.search import SearchError, resolve_initiator
    from aitap.storage.users import ensure_user, has_user

    own_id, own_name = local_user()
    if name in ("me", own_name):
        ensure_user(database, own_id, own_name)
        return own_id
    try:
        found = resolve_initiator(database, name, local_user)
    except SearchError:
        found = user_id(name)
        ensure_user(database, found, name)
    if not has_user(database, found):
        raise SearchError("initiator", f"user {name!r} does not exist")
    return found
