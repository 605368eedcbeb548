"""Proxy keys: made, listed, ended. The key itself is told once, to whoever made it, and stored nowhere.

What is stored is its SHA-256. That needs no salt and no slow hash, as passwords do: a key is 256 random
bits, so nobody can try all of them or have a table of their hashes. Keys that were revoked or have
expired stay listed, for records go on naming them.
"""

from __future__ import annotations

import secrets
import time
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Literal

from aitap.record import new_id
from aitap.storage.database import execute_many, rows_of, transaction
from aitap.storage.directory import changed
from aitap.storage.fields import parse_timestamp, timestamp_text
from aitap.storage.ids import id_like
from aitap.storage.models import Key
from aitap.storage.rows import Shape, initiators

if TYPE_CHECKING:
    from collections.abc import Iterable

    from peewee import Database

__all__ = ["KEY_PREFIX", "KeyState", "create_key", "end_key", "find_key", "key_digest", "list_keys", "touch_keys"]

KEY_PREFIX = "aitap_"
"""By which scanners for leaked secrets, and people, know a key."""

KeyState = Literal["live", "expired", "revoked"]

_RANDOM_BYTES = 32
_HINT = 4

_KEY = Shape(Key, empty_is_unknown=("name",), without=("digest",))
_END = "UPDATE aitap_keys SET revoked_at = ? WHERE id = ? AND revoked_at IS NULL"
_EXPIRE = "UPDATE aitap_keys SET expires_at = ? WHERE id = ? AND revoked_at IS NULL"
_TOUCH = "UPDATE aitap_keys SET last_used_at = ? WHERE id = ? AND (last_used_at IS NULL OR last_used_at < ?)"


def key_digest(key: str) -> str:
    """By what a key is found: the SHA-256 of all of it, prefix included, in hexadecimal digits."""
    return sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


def create_key(
    database: Database, user_id: str, *, name: str = "", expires_at: float | None = None
) -> tuple[str, dict[str, Any]]:
    """A new key of this user, and its row as :func:`list_keys` tells it.

    ``expires_at`` is in epoch seconds. The first of the two is the key: nobody can tell it a second time.
    """
    key = KEY_PREFIX + secrets.token_urlsafe(_RANDOM_BYTES)
    own_id = new_id()
    with transaction(database):
        # By this database: the model is bound to whichever was opened last.
        database.execute(
            Key.insert(
                id=own_id,
                user_id=user_id,
                name=name,
                digest=key_digest(key),
                hint=key[-_HINT:],
                created_at=time.time(),
                expires_at=expires_at,
            )
        )
        changed(database)
    return key, _told(database, Key.select(*_KEY.fields).where(Key.id == own_id))[0]


def list_keys(database: Database, user_id: str | None = None) -> list[dict[str, Any]]:
    """All keys, of one user or of all, the newest first; ended ones too (``state``). Plain dicts ready for JSON."""
    query = Key.select(*_KEY.fields).order_by(Key.created_at.desc(), Key.id.desc())
    return _told(database, query if user_id is None else query.where(Key.user_id == user_id))


def find_key(database: Database, id_or_part: str) -> dict[str, Any] | None:
    """The key with this id, or the only one whose id begins or ends so; None where there is none.

    Raises :class:`aitap.storage.ids.AmbiguousIdError` where there are several.
    """
    found = id_like(id_or_part, (str(row[0]) for row in rows_of(database, "SELECT id FROM aitap_keys")), "keys")
    return _told(database, Key.select(*_KEY.fields).where(Key.id == found))[0] if found else None


def end_key(database: Database, key_id: str, at: float | None = None) -> bool:
    """Revoke a key now, or have it expire ``at`` that moment (epoch seconds). False where it was revoked before."""
    sql, moment = (_END, time.time()) if at is None else (_EXPIRE, at)
    with transaction(database):
        done = execute_many(database, sql, [(timestamp_text(moment), key_id)]) > 0
        if done:
            changed(database)
    return done


def touch_keys(database: Database, used: Iterable[tuple[str, float]]) -> None:
    """Say when keys (by id) were last used, in epoch seconds. Call it inside a transaction. It is no change."""
    rows = [(at, key_id, at) for key_id, seconds in used for at in (timestamp_text(seconds),)]
    if rows:
        execute_many(database, _TOUCH, rows)


def _told(database: Database, query: Any) -> list[dict[str, Any]]:
    now = time.time()
    keys = [_KEY.dict(row) for row in database.execute(query)]
    people = initiators(database, {key["user_id"]: None for key in keys})
    for key in keys:
        key["user"] = people[key["user_id"]]
        key["state"] = _state(key, now)
    return keys


def _state(key: dict[str, Any], now: float) -> KeyState:
    if key["revoked_at"] is not None:
        return "revoked"
    expires = key["expires_at"]
    return "expired" if expires is not None and parse_timestamp(expires).timestamp() <= now else "live"
