"""Budgets that are nearly or wholly used up, and whether calls are refused for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aitap.checkup.finding import Finding, ok, warning
from aitap.export.budget_view import amount, said, then, who
from aitap.storage.budget_status import budget_status

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import date

    from peewee import Database

    from aitap.settings import BudgetsMode

__all__ = ["check_budgets"]


def check_budgets(database: Database, setting: BudgetsMode, today: date) -> Iterator[Finding]:
    """One finding for each budget of which 85 % or more is used up, where the setting is this; and one for the rest."""
    rows = budget_status(database, today)
    near = [row for row in rows if row["state"] != "ok"]
    for row in near:
        what = f"{row['percent']} % of the budget of {who(row)} is used up: {amount(row['spent'], row['unit'])}"
        if row["state"] == "spent":
            what += f"; then: {then(row, setting)}, until {row['until']}"
        yield warning("budgets.used", what, f"`aitap budgets status` tells more ({said(row)})")
    if rows and not near:
        yield ok("budgets.used", f"of {len(rows)} budget{'' if len(rows) == 1 else 's'} less than 85 % is used up")
