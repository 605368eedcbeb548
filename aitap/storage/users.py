"""The people and machines that records belong to."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from aitap.storage.models import User

if TYPE_CHECKING:
    from peewee import Database

__all__ = ["ensure_user", "has_user"]


def ensure_user(database: Database, user_id: str, username: str) -> None:
    """Make sure that this user has a row; an existing one stays as it is."""
    with database.connection_context():
        User.insert(id=user_id, username=username, name=username, created_at=time.time()).on_conflict_ignore().execute()


def has_user(database: Database, user_id: str) -> bool:
    """Whether this user has a row."""
    with database.connection_context():
        return bool(User.select().where(User.id == user_id).exists())
