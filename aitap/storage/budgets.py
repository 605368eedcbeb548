"""Budgets: what a user, a group or everybody may use up in a day, a week or a month.

A budget is of dollars or of tokens, for all of them together or, with ``each``, for everyone of them alone. What
is used up is worked out by :mod:`aitap.storage.spending`. Every change goes through :func:`changed`, so that who
follows them need not read them to know that they are the same.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Literal, get_args

import msgspec

from aitap.record import new_id
from aitap.storage.database import execute_many, rows_of, transaction
from aitap.storage.fields import timestamp_text
from aitap.storage.ids import id_like
from aitap.storage.rows import initiators

if TYPE_CHECKING:
    from collections.abc import Sequence

    from peewee import Database

__all__ = [
    "PERIODS",
    "Budget",
    "BudgetMode",
    "Period",
    "Unit",
    "budgets_version",
    "changed",
    "find_budget",
    "named",
    "read_budgets",
    "read_members",
    "remove_budget",
    "set_budget",
]

Kind = Literal["user", "group", "everybody"]
Period = Literal["day", "week", "month"]
PERIODS: tuple[Period, ...] = get_args(Period)
"""In UTC; a week begins on Monday (ISO 8601)."""
Unit = Literal["usd", "tokens"]
BudgetMode = Literal["", "warn", "enforce"]

_CHANGED = "UPDATE aitap_changes SET version = version + 1 WHERE name = 'budgets'"
_VERSION = "SELECT version FROM aitap_changes WHERE name = 'budgets'"
_ALL = "SELECT id, kind, subject_id, each, period, unit, amount, mode FROM aitap_budgets ORDER BY id"
_SET = (
    "INSERT INTO aitap_budgets (id, kind, subject_id, each, period, unit, amount, mode, created_at) "
    "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (kind, subject_id, each, period, unit) "
    "DO UPDATE SET amount = excluded.amount, mode = excluded.mode"
)
_REMOVE = "DELETE FROM aitap_budgets WHERE id = ?"
_REMOVE_NOTICES = "DELETE FROM aitap_budget_notices WHERE budget_id = ?"


class Budget(msgspec.Struct, frozen=True, kw_only=True):
    """One budget; columns as in :class:`aitap.storage.budget_models.Budget`."""

    id: str
    kind: Kind
    subject_id: str
    each: bool
    period: Period
    unit: Unit
    amount: int
    """Micro-dollars, or tokens; never 0."""
    mode: BudgetMode


def changed(database: Database) -> None:
    """Say that budgets or groups are no longer the same. Call it inside the transaction that changes them."""
    rows_of(database, _CHANGED)


def budgets_version(database: Database) -> int:
    """A number that is another one after every change."""
    return int(rows_of(database, _VERSION)[0][0])


def read_budgets(database: Database) -> list[Budget]:
    """All of them, the oldest first."""
    return [
        Budget(
            id=str(own_id),
            kind=kind,
            subject_id=subject,
            each=bool(each),
            period=period,
            unit=unit,
            amount=int(amount),
            mode=mode,
        )
        for own_id, kind, subject, each, period, unit, amount, mode in rows_of(database, _ALL)
    ]


def read_members(database: Database) -> dict[str, list[str]]:
    """The ids of each group's users, by the group's id."""
    found: dict[str, list[str]] = {}
    for group_id, user_id in rows_of(database, "SELECT group_id, user_id FROM aitap_group_members"):
        found.setdefault(str(group_id), []).append(str(user_id))
    return found


def set_budget(
    database: Database,
    kind: Kind,
    subject_id: str,
    *,
    period: Period,
    unit: Unit,
    amount: int,
    each: bool = False,
    mode: BudgetMode = "",
) -> Budget:
    """Make a budget, or give the one of this subject, period and unit another amount and mode.

    What was told of the old amount is forgotten: of the new one it is told again.
    """
    now = timestamp_text(time.time())
    key = (kind, subject_id, each, period, unit)
    with transaction(database):
        execute_many(database, _SET, [(new_id(), *key, amount, mode, now)])
        found = next(
            budget
            for budget in read_budgets(database)
            if (budget.kind, budget.subject_id, budget.each, budget.period, budget.unit) == key
        )
        execute_many(database, _REMOVE_NOTICES, [(found.id,)])
        changed(database)
    return found


def remove_budget(database: Database, budget_id: str) -> None:
    """There is no such budget any more."""
    with transaction(database):
        execute_many(database, _REMOVE, [(budget_id,)])
        execute_many(database, _REMOVE_NOTICES, [(budget_id,)])
        changed(database)


def find_budget(database: Database, id_or_part: str) -> Budget | None:
    """The budget with this id, or the only one whose id begins or ends so; None where there is none.

    Raises :class:`aitap.storage.ids.AmbiguousIdError` where there are several.
    """
    by_id = {budget.id: budget for budget in read_budgets(database)}
    return by_id.get(id_like(id_or_part, by_id, "budgets") or "")


def named(database: Database, budgets: Sequence[Budget]) -> list[dict[str, Any]]:
    """Budgets with the ``name`` of whom they are for; ``unit`` is ``usd_micros`` or ``tokens``.

    Plain dicts ready for JSON.
    """
    groups = {str(own_id): name for own_id, name in rows_of(database, "SELECT id, name FROM aitap_groups")}
    people = initiators(database, {budget.subject_id: None for budget in budgets if budget.kind == "user"})
    found = []
    for budget in budgets:
        name = "everybody"
        if budget.kind == "group":
            name = groups.get(budget.subject_id, budget.subject_id)
        elif budget.kind == "user":
            name = people[budget.subject_id]["username"] or budget.subject_id
        told = msgspec.structs.asdict(budget)
        told["unit"] = "usd_micros" if budget.unit == "usd" else budget.unit
        found.append({**told, "subject_id": budget.subject_id or None, "name": name, "mode": budget.mode or None})
    return found
