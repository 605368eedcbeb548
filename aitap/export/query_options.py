"""The query options, the same on every command that reads records; ``-q`` says the same in one text."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from aitap.export.store import database_option
from aitap.storage.search import KEYS, Kind, SearchError, filter_from, terms

if TYPE_CHECKING:
    from peewee import Database

    from aitap.storage.queries import Filter

__all__ = [
    "json_option",
    "limit_options",
    "query_filter",
    "query_options",
    "query_options_of",
    "query_values",
    "resolved",
]

Command = TypeVar("Command", bound=Callable[..., Any])

_HELP = {
    "initiator": "Only what this user sent: an id, a username, or me.",
    "provider": "Only this provider: anthropic, openai, ...",
    "provider_name": "Only this instance of a provider.",
    "model": "Only this model, as it was asked for.",
    "client": "Only this client, such as 'Claude Code'.",
    "session_id": "Only this session.",
    "started_after": "Not before this time (RFC 3339), or not older than an age: 24h, 7d.",
    "started_before": "Not after this time (RFC 3339), or older than an age: 24h, 7d.",
}


def query_options(command: Command) -> Command:
    """The filter options, ``-q`` and ``--database-url``. The command gets them as ``**query``."""
    return query_options_of(*KEYS)(command)


def query_options_of(*keys: str) -> Callable[[Command], Command]:
    """The same with these keys alone."""
    return lambda command: _with_options(command, keys)


def _with_options(command: Command, keys: tuple[str, ...]) -> Command:
    command = database_option(command)
    # The options' own names, so that one may copy them.
    told = f"The same in one text, 'provider:openai client:\"Claude Code\"'; keys: {', '.join(keys)}."
    command = click.option("-q", "search", metavar="SEARCH", help=told)(command)
    for key in reversed(keys):
        option = click.option(f"--{key.replace('_', '-')}", key, metavar=_metavar(key), help=_HELP[key])
        command = option(command)
    return command


def _metavar(key: str) -> str:
    return {"initiator": "USER", "started_after": "TIME", "started_before": "TIME"}.get(key, key.upper())


def limit_options(command: Command) -> Command:
    """``--limit`` and ``--after-id``, for lists."""
    command = click.option("--after-id", metavar="ID", help="Go on after this one, the last of the page before.")(
        command
    )
    return click.option(
        "--limit",
        type=click.IntRange(1, 1000),
        default=100,
        show_default=True,
        metavar="N",
        help="At most so many, 1 to 1000.",
    )(command)


def json_option(command: Command) -> Command:
    """``--json``; what goes into a pipe or a file is JSON anyway."""
    return click.option("--json", "as_json", is_flag=True, help="JSON, as it is when not on a terminal.")(command)


def query_filter(database: Database, kind: Kind, query: dict[str, str | None]) -> Filter:
    """The filter that options and ``-q`` ask for together. Raises ``SearchError``."""
    return resolved(database, query_values(kind, query))


def query_values(kind: Kind, query: dict[str, str | None]) -> dict[str, str]:
    """What options and ``-q`` say together, as keys and values. Raises ``SearchError``."""
    query = dict(query)
    values = terms(query.pop("search", None) or "", kind)
    for key, value in query.items():
        if not value:
            continue
        if key in values:
            raise SearchError("q", f"{key} is also given as --{key.replace('_', '-')}")
        values[key] = value
    return values


def resolved(database: Database, values: dict[str, str]) -> Filter:
    """The filter for keys and values as the search grammar knows them. Raises ``SearchError``."""
    from aitap.access.identity import local_user

    return filter_from(values, database=database, me=local_user)
