"""``aitap tail``: records as they are written."""

from __future__ import annotations

import contextlib
import select
import sys
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click
import msgspec

from aitap.export.follow import Follower
from aitap.export.output import terminal, wants_json
from aitap.export.query_options import json_option, query_filter, query_options
from aitap.export.store import opened

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["tail"]

Record = dict[str, Any]


@click.command()
@click.option(
    "-n", "--lines", type=click.IntRange(0, 1000), default=10, show_default=True, help="Begin with the last so many."
)
@click.option(
    "--interval",
    type=click.FloatRange(0.05, 60),
    default=0.5,
    show_default=True,
    metavar="SECONDS",
    help="How often to look.",
)
@query_options
@json_option
def tail(*, lines: int, interval: float, as_json: bool, **query: Any) -> None:
    """Follow new and finished interceptions until Ctrl-C.

    Lines of a table on a terminal, one JSON object a line elsewhere. A call that takes its time comes
    twice: when it begins (in flight) and when it has ended.
    """
    with contextlib.suppress(KeyboardInterrupt), opened() as database:
        follower = Follower(database, query_filter(database, "interceptions", query), backlog=lines)
        show = _as_lines if wants_json(asked=as_json) else _as_rows()
        while True:
            if records := follower.poll():
                show(records)
            if not _still_read(interval):
                raise BrokenPipeError


def _as_lines(records: list[Record]) -> None:
    stream = sys.stdout.buffer
    stream.write(b"".join(msgspec.json.encode(record) + b"\n" for record in records))
    stream.flush()


def _as_rows() -> Callable[[list[Record]], None]:
    from aitap.export.tables import interception_table

    console = terminal()
    header = True

    def show(records: list[Record]) -> None:
        nonlocal header
        console.print(interception_table(records, console.width, datetime.now(UTC), header=header, fixed=True))
        header = False

    return show


def _still_read(seconds: float) -> bool:
    """Waits; ``False`` at once when whoever read our output has gone, even if there is nothing to write."""
    try:
        descriptor = sys.stdout.fileno()
        watch = select.poll()
    except (AttributeError, OSError, ValueError):
        time.sleep(seconds)
        return True
    watch.register(descriptor, 0)
    deadline = time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0:
        if any(event & (select.POLLERR | select.POLLNVAL) for _, event in watch.poll(left * 1000)):
            return False
        # A terminal that hung up or a file answers at once, without an error.
        time.sleep(min(0.05, left))
    return True
