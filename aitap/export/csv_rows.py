"""Records as rows of CSV: one row each, nothing left out, and no cell that a spreadsheet would run.

A text that begins like a formula (``=``, ``+``, ``-``, ``@``, their full-width forms, a tab or a line
end) gets an apostrophe in front, because Excel, LibreOffice and Google Sheets evaluate such cells of a
CSV file. Numbers stay numbers, unknown is an empty cell, lists and objects are JSON in their cell.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec
from peewee import BooleanField, TextField

from aitap.storage.fields import Timestamp, Uuid
from aitap.storage.models import CONTENTS
from aitap.storage.rows import CHILDREN, INTERCEPTION, TOKEN_COUNTERS

__all__ = ["INTERCEPTION_COLUMNS", "SESSION_COLUMNS", "cell", "csv_line", "interception_line", "session_line"]

_FORMULA = frozenset("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")

_json = msgspec.json.Encoder().encode

Record = Mapping[str, Any]


def cell(value: Any) -> str | int | float:
    """One value as a CSV cell."""
    kind = type(value)
    if kind is str:
        text = value
    elif value is None:
        return ""
    elif kind is int or kind is float:
        return value  # type: ignore[no-any-return]
    elif kind is bool:
        return "true" if value else "false"
    else:
        text = _json(value).decode()
    if "\0" in text:
        # SQLite keeps NUL characters in texts; readers of CSV choke on them.
        text = text.replace("\0", "")
    return f"'{text}" if text[:1] in _FORMULA else text


def csv_line(cells: Iterable[str | int | float]) -> str:
    """One row with its end, quoted where RFC 4180 wants it: the csv module's, at a fifth of the time for long texts."""
    return ",".join([_quoted(cell) if type(cell) is str else repr(cell) for cell in cells]) + "\r\n"


def _quoted(text: str) -> str:
    if '"' in text:
        return '"' + text.replace('"', '""') + '"'
    return f'"{text}"' if "," in text or "\n" in text or "\r" in text else text


def _column(name: str) -> Callable[[Record], Any]:
    return lambda record: record[name]


_SESSION: dict[str, Callable[[Record], Any]] = {
    "id": _column("id"),
    "initiator_id": _column("initiator_id"),
    "initiator_username": lambda record: record["initiator"]["username"],
    **{
        name: _column(name)
        for name in (
            *("client", "providers", "models", "started_at", "ended_at", "last_active_at"),
            *("interceptions", "threads", "prompts", "tool_calls", "errors", "last_prompt", "metadata"),
        )
    },
    **{name: lambda record, name=name: record["token_usage_summary"][name] for name in TOKEN_COUNTERS},  # type: ignore[misc]
    "cost_micros": _column("cost_micros"),
    "unpriced": _column("unpriced"),
}

INTERCEPTION_COLUMNS = [
    *INTERCEPTION.names,
    "initiator_username",
    *TOKEN_COUNTERS,
    *("cost_micros", "prompt", "tools"),
    *CHILDREN,
]
"""Heads of the columns of an interception: its own, what its children sum up to, the children as JSON."""

SESSION_COLUMNS = list(_SESSION)
"""Heads of the columns of a session."""


def interception_line(record: Any) -> str:
    """An interception of :mod:`aitap.storage.bulk` as a row in the order of ``INTERCEPTION_COLUMNS``, with its end."""
    usages, prompts, tools = record.token_usages, record.user_prompts, record.tool_usages
    costs = [usage.cost_micros for usage in usages if usage.cost_micros is not None]
    sums = _sums(usages) if usages else _UNKNOWN
    prompt = _text(prompts[0].prompt) if prompts else ""
    called = _text(", ".join([usage.tool for usage in tools])) if tools else ""
    children = ",".join([_list(getattr(record, name)) for name in CHILDREN])
    user = _CELLS[record.initiator.username]
    return f"{_own(record)},{user},{sums},{sum(costs) if costs else ''},{prompt},{called},{children}\r\n"


_UNKNOWN = "," * (len(TOKEN_COUNTERS) - 1)


def _sums(usages: list[Any]) -> str:
    if len(usages) == 1:
        return ",".join([str(getattr(usages[0], name)) for name in TOKEN_COUNTERS])
    return ",".join([str(sum([getattr(usage, name) for usage in usages])) for name in TOKEN_COUNTERS])


def _list(children: list[Any]) -> str:
    return '"' + _json(children).decode().replace('"', '""') + '"' if children else "[]"


def _text(value: str | None) -> str:
    found = cell(value)
    return _quoted(found) if type(found) is str else repr(found)


class _Cells(dict[str | None, str]):
    """Finished cells of texts: most say what one before them said."""

    def __missing__(self, value: str | None) -> str:
        if len(self) >= _MOST_CELLS:
            self.clear()
        found = self[value] = _text(value)
        return found


_MOST_CELLS = 10_000
_CELLS = _Cells()


def _line_of_own() -> Callable[[Any], str]:
    """What makes the cells of an interception's own columns, as one expression."""
    cells = []
    for field in INTERCEPTION.fields:
        value = f"r.{field.name}"
        if field.name == "metadata":
            cells.append(f"cells[bytes({value}).decode()]")
        elif isinstance(field, Uuid | Timestamp):
            # Nothing in these would have to be quoted.
            cells.append(f"{value} or ''")
        elif isinstance(field, BooleanField):
            cells.append(f"'true' if {value} else 'false'")
        elif isinstance(field, TextField):
            cells.append(f"{'text' if field.name in _SELDOM_TWICE else 'cells.__getitem__'}({value})")
        else:
            cells.append(f"'' if {value} is None else repr({value})")
    names = {"cells": _CELLS, "text": _text}
    made: Callable[[Any], str] = eval(f"lambda r: ','.join(({', '.join(cells)}))", names)  # noqa: S307 - names of our own
    return made


_SELDOM_TWICE = {"client_request_id", "error_message", "provider_request_id", *CONTENTS}
_own = _line_of_own()


def session_line(record: Record) -> str:
    """A session as a row in the order of ``SESSION_COLUMNS``, with its end."""
    return csv_line([cell(value(record)) for value in _SESSION.values()])
