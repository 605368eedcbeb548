"""Users and their keys, for admins: who there is, what they may see, and which keys let them in."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from aitap.access.identity import user_id
from aitap.server.pages.asking import Asked, Moved, View
from aitap.server.pages.words import address
from aitap.server.parameters import uuid_of
from aitap.server.problems import Problem, not_found
from aitap.storage.administration import acting
from aitap.storage.keys import create_key, end_key, find_key, list_keys
from aitap.storage.users import ROLES, Role, UserError, add_user, find_user, list_users, remove_user, set_role

if TYPE_CHECKING:
    from peewee import Database

__all__ = [
    "ADD_FIELDS",
    "KEY_FIELDS",
    "KEY_PARAMETERS",
    "ROLE_FIELDS",
    "USER_PARAMETERS",
    "add",
    "bring_back",
    "keys",
    "make_key",
    "remove",
    "revoke",
    "role",
    "users",
]

USER_PARAMETERS = ("show",)
KEY_PARAMETERS = ("user", "show")
ADD_FIELDS = ("username", "name", "email", "role")
ROLE_FIELDS = ("role",)
KEY_FIELDS = ("user", "name", "days")

_LONGEST_NAME = 128
_DAYS = {"30": "30 days", "90": "90 days", "365": "1 year", "": "Never"}
_DAY = 86400.0


def users(database: Database, asked: Asked) -> View:
    """``GET /users``."""
    found = list_users(database)
    shown = found if "show" in asked.parameters else [user for user in found if not user["deleted"]]
    values = {"users": shown, "hidden": len(found) - len(shown), "roles": ROLES, "me": asked.caller.me[0], "wrong": ""}
    return View("users.html", values)


def add(database: Database, asked: Asked) -> View | Moved:
    """``POST /users``: add a user, or bring back one who was removed."""
    form = asked.form
    username = form["username"].strip()
    known = find_user(database, username) if username else None
    own_id = known["id"] if known else user_id(username)
    named, role = _line(form["name"], "name"), _role(form["role"])
    email = _line(form["email"], "email") or None
    try:
        with acting(database, asked.doer) as act:
            new = add_user(database, own_id, username, name=named, email=email, role=role)
            act.note("user.add" if new else "user.restore", own_id, role=role)
    except UserError as error:
        return View("users.html", {**users(database, asked).values, "wrong": str(error)}, status=400)
    return Moved(address("/keys", {"user": username}))


def role(database: Database, asked: Asked) -> Moved:
    """``POST /users/{user_id}/role``."""
    user = _user(database, asked)
    _not_oneself(asked, user)
    role = _role(asked.form["role"])
    with acting(database, asked.doer) as act:
        before = set_role(database, user["id"], role)
        act.note("user.role", user["id"], role=role, before=before)
    return Moved("/users")


def remove(database: Database, asked: Asked) -> Moved:
    """``POST /users/{user_id}/remove``: let them in no more, and revoke their keys."""
    user = _user(database, asked)
    _not_oneself(asked, user)
    if not user["deleted"]:
        with acting(database, asked.doer) as act:
            act.note("user.remove", user["id"], keys=remove_user(database, user["id"]))
    return Moved("/users")


def bring_back(database: Database, asked: Asked) -> Moved:
    """``POST /users/{user_id}/restore``."""
    user = _user(database, asked)
    if user["deleted"]:
        with acting(database, asked.doer) as act:
            add_user(database, user["id"], user["username"])
            act.note("user.restore", user["id"])
    return Moved("/users")


def keys(database: Database, asked: Asked) -> View:
    """``GET /keys``: of all users, or of one."""
    who = asked.parameters.get("user")
    user = find_user(database, who) if who else None
    if who and user is None:
        raise not_found("There is no such user.")
    found = list_keys(database, user["id"] if user else None)
    shown = found if "show" in asked.parameters else [key for key in found if key["state"] == "live"]
    people = [one for one in list_users(database) if not one["deleted"]]
    values = {
        "keys": shown,
        "hidden": len(found) - len(shown),
        "user": user,
        "people": people,
        "days": _DAYS,
        "made": None,
    }
    return View("keys.html", values)


def make_key(database: Database, asked: Asked) -> View:
    """``POST /keys``: the one page on which the key is shown."""
    form = asked.form
    user = find_user(database, form["user"]) if form["user"] else None
    if user is None or user["deleted"]:
        raise Problem(400, "There is no such user.", "Choose one of the list.")
    if form["days"] not in _DAYS:
        raise Problem(400, "This is no time after which a key can expire.")
    expires_at = time.time() + int(form["days"]) * _DAY if form["days"] else None
    name = _line(form["name"], "name")
    with acting(database, asked.doer) as act:
        key, row = create_key(database, user["id"], name=name, expires_at=expires_at)
        act.note("key.create", user["id"], key=row["id"], expires_at=row["expires_at"])
    values = {**keys(database, asked).values, "user": user, "made": {**row, "key": key}}
    return View("keys.html", values)


def revoke(database: Database, asked: Asked) -> Moved:
    """``POST /keys/{key_id}/revoke``."""
    key_id = uuid_of(asked.parts["key_id"])
    key = find_key(database, key_id) if key_id else None
    if key is None:
        raise not_found("There is no such key.")
    with acting(database, asked.doer) as act:
        if end_key(database, key["id"]):
            act.note("key.revoke", key["user_id"], key=key["id"])
    return Moved(address("/keys", {"user": key["user"]["username"] or key["user_id"]}))


def _user(database: Database, asked: Asked) -> dict[str, Any]:
    own_id = uuid_of(asked.parts["user_id"])
    user = find_user(database, own_id) if own_id else None
    if user is None:
        raise not_found("There is no such user.")
    return user


def _not_oneself(asked: Asked, user: dict[str, Any]) -> None:
    if user["id"] == asked.caller.me[0]:
        raise Problem(400, "You cannot do that to yourself.", "Ask another admin, or use `aitap users` where it runs.")


def _role(text: str) -> Role:
    for known in ROLES:
        if text == known:
            return known
    raise Problem(400, "There is no such role.", f"Choose one of {', '.join(ROLES)}.")


def _line(text: str, name: str) -> str:
    text = text.strip()
    if not text.isprintable() or len(text) > _LONGEST_NAME:
        raise Problem(400, f"This cannot be the {name}.", f"Write at most {_LONGEST_NAME} printable characters.")
    return text
