"""Pins: sessions that retention leaves alone, with all that belongs to them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aitap.storage.database import rows_of, transaction

if TYPE_CHECKING:
    from peewee import Database

__all__ = ["PINNED", "pin"]

PINNED = "aitap_sessions s WHERE s.session_id = i.session_id AND s.initiator_id = i.initiator_id AND s.pinned"
"""The session of an interception ``i``, where it is pinned."""

_PIN = "UPDATE aitap_sessions SET pinned = {} WHERE session_id = ? AND initiator_id = ? AND pinned <> {} RETURNING 1"


def pin(database: Database, session_id: str, initiator_id: str, *, pinned: bool) -> bool:
    """Pin a session of this user, or unpin it. False where there is nothing to change.

    One that is unpinned goes when its time has come, which may be at once.
    """
    value = "TRUE" if pinned else "FALSE"
    with transaction(database):
        return bool(rows_of(database, _PIN.format(value, value), (session_id, initiator_id)))
