"""What lists can be filtered by: the users, providers, models and clients that there are, or were."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aitap.storage.database import rows_of
from aitap.storage.rows import initiators

if TYPE_CHECKING:
    from peewee import Database

__all__ = ["choices"]

# Of each kind of call there is one row, however many calls there are.
_KINDS = "SELECT CAST(initiator_id AS TEXT), provider, model, client FROM aitap_kinds"


def choices(database: Database, initiator_id: str | None = None) -> dict[str, list[str]]:
    """``provider``, ``model``, ``client``: names, sorted; ``initiator``: usernames, sorted (ids where there is none).

    With ``initiator_id``, those of this user's calls alone.
    """
    if initiator_id is None:
        rows = rows_of(database, _KINDS)
    else:
        rows = rows_of(database, f"{_KINDS} WHERE initiator_id = ?", (initiator_id,))
    ids, providers, models, clients = ({row[place] for row in rows} for place in range(4))
    people = initiators(database, ids)
    return {
        "initiator": sorted(person["username"] or own_id for own_id, person in people.items()),
        "provider": sorted(providers),
        "model": sorted(models),
        "client": sorted(client or "Unknown" for client in clients),
    }
