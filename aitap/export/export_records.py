"""``aitap export``: whole records into a file or a pipe, however many there are."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import click

from aitap.atomic_file import atomic_file
from aitap.export.failures import Failure
from aitap.export.formats import FORMATS
from aitap.export.query_options import query_filter, query_options
from aitap.export.store import opened
from aitap.storage import queries
from aitap.storage.conversation import add_messages, add_session_messages

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from peewee import Database

__all__ = ["export"]


@click.command()
@click.argument("what", type=click.Choice(["interceptions", "sessions"]), default="interceptions", required=False)
@click.option(
    "--format",
    "format_name",
    type=click.Choice(list(FORMATS)),
    help="What to write; the default goes by FILE's ending, else jsonl.",
)
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    type=click.Path(dir_okay=False, allow_dash=True, path_type=Path),
    help="Write FILE instead of stdout; it appears when it is whole.",
)
@click.option(
    "--contents", is_flag=True, help="With the messages, where they were captured: of each record, all of them."
)
@query_options
def export(*, what: str, format_name: str | None, output: Path | None, contents: bool, **query: Any) -> None:
    """Export whole records: interceptions (oldest first, with all that belongs to them) or sessions.

    json is one array, jsonl one object a line. In csv a text that begins with = + - or @ gets an apostrophe
    in front, so that no spreadsheet takes it for a formula.
    """
    if output is not None and str(output) == "-":
        output = None
    format_name = format_name or _by_ending(output)
    if contents and format_name == "csv":
        raise click.UsageError("--contents has no place in csv: write json or jsonl")
    encode = FORMATS[format_name]
    with opened() as database, _destination(output) as file:
        wanted = query_filter(database, "sessions" if what == "sessions" else "interceptions", query)
        iterate = queries.iter_sessions if what == "sessions" else queries.iter_interceptions
        with contextlib.closing(iterate(database, wanted)) as records:  # type: ignore[type-var]
            shown = _with_progress(records, what, database, wanted, to_file=output is not None)
            if contents:
                add = add_session_messages if what == "sessions" else add_messages
                shown = (add(database, record) for record in shown)
            for piece in encode(shown, what):
                file.write(piece)
        file.flush()


def _by_ending(output: Path | None) -> str:
    ending = output.suffix.lstrip(".").lower() if output else ""
    return ending if ending in FORMATS else "jsonl"


@contextlib.contextmanager
def _destination(output: Path | None) -> Iterator[IO[bytes]]:
    if output is None:
        yield sys.stdout.buffer
        return
    try:
        with atomic_file(output) as file:
            yield file
    except OSError as error:
        raise Failure(f"cannot write {output}: {error.strerror or error}") from None


def _with_progress(
    records: Iterable[dict[str, Any]], what: str, database: Database, filter: queries.Filter, *, to_file: bool
) -> Iterable[dict[str, Any]]:
    """The records, with a bar on stderr where somebody looks at it and the records do not go to the same screen."""
    if not sys.stderr.isatty() or (not to_file and sys.stdout.isatty()):
        return records
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    count = queries.count_sessions if what == "sessions" else queries.count_interceptions

    def shown() -> Iterator[dict[str, Any]]:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Progress(*columns, console=Console(stderr=True)) as progress:
            yield from progress.track(records, total=count(database, filter), description=what)

    return shown()
