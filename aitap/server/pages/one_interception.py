"""One interception with everything that is known of it, as a page and as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aitap.server.answers import whose
from aitap.server.pages.asking import Asked, View
from aitap.server.parameters import uuid_of
from aitap.server.problems import not_found
from aitap.storage.conversation import add_messages
from aitap.storage.queries import get_interceptions
from aitap.storage.rows import TOKEN_COUNTERS

if TYPE_CHECKING:
    from peewee import Database

__all__ = ["PARAMETERS", "interception_asked_for", "one_interception"]

PARAMETERS = ("messages",)

_MESSAGES = 30
"""Of a long conversation so many of the newest are shown, unless all are asked for."""
_REPEATED = ("cache_read_input", "cache_creation_input")
"""The reference's names for what stands in columns, too."""

Record = dict[str, Any]


def one_interception(database: Database, asked: Asked) -> View:
    """``GET /interception/{id}``."""
    record = interception_asked_for(database, asked)
    messages = record["messages"]
    fixed = [message for message in messages if message["role"] in ("system", "tools")]
    said = [message for message in messages if message["role"] not in ("system", "tools")]
    hidden = 0 if "messages" in asked.parameters else max(0, len(said) - _MESSAGES)
    values = {
        "record": record,
        "counters": TOKEN_COUNTERS,
        "usages": [_further(usage) for usage in record["token_usages"]],
        "fixed": fixed,
        "said_messages": said[hidden:],
        "hidden": hidden,
        "metadata": record["metadata"] or {},
    }
    return View("interception.html", values, whose([record]))


def interception_asked_for(database: Database, asked: Asked) -> Record:
    """The record with its messages, if there is one that the visitor may see. Raises ``Problem`` (404)."""
    own_id = uuid_of(asked.parts["interception_id"])
    found = get_interceptions(database, [own_id]) if own_id else []
    if not found or not (asked.caller.sees_all or found[0]["initiator_id"] == asked.caller.me[0]):
        raise not_found("There is no such interception.")
    return add_messages(database, found[0])


def _further(usage: Record) -> Record:
    """The usage, with every counter beyond the four under ``further``."""
    metadata = usage["metadata"] or {}
    return usage | {"further": {name: value for name, value in metadata.items() if name not in _REPEATED}}
