"""Who may use the proxy and what is said of hosts, read in one go, and a number that tells whether it changed.

Every change to users, keys or rules for hosts goes through :func:`changed`, in its own transaction. Who
follows the database asks :func:`directory_version`, which costs one row, and reads all only when that is
another number than the snapshot's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from aitap.storage.database import rows_of
from aitap.storage.fields import parse_timestamp

if TYPE_CHECKING:
    from peewee import Database

__all__ = ["Snapshot", "UsableKey", "changed", "directory_version", "read_directory"]

_CHANGED = "UPDATE aitap_changes SET version = version + 1 WHERE name = 'access'"
_VERSION = "SELECT version FROM aitap_changes WHERE name = 'access'"
_USERS = "SELECT id, username, deleted, role FROM users"
_KEYS = "SELECT digest, id, user_id, expires_at FROM aitap_keys WHERE revoked_at IS NULL"
_RULES = "SELECT pattern, mode FROM aitap_host_modes"


class UsableKey(msgspec.Struct, frozen=True, gc=False):
    """A key that nobody revoked, of a user who is there. Whether it has expired depends on the moment."""

    digest: str
    """SHA-256 of the key in hexadecimal digits, to be compared in constant time."""
    id: str
    user_id: str
    username: str
    expires_at: float | None
    """Epoch seconds from which on it is good for nothing; None for never."""


class Snapshot(msgspec.Struct, frozen=True):
    """Users, keys and rules at one moment."""

    version: int
    """What :func:`directory_version` said just before."""
    users: dict[str, str]
    """Usernames by user id."""
    removed: frozenset[str]
    """Ids of users who were removed: whatever else vouches for them, they are not to be let in."""
    keys: dict[str, UsableKey]
    """By digest."""
    host_modes: dict[str, str]
    """``observe`` or ``decrypt`` by lower-case name or ``*`` pattern."""
    roles: dict[str, str]
    """Roles by user id, of those who are there and more than a ``user``; see :data:`aitap.storage.users.ROLES`."""


def changed(database: Database) -> None:
    """Say that users, keys or rules are no longer the same. Call it inside the transaction that changes them."""
    rows_of(database, _CHANGED)


def directory_version(database: Database) -> int:
    """A number that is another one after every change."""
    return int(rows_of(database, _VERSION)[0][0])


def read_directory(database: Database) -> Snapshot:
    """All of it. Errors come as Peewee's.

    The version is read first: what changes while the rest is read is then read again by whoever follows.
    """
    version = directory_version(database)
    users: dict[str, str] = {}
    roles: dict[str, str] = {}
    removed = set()
    for user_id, username, deleted, role in rows_of(database, _USERS):
        if deleted:
            removed.add(user_id)
            continue
        users[user_id] = username
        if role != "user":
            roles[user_id] = role
    keys = {}
    for digest, key_id, owner, expires in rows_of(database, _KEYS):
        # A key whose owner is not there was made after the version was read: it comes with the next reading.
        if (username := users.get(owner)) is not None:
            until = None if expires is None else parse_timestamp(expires).timestamp()
            keys[digest] = UsableKey(digest, key_id, owner, username, until)
    return Snapshot(version, users, frozenset(removed), keys, dict(rows_of(database, _RULES)), roles)
