"""``aitap export``: whole records into a file or a pipe, however many there are."""

from __future__ import annotations

import contextlib
import functools
import sys
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import click

from aitap.atomic_file import atomic_file
from aitap.export.compression import COMPRESSIONS, compressed
from aitap.export.failures import Failure
from aitap.export.formats import FORMATS, otlp
from aitap.export.progress import progress_bar
from aitap.export.query_options import query_options, query_values, resolved
from aitap.export.store import opened
from aitap.storage import cursors, queries
from aitap.storage.bulk import Bulk, as_dict
from aitap.storage.conversation import add_messages, add_session_messages
from aitap.storage.homes import home_of_database

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from peewee import Database

    from aitap.export.progress import Bar

__all__ = ["export"]

_AT_ONCE = 200


@click.command()
@click.argument("what", type=click.Choice(["interceptions", "sessions"]), default="interceptions", required=False)
@click.option(
    "--format",
    "format_name",
    type=click.Choice([*FORMATS, "otlp"]),
    help="What to write; the default goes by FILE's ending, else jsonl. otlp sends log lines to a collector.",
)
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    type=click.Path(dir_okay=False, allow_dash=True, path_type=Path),
    help="Write FILE instead of stdout, compressed where it ends in .gz or .zst; it appears when it is whole.",
)
@click.option(
    "--contents", is_flag=True, help="With the messages, where they were captured: of each record, all of them."
)
@click.option(
    "--since-last",
    is_flag=True,
    help="Only what has ended since the last export of this --name; at first, all that has ended.",
)
@click.option(
    "--name", metavar="NAME", help="Of an export that goes on where it stopped; with --since-last. [default: default]"
)
@click.option("--forget", is_flag=True, help="Forget how far the export of this --name had come, and do nothing else.")
@query_options
def export(
    *,
    what: str,
    format_name: str | None,
    output: Path | None,
    contents: bool,
    since_last: bool,
    name: str | None,
    forget: bool,
    **query: Any,
) -> None:
    """Export whole records: interceptions (oldest first, with all that belongs to them) or sessions.

    All is as it stood when the export began. json is one array, jsonl one object a line, parquet has typed columns
    (extra `parquet`), otlp sends log lines to the collector that OTEL_* name (extra `otel`). In csv a text that
    begins with = + - or @ gets an apostrophe in front, so that no spreadsheet takes it for a formula. A new FILE may
    be read by its owner alone: it holds what people typed.
    """
    if forget:
        _forget(name or "default")
        return
    if output is not None and str(output) == "-":
        output = None
    format_name = _format(format_name, output)
    if contents and format_name == "csv":
        raise click.UsageError("--contents has no place in csv: write json, jsonl or parquet")
    if what == "sessions" and since_last:
        raise click.UsageError("--since-last is for interceptions: a session has no end after which nothing comes")
    if format_name == "otlp" and (what == "sessions" or contents or output):
        raise click.UsageError("otlp sends interceptions to a collector: it takes no sessions, --contents or file")
    if name and not since_last:
        raise click.UsageError("--name goes with --since-last")
    encode: Callable[..., Iterator[bytes]] = otlp if format_name == "otlp" else FORMATS[format_name]
    if format_name == "parquet" and contents:
        encode = functools.partial(encode, contents=True)
    with opened(read_only=not since_last, chained=False) as database:
        asked = query_values("sessions" if what == "sessions" else "interceptions", query)
        wanted = resolved(database, asked)
        cursor = cursors.begin(database, name or "default", _question(wanted, asked)) if since_last else None
        beside = output is not None or format_name == "otlp" or not sys.stdout.isatty()
        with _destination(output) as file, progress_bar(what, beside=beside) as bar:
            with _one_moment(database):
                records = _records(database, what, wanted, cursor, bar)
                if what == "interceptions" and (contents or format_name == "otlp"):
                    records = map(as_dict, records)
                if contents:
                    add = add_session_messages if what == "sessions" else add_messages
                    records = (add(database, record) for record in records)
                counted = _Counted(records, bar)
                for piece in encode(counted, what):
                    file.write(piece)
            file.flush()
        if cursor is not None:
            # Not before the file is whole and in its place: who is cut off in between exports the same again.
            cursors.finish(database, cursor, counted.count)


def _format(given: str | None, output: Path | None) -> str:
    """What was asked for, or what the name of the file says."""
    suffixes = [suffix.lower() for suffix in output.suffixes] if output else []
    packed = bool(suffixes) and suffixes[-1] in COMPRESSIONS
    ending = suffixes[-2:-1] if packed else suffixes[-1:]
    name = given or next((name for name in FORMATS if [f".{name}"] == ending), "jsonl")
    if name == "parquet":
        if packed:
            raise click.UsageError("parquet is compressed inside: leave out the last ending of the file's name")
        if output is None and sys.stdout.isatty():
            raise click.UsageError("parquet is not for a terminal: write a file with -o FILE")
    return name


def _records(
    database: Database, what: str, wanted: queries.Filter, cursor: cursors.Cursor | None, bar: Bar
) -> Iterable[Any]:
    """Interceptions as structures (:mod:`aitap.storage.bulk`), sessions as dicts."""
    if cursor is not None:
        return cursors.iter_since(database, cursor, wanted)
    if bar.shown:
        bar.total((queries.count_sessions if what == "sessions" else queries.count_interceptions)(database, wanted))
    return queries.iter_sessions(database, wanted) if what == "sessions" else Bulk(database).all(wanted)


class _Counted:
    """Records on their way, counted."""

    def __init__(self, records: Iterable[Any], bar: Bar) -> None:
        self.count = 0
        self._records = records
        self._bar = bar

    def __iter__(self) -> Iterator[Any]:
        for record in self._records:
            yield record
            self.count += 1
            if self.count % _AT_ONCE == 0:
                self._bar.advance(_AT_ONCE)
        self._bar.advance(self.count % _AT_ONCE)


def _question(wanted: queries.Filter, asked: dict[str, str]) -> str:
    """What the filter asks, to be compared with what it asked the last time: an age is the same age every night."""
    from msgspec import structs, to_builtins

    from aitap.storage.fields import json_text
    from aitap.storage.search import is_age

    values = {name: to_builtins(value) for name, value in structs.asdict(wanted).items() if value}
    for name in ("started_after", "started_before"):
        if name in values and is_age(asked[name]):
            values[name] = asked[name].strip()
    return json_text(values)


def _forget(name: str) -> None:
    with opened(read_only=False, chained=False) as database:
        if not cursors.forget(database, name):
            known = ", ".join(map(repr, cursors.names(database))) or "none"
            raise Failure(f"there is no export {name!r} that could go on; there are: {known}")


@contextlib.contextmanager
def _one_moment(database: Database) -> Iterator[None]:
    """All answers are of one moment, however long it takes whoever reads our output."""
    with queries.snapshot(database):
        home_of_database(database).take_time(database)
        yield


@contextlib.contextmanager
def _destination(output: Path | None) -> Iterator[IO[bytes]]:
    if output is None:
        yield sys.stdout.buffer
        return
    try:
        with atomic_file(output, mode=0o600) as file, compressed(file, output) as target:
            yield target
    except OSError as error:
        raise Failure(f"cannot write {output}: {error.strerror or error}") from None
