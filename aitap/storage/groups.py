"""Groups of users: made, listed, joined and left. What they are for, so far, is budgets.

A user may be in several groups. Who is removed from the users stays in their groups: what they used up counts.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from aitap.record import new_id
from aitap.storage.budgets import changed
from aitap.storage.database import execute_many, rows_of, transaction
from aitap.storage.fields import timestamp_text
from aitap.storage.models import Budget, BudgetNotice, Group, GroupMember
from aitap.storage.rows import Shape, initiators

if TYPE_CHECKING:
    from collections.abc import Iterable

    from peewee import Database

__all__ = ["GroupError", "add_group", "find_group", "join", "leave", "list_groups", "remove_group"]

_GROUP = Shape(Group)
_LONGEST_NAME = 128
_MEMBERS = "SELECT group_id, user_id FROM aitap_group_members"
_JOIN = (
    "INSERT INTO aitap_group_members (group_id, user_id, joined_at) VALUES (?, ?, ?) "
    "ON CONFLICT (group_id, user_id) DO NOTHING"
)
_LEAVE = "DELETE FROM aitap_group_members WHERE group_id = ? AND user_id = ?"


class GroupError(Exception):
    """A group cannot be made. One line says why and what to do."""


def add_group(database: Database, name: str) -> dict[str, Any]:
    """A new group, and its row as :func:`list_groups` tells it. Raises :class:`GroupError`."""
    if not name.isprintable() or not name.strip() or name != name.strip() or len(name) > _LONGEST_NAME:
        raise GroupError(f"{name[:40]!r} is no name for a group: write a printable word")
    with transaction(database):
        for (other,) in rows_of(database, "SELECT name FROM aitap_groups"):
            if other.lower() == name.lower():
                raise GroupError(f"there is a group {other!r} already")
        database.execute(Group.insert(id=new_id(), name=name, created_at=time.time()))
        changed(database)
    found = find_group(database, name)
    assert found is not None  # noqa: S101 - just made
    return found


def find_group(database: Database, name: str) -> dict[str, Any] | None:
    """The group of this name, case aside; None where there is none."""
    return next((group for group in list_groups(database) if group["name"].lower() == name.lower()), None)


def list_groups(database: Database) -> list[dict[str, Any]]:
    """All groups by name, each with its ``members`` as users, by name. Plain dicts ready for JSON."""
    members: dict[str, list[str]] = {}
    for group_id, user_id in rows_of(database, _MEMBERS):
        members.setdefault(str(group_id), []).append(str(user_id))
    people = initiators(database, {user_id: None for users in members.values() for user_id in users})
    found = [_GROUP.dict(row) for row in database.execute(Group.select(*_GROUP.fields).order_by(Group.name))]
    for group in found:
        those = [people[user_id] for user_id in members.get(group["id"], ())]
        group["members"] = sorted(those, key=lambda user: (user["username"] or "", user["id"]))
    return found


def remove_group(database: Database, group_id: str) -> int:
    """Remove a group with its budgets; returns how many those were. Its users, and what they used, stay."""
    with transaction(database):
        mine = (Budget.kind == "group") & (Budget.subject_id == group_id)
        budgets = [row[0] for row in database.execute(Budget.select(Budget.id).where(mine))]
        for query in (
            BudgetNotice.delete().where(BudgetNotice.budget_id.in_(budgets)),
            Budget.delete().where(mine),
            GroupMember.delete().where(GroupMember.group_id == group_id),
            Group.delete().where(Group.id == group_id),
        ):
            database.execute(query)
        changed(database)
    return len(budgets)


def join(database: Database, group_id: str, user_ids: Iterable[str]) -> int:
    """Put users into a group; returns how many were not in it before."""
    now = timestamp_text(time.time())
    with transaction(database):
        new = sum(execute_many(database, _JOIN, [(group_id, user_id, now)]) for user_id in user_ids)
        changed(database)
    return new


def leave(database: Database, group_id: str, user_ids: Iterable[str]) -> int:
    """Take users out of a group; returns how many were in it."""
    with transaction(database):
        gone = sum(execute_many(database, _LEAVE, [(group_id, user_id)]) for user_id in user_ids)
        changed(database)
    return gone
