"""Records as rows of CSV: one row each, nothing left out, and no cell that a spreadsheet would run.

A text that begins like a formula (``=``, ``+``, ``-``, ``@``, their full-width forms, a tab or a line
end) gets an apostrophe in front, because Excel, LibreOffice and Google Sheets evaluate such cells of a
CSV file. Numbers stay numbers, unknown is an empty cell, lists and objects are JSON in their cell.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from aitap.storage.rows import CHILDREN, INTERCEPTION, TOKEN_COUNTERS
from aitap.storage.threads import cost_sum, token_sum

__all__ = ["INTERCEPTION_COLUMNS", "SESSION_COLUMNS", "cell", "interception_row", "session_row"]

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")

Record = Mapping[str, Any]


def cell(value: Any) -> str | int | float:
    """One value as a CSV cell."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return value
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    # SQLite keeps NUL characters in texts; readers of CSV choke on them.
    text = text.replace("\0", "")
    return f"'{text}" if text.startswith(_FORMULA) else text


def _column(name: str) -> Callable[[Record], Any]:
    return lambda record: record[name]


_INTERCEPTION: dict[str, Callable[[Record], Any]] = {
    **{name: _column(name) for name in INTERCEPTION.names},
    "initiator_username": lambda record: record["initiator"]["username"],
    **{name: lambda record, name=name: token_sum([dict(record)])[name] for name in TOKEN_COUNTERS},  # type: ignore[misc]
    "cost_micros": lambda record: cost_sum([dict(record)])["cost_micros"],
    "prompt": lambda record: next((prompt["prompt"] for prompt in record["user_prompts"]), None),
    "tools": lambda record: ", ".join(usage["tool"] for usage in record["tool_usages"]) or None,
    **{name: _column(name) for name in CHILDREN},
}

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

INTERCEPTION_COLUMNS = list(_INTERCEPTION)
"""Heads of the columns of an interception: its own, what its children sum up to, the children as JSON."""

SESSION_COLUMNS = list(_SESSION)
"""Heads of the columns of a session."""


def interception_row(record: Record) -> list[str | int | float]:
    """An interception in the order of ``INTERCEPTION_COLUMNS``."""
    return [cell(value(record)) for value in _INTERCEPTION.values()]


def session_row(record: Record) -> list[str | int | float]:
    """A session in the order of ``SESSION_COLUMNS``."""
    return [cell(value(record)) for value in _SESSION.values()]
