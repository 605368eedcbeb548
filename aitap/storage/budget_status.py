"""How it stands with every budget now, for people and programs to read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aitap.storage.budgets import PERIODS, named, read_budgets, read_members
from aitap.storage.rows import initiators
from aitap.storage.spending import Standing, Used, read_spending, since, standings, until

if TYPE_CHECKING:
    from datetime import date

    from peewee import Database

    from aitap.storage.budgets import Budget

__all__ = ["budget_status", "list_budgets"]

_RANK = {"everybody": 0, "group": 1, "user": 2}


def list_budgets(database: Database) -> list[dict[str, Any]]:
    """All budgets as :func:`aitap.storage.budgets.named` tells them: everybody's first, then groups and users."""
    return sorted(named(database, read_budgets(database)), key=_order)


def _order(row: dict[str, Any]) -> tuple[Any, ...]:
    return _RANK[row["kind"]], row["name"], row["each"], PERIODS.index(row["period"]), row["unit"]


def budget_status(database: Database, today: date) -> list[dict[str, Any]]:
    """What :func:`list_budgets` gives, each with what is used up in the period that this day (UTC) is in.

    ``spent``, ``left`` and ``percent`` are those of the user who used most where everyone has a budget of their
    own; ``users`` has all of them. What the cost is not known of (``unpriced`` responses, ``unmetered`` calls)
    counts nothing in ``spent``; ``subscription_micros`` is list price that nobody pays, and does not count either.
    """
    budgets = read_budgets(database)
    spending = read_spending(database, (budget.period for budget in budgets), today)
    found: dict[str, list[Standing]] = {budget.id: [] for budget in budgets}
    for standing in standings(budgets, read_members(database), spending, today):
        found[standing.budget.id].append(standing)
    people = initiators(database, {one.user_id: None for those in found.values() for one in those if one.user_id})
    rows = [
        told | _status(budget, found[budget.id], people, today)
        for budget, told in zip(budgets, named(database, budgets), strict=True)
    ]
    return sorted(rows, key=_order)


def _status(budget: Budget, found: list[Standing], people: dict[str, dict[str, Any]], today: date) -> dict[str, Any]:
    begun, ends = since(budget.period, today).isoformat(), until(budget.period, today).isoformat()
    found = sorted(found, key=lambda one: (-one.spent, one.user_id))
    most = found[0] if found else Standing(budget, "", begun, ends, Used())
    used = sum((one.used for one in found), Used())
    users = [
        {"user": people[one.user_id], "spent": one.spent, "percent": one.percent, "state": one.state}
        for one in found
        if one.user_id
    ]
    return {
        "since": begun,
        "until": ends,
        "spent": most.spent,
        "left": max(0, budget.amount - most.spent),
        "percent": most.percent,
        "state": most.state,
        "unpriced": used.unpriced,
        "unmetered": used.unmetered,
        "subscription_micros": used.subscription_micros,
        "users": users if budget.each else None,
    }
