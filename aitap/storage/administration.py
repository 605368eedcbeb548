"""Who changed users, keys, groups, budgets or rules for hosts: each act is on record with who did it, and from where.

An act and its line are one transaction, so that nothing is done which is not on record, and nothing on record that was
not done. Lines stand in the audit (:mod:`aitap.storage.audit`), are chained with it where tamper evidence is kept, and
go with it. They hold ids, names of groups and hosts, roles, amounts and times: never a key, its digest or a hint of it.
"""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Any, Literal, get_args

from aitap.record import new_id
from aitap.storage.audit import LONGEST, NOBODY
from aitap.storage.database import execute_many, transaction
from aitap.storage.evidence.chain import cover
from aitap.storage.fields import json_text, timestamp_text
from aitap.storage.users import ensure_user

if TYPE_CHECKING:
    from collections.abc import Iterator

    from peewee import Database

    from aitap.storage.audit import Reader

__all__ = ["ACTIONS", "Act", "Action", "acting"]

Action = Literal[
    "user.add",
    "user.restore",
    "user.role",
    "user.remove",
    "key.create",
    "key.revoke",
    "key.expire",
    "group.add",
    "group.remove",
    "group.join",
    "group.leave",
    "budget.set",
    "budget.remove",
    "host.observe",
    "host.decrypt",
    "host.reset",
    "records.erase",
    "records.redact",
    "records.prune",
    "records.repair",
]
"""What can be done."""
ACTIONS: tuple[Action, ...] = get_args(Action)

_PUT = (
    "INSERT INTO aitap_audit "
    "(id, read_at, reader_id, api_key_id, address, subject_id, path, query, records, action, detail) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)


class Act:
    """What :func:`acting` gives: it takes down what is done."""

    def __init__(self) -> None:
        self.noted: list[tuple[Action, str, dict[str, Any]]] = []

    def note(self, action: Action, subject_id: str | None = None, **detail: Any) -> None:
        """Take down what is done to this user (by id), or to nobody; ``detail`` is the rest, ready for JSON."""
        self.noted.append((action, subject_id or NOBODY, detail))


@contextlib.contextmanager
def acting(database: Database, doer: Reader) -> Iterator[Act]:
    """A transaction in which ``doer`` changes something, kept with what was noted in it or not at all.

    Errors come as Peewee's.
    """
    act = Act()
    with transaction(database):
        yield act
        now = timestamp_text(time.time())
        who = (doer.user_id, doer.api_key_id, doer.address)
        rows = [
            (new_id(), now, *who, subject, doer.path[:LONGEST], "", 0, action, json_text(detail) if detail else None)
            for action, subject, detail in act.noted
        ]
        if rows:
            execute_many(database, _PUT, rows)
            cover(database, readings=[row[0] for row in rows])
    if act.noted and doer.username:
        # Afterwards: it may be themselves whom they added.
        ensure_user(database, doer.user_id, doer.username)
