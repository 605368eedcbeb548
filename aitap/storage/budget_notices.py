"""That a budget is nearly or wholly used up is told once in its period, whichever process notices it.

Who finds out says so in the database first; only whose row it is may tell. So neither several proxies nor one that
is started anew repeat it.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from aitap.storage.database import execute_many, rows_of, transaction
from aitap.storage.fields import timestamp_text
from aitap.storage.spending import NEAR, SPENT

if TYPE_CHECKING:
    from collections.abc import Iterable

    from peewee import Database

    from aitap.storage.spending import Standing

__all__ = ["Notices", "remove_notices"]

_PUT = (
    "INSERT INTO aitap_budget_notices (budget_id, user_id, since, percent, told_at) VALUES (?, ?, ?, ?, ?) "
    "ON CONFLICT (budget_id, user_id, since, percent) DO NOTHING"
)
_REMOVE = "DELETE FROM aitap_budget_notices WHERE told_at < ?"


class Notices:
    """What this process knows to be told already: it need not ask again."""

    def __init__(self) -> None:
        self._told: set[tuple[str, str, str, int]] = set()

    def new(self, database: Database, standings: Iterable[Standing]) -> list[tuple[Standing, int]]:
        """Standings that have passed a threshold which nobody has told yet, each with the highest such threshold.

        Errors come as Peewee's; then nothing counts as told.
        """
        found: list[tuple[Standing, int]] = []
        passed: set[tuple[str, str, str, int]] = set()
        now = timestamp_text(time.time())
        for standing in standings:
            percent = standing.percent
            for threshold in (SPENT, NEAR):
                if percent < threshold:
                    continue
                key = (standing.budget.id, standing.user_id, standing.since, threshold)
                passed.add(key)
                if key in self._told:
                    continue
                with transaction(database):
                    mine = execute_many(database, _PUT, [(*key, now)]) > 0
                self._told.add(key)
                if mine and not (found and found[-1][0] is standing):
                    found.append((standing, threshold))
        # Of periods that are over, and of budgets that were changed, nothing need be remembered.
        self._told &= passed
        return found


def remove_notices(database: Database, before: str) -> None:
    """Forget what was told before this moment (as it is stored). Call it inside a transaction."""
    rows_of(database, _REMOVE, (before,))
