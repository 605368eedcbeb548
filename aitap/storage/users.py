"""The people and machines that records belong to.

A user who is known by a name alone has an id that follows from the name; one from a directory with ids of
its own keeps that id. Names are unique among all of them, so where a second one would take a name that
is in use, the newcomer is stored as ``name@source``. A user who was removed keeps row and name, for the
records; so the id and name of a person never pass to another.
"""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any, Literal, get_args

import peewee

from aitap.storage.database import execute_many, rows_of, transaction
from aitap.storage.directory import changed
from aitap.storage.fields import timestamp_text
from aitap.storage.models import User
from aitap.storage.rows import Shape, wire_time

if TYPE_CHECKING:
    from peewee import Database

__all__ = [
    "ROLES",
    "Role",
    "UserError",
    "add_user",
    "ensure_user",
    "find_user",
    "has_user",
    "list_users",
    "remove_user",
    "set_role",
]

Role = Literal["user", "auditor", "admin"]
"""Whose records somebody may see: their own, everybody's, everybody's; an admin may also change things."""
ROLES: tuple[Role, ...] = get_args(Role)

_USER = Shape(User, empty_is_unknown=("name", "avatar_url"))
_LONGEST_NAME = 128
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)

_KNOWN = "SELECT username, name, email, avatar_url FROM users WHERE id = ?"
_TAKEN = "SELECT 1 FROM users WHERE username = ? AND id <> ?"
_PUT = (
    "INSERT INTO users (id, username, name, email, avatar_url, deleted, created_at, source) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET username = excluded.username, "
    "name = excluded.name, email = excluded.email, avatar_url = excluded.avatar_url"
)
_KEYS = (
    "SELECT user_id, sum(CASE WHEN revoked_at IS NULL AND (expires_at IS NULL OR expires_at > ?) THEN 1 ELSE 0 END), "
    "max(last_used_at) FROM aitap_keys GROUP BY user_id"
)
_ROLE = "SELECT role FROM users WHERE id = ?"
_SET_ROLE = "UPDATE users SET role = ? WHERE id = ?"
_END_KEYS = "UPDATE aitap_keys SET revoked_at = ? WHERE user_id = ? AND revoked_at IS NULL"


class UserError(Exception):
    """A user cannot be added. One line says why and what to do."""


def ensure_user(
    database: Database,
    user_id: str,
    username: str,
    *,
    source: str = "local",
    name: str | None = None,
    email: str | None = None,
    avatar_url: str | None = None,
) -> None:
    """Make sure that this user has a row, and that the row says what is given here; None keeps what it says.

    A row that says it already is not written. A name that another user has becomes ``name@source``; a user
    who was removed stays removed. Errors come as Peewee's.
    """
    news = (name, email, avatar_url)
    with database.connection_context():
        known = next(iter(rows_of(database, _KNOWN, (user_id,))), ())
        if known and known[0] in _names(user_id, username, source) and _merged(known[1:], news) == known[1:]:
            return
        with transaction(database):
            [known] = rows_of(database, _KNOWN, (user_id,)) or [("", username, None, None)]
            free = _free_name(database, user_id, _names(user_id, username, source))
            now = timestamp_text(time.time())
            execute_many(database, _PUT, [(user_id, free, *_merged(known[1:], news), False, now, source)])
            changed(database)


def _merged(old: tuple[Any, ...], new: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(before if now is None else now for before, now in zip(old, new, strict=True))


def _names(user_id: str, username: str, source: str) -> tuple[str, str, str]:
    """What this user may be called here, the best first."""
    return username, f"{username}@{source}", f"{username}@{source}-{user_id}"


def _free_name(database: Database, user_id: str, names: tuple[str, ...]) -> str:
    """The first of these that nobody else has."""
    return next((name for name in names if not rows_of(database, _TAKEN, (name, user_id))), names[-1])


def has_user(database: Database, user_id: str) -> bool:
    """Whether this user has a row."""
    with database.connection_context():
        return bool(User.select().where(User.id == user_id).exists())


def add_user(
    database: Database,
    user_id: str,
    username: str,
    *,
    name: str = "",
    email: str | None = None,
    role: Role | None = None,
) -> bool:
    """Add a user whom only the name tells, or bring back one who was removed (then the result is False).

    Without ``role`` a new one is a ``user``, and one who comes back is again what they were. Raises
    :class:`UserError` where the name is in use or cannot be one.
    """
    _check_name(username)
    with transaction(database):
        same = peewee.fn.LOWER(User.username) == username.lower()
        for other_id, other_name, deleted in database.execute(
            User.select(User.id, User.username, User.deleted).where(same | (User.id == user_id))
        ):
            if str(other_id) != user_id or not deleted:
                raise UserError(f"there is a user {other_name!r} already")
        # By this database: the model is bound to whichever was opened last.
        back = database.execute(User.update(deleted=False).where(User.id == user_id)).rowcount > 0
        if not back:
            database.execute(User.insert(id=user_id, username=username, name=username, created_at=time.time()))
        news = {field: value for field, value in (("name", name), ("email", email), ("role", role)) if value}
        if news:
            database.execute(User.update(**news).where(User.id == user_id))
        changed(database)
    return not back


def set_role(database: Database, user_id: str, role: Role) -> str | None:
    """Let this user see and do what the role allows; servers that run honour it within seconds.

    Gives the role they had; None where there is no such user.
    """
    with transaction(database):
        before = next((str(row[0]) for row in rows_of(database, _ROLE, (user_id,))), None)
        execute_many(database, _SET_ROLE, [(role, user_id)])
        changed(database)
    return before


def _check_name(username: str) -> None:
    if not username.isprintable() or not username.strip() or len(username) > _LONGEST_NAME:
        raise UserError(f"{username[:40]!r} is no username: write a printable word")
    if any(char.isspace() or char in ":/@\\" for char in username):
        raise UserError(f"{username!r} is no username: it stands in a proxy's URL, so leave out spaces and : / @ \\")
    if username == "me" or _UUID.fullmatch(username):
        raise UserError(f"{username!r} is no username: --initiator takes it for something else")


def find_user(database: Database, who: str) -> dict[str, Any] | None:
    """The user with this id or username, one who was removed too; None where there is none."""
    same = User.id == who.lower() if _UUID.fullmatch(who) else User.username == who
    row = database.execute(User.select(*_USER.fields).where(same)).fetchone()
    return None if row is None else _USER.dict(row)


def list_users(database: Database) -> list[dict[str, Any]]:
    """All users by name, those who were removed too; each with ``state``, ``keys`` (live ones) and ``last_used_at``.

    Plain dicts ready for JSON.
    """
    now = timestamp_text(time.time())
    keys = {str(user_id): (int(count), used) for user_id, count, used in rows_of(database, _KEYS, (now,))}
    found = [_USER.dict(row) for row in database.execute(User.select(*_USER.fields).order_by(User.username))]
    for user in found:
        count, used = keys.get(user["id"], (0, None))
        user.update(state="removed" if user["deleted"] else "live", keys=count, last_used_at=used and wire_time(used))
    return found


def remove_user(database: Database, user_id: str) -> int:
    """Let this user in no more and revoke all keys; returns how many there were. Records and name stay."""
    with transaction(database):
        ended = execute_many(database, _END_KEYS, [(timestamp_text(time.time()), user_id)])
        database.execute(User.update(deleted=True).where(User.id == user_id))
        changed(database)
    return ended
