"""Whose records a caller means and may see: the search grammar, under the caller's rights.

A user's filter always has the user as initiator; to ask for somebody else is the same error as to ask for
somebody nobody knows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from aitap.server.problems import Problem
from aitap.storage.database import rows_of
from aitap.storage.search import KEYS, Kind, SearchError, filter_from, resolve_initiator, terms

if TYPE_CHECKING:
    from collections.abc import Mapping

    from peewee import Database

    from aitap.server.callers import Caller
    from aitap.storage.filters import Filter

__all__ = ["FILTERS", "own_or", "values_of", "wanted"]

FILTERS = ("q", *KEYS)
"""The parameters that say which records: the search, and each of its keys for itself."""

_PROVIDER_NAME = "SELECT 1 FROM aitap_kinds WHERE provider_name = ? {of_whom} LIMIT 1"
_WHAT: dict[Kind, str] = {
    "interceptions": "AI Gateway interceptions",
    "sessions": "session",
    "models": "AI Gateway models",
    "clients": "AI Gateway clients",
    "provider_names": "AI Gateway providers",
    "hosts": "hosts",
    "usage": "AI Gateway usage",
}


def values_of(kind: Kind, parameters: Mapping[str, str]) -> dict[str, str]:
    """Keys and values of the search, from ``q`` and from parameters of their own. Raises :class:`Problem`."""
    try:
        values = terms(parameters.get("q", ""), kind)
        for key in KEYS:
            if key not in parameters:
                continue
            if key in values:
                raise _refused(kind, SearchError(key, "given in q and as a parameter too"))
            values[key] = parameters[key]
    except SearchError as error:
        raise _refused(kind, error) from None
    return values


def wanted(database: Database, caller: Caller, kind: Kind, values: Mapping[str, str]) -> Filter:
    """The filter that ``values`` ask for: what has ended, and what the caller may see. Raises :class:`Problem`."""
    values = dict(values)
    try:
        initiator = values.pop("initiator", None)
        whose = own_or(database, caller, initiator)
        found = filter_from(values, database=database, me=lambda: caller.me)
        if found.provider_name is not None and not _has_provider(database, caller, found.provider_name):
            error = SearchError("provider_name", f'provider name "{found.provider_name}" does not exist')
            raise _refused(kind, error)
    except SearchError as error:
        raise _refused(kind, error) from None
    return msgspec.structs.replace(found, initiator_id=whose, ended=True)


def _has_provider(database: Database, caller: Caller, name: str) -> bool:
    """Whether there is one of this name, among what the caller may know of."""
    if caller.sees_all:
        return bool(rows_of(database, _PROVIDER_NAME.format(of_whom=""), (name,)))
    return bool(rows_of(database, _PROVIDER_NAME.format(of_whom="AND initiator_id = ?"), (name, caller.me[0])))


def own_or(database: Database, caller: Caller, initiator: str | None) -> str | None:
    """The user whose records are meant: the caller, who was asked for, or None for anybody. Raises ``SearchError``."""
    if initiator is None:
        return None if caller.sees_all else caller.me[0]
    unknown = SearchError(
        "initiator", f'user "{initiator}" either does not exist, or you are unauthorized to view them'
    )
    try:
        found = resolve_initiator(database, initiator, lambda: caller.me)
    except SearchError:
        raise unknown from None
    if not caller.sees_all and found != caller.me[0]:
        raise unknown
    return found


def _refused(kind: Kind, error: SearchError) -> Problem:
    return Problem(400, f"Invalid {_WHAT[kind]} search query.", validations={error.field: error.detail})
