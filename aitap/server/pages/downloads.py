"""Downloads: what a page shows, all of it, as CSV or as one JSON object a line, in constant memory.

A list goes out portion by portion, each asked for when the one before is sent; the note of whose records were read is
kept before each. A portion that fails ends the download in a way that the browser tells as failed.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

from starlette.responses import Response, StreamingResponse

from aitap.export.formats import csv_lines, json_lines
from aitap.export.output import json_text
from aitap.export.usage_csv import usage_csv
from aitap.server.answers import whose
from aitap.server.pages.one_interception import interception_asked_for
from aitap.server.pages.session_list import cursor_text, sessions_asked_for
from aitap.server.pages.usage_table import usage_asked_for
from aitap.storage.audit import Reader, note_reading
from aitap.storage.queries import snapshot

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from peewee import Database

    from aitap.server.pages.asking import Asked

    Run = Callable[[Callable[[Database, Database], Any]], Awaitable[Any]]

__all__ = ["interception_download", "session_download", "usage_download"]

_PORTION = 500
_SECONDS = 10.0
"""For so long one portion of a search looks."""
_TYPES = {"csv": "text/csv; charset=utf-8", "jsonl": "application/x-ndjson", "json": "application/json"}


async def session_download(run: Run, reader: Reader, asked: Asked) -> Response:
    """``GET /sessions.csv`` and ``/sessions.jsonl``: all sessions of the list's parameters, in its order."""
    ending = asked.path.rpartition(".")[2]

    def portion(reading: Database, writing: Database, after: str | None) -> tuple[list[dict[str, Any]], str | None]:
        with snapshot(reading):
            page = sessions_asked_for(reading, asked, after, _PORTION, seconds=_SECONDS)
        note_reading(writing, reader, whose(page.sessions))
        for session in page.sessions:
            session.pop("excerpt", None)
        return page.sessions, cursor_text(page.after) if page.after else None

    # The first is asked for before anything is sent, so that what is wrong can still be said.
    first = await run(functools.partial(portion, after=None))

    async def lines() -> AsyncIterator[bytes]:
        sessions, after = first
        begun = False
        while True:
            data = b"".join(json_lines(sessions, "sessions") if ending == "jsonl" else csv_lines(sessions, "sessions"))
            if begun and ending == "csv":
                data = data.partition(b"\r\n")[2]
            begun = True
            yield data
            if after is None:
                return
            sessions, after = await run(functools.partial(portion, after=after))

    return StreamingResponse(lines(), 200, _headers(f"sessions.{ending}"), _TYPES[ending])


async def usage_download(run: Run, _: Reader, asked: Asked) -> Response:
    """``GET /usage.csv``. There is nothing in it that anybody typed."""

    def table(reading: Database, _: Database) -> str:
        with snapshot(reading):
            rows, _total, by = usage_asked_for(reading, asked)
        return usage_csv(rows, by)

    return Response(await run(table), 200, _headers("usage.csv"), _TYPES["csv"])


async def interception_download(run: Run, reader: Reader, asked: Asked) -> Response:
    """``GET /interception/{id}.json``: the whole record with its messages."""

    def record(reading: Database, writing: Database) -> bytes:
        with snapshot(reading):
            found = interception_asked_for(reading, asked)
        note_reading(writing, reader, whose([found]))
        return json_text(found)

    data = await run(record)
    return Response(data, 200, _headers(f"interception-{asked.parts['interception_id'][-12:]}.json"), _TYPES["json"])


def _headers(name: str) -> dict[str, str]:
    return {"Content-Disposition": f'attachment; filename="{name}"'}
