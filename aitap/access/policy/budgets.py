"""Who has used up a budget, as far as the database said some seconds ago; and their calls are refused, or not.

Theory of operation. Sums are read in the thread of :class:`aitap.access.authentication.directory.Directory`, every
two seconds and less often where that takes long; what comes of it is handed to the event loop as a whole. A call
is decided by looking at that. So somebody may go over a budget by what is under way and by what a few seconds
bring; and while the database is away what was known last holds, until its period is over.
"""

from __future__ import annotations

import logging
import time
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

import msgspec

from aitap.access.policy.decisions import ALLOWED, Decision
from aitap.storage.budget_notices import Notices
from aitap.storage.budgets import budgets_version, named, read_budgets, read_members
from aitap.storage.rows import initiators
from aitap.storage.spending import SPENT, Standing, read_spending, standings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from peewee import Database

    from aitap.access.policy.decisions import Call
    from aitap.settings import BudgetsMode
    from aitap.storage.budgets import Budget

__all__ = ["Budgets", "told_amount"]

logger = logging.getLogger("aitap.access.policy.budgets")

EVERY = 2.0
"""The fewest seconds between two looks at what was used."""
_REST, LONGEST = 10, 10.0
"""For so many times as long as a look took there is no other, but never for more seconds than that."""

_WORDS = {"day": "a day", "week": "a week", "month": "a month"}


class _Over(msgspec.Struct, frozen=True):
    """A budget that is used up: how calls are decided, until when (epoch seconds)."""

    decision: Decision
    until: float


class _Known(msgspec.Struct, frozen=True):
    """What the event loop is given."""

    users: dict[str, _Over]
    everybody: _Over | None
    ratios: dict[tuple[str, str, str, str], float]
    """How much of each budget is used up, by kind, name, period and unit; where everyone has one, the most of all."""


_NOBODY = _Known({}, None, {})


class Budgets:
    """A decider (:class:`aitap.access.policy.decisions.Decider`) that follows the database.

    ``mode`` is the setting: it holds for budgets that do not say for themselves whether they are enforced.
    """

    needs_client = False

    def __init__(self, mode: BudgetsMode, clock: Callable[[], float] = time.time) -> None:
        self._mode = mode
        self._clock = clock
        self._known = _NOBODY
        self.idle = True
        """Whether every call is allowed, and without a word, as far as is known."""
        self.enforced = False
        """Whether a call may be refused now."""
        # The rest is the thread's.
        self._notices = Notices()
        self._next = 0.0
        self._version: int | None = None
        self._budgets: list[Budget] = []
        self._members: dict[str, list[str]] = {}
        self._names: dict[str, str] = {}

    # The event loop's side

    def decide(self, call: Call) -> Decision:
        """No where the user, a group of theirs or everybody has used up a budget."""
        known = self._known
        for over in (known.users.get(call.user_id), known.everybody):
            if over is not None and self._clock() < over.until:
                return over.decision
        return ALLOWED

    @property
    def ratios(self) -> dict[tuple[str, str, str, str], float]:
        """How much of each budget is used up, for the metrics."""
        return self._known.ratios

    def take(self, known: _Known) -> None:
        """From now on this is known."""
        self._known = known
        overs = [*known.users.values(), *([known.everybody] if known.everybody else [])]
        self.idle = not overs
        self.enforced = any(over.decision.enforced for over in overs)

    # The thread's side

    def poll(self, database: Database) -> Callable[[], None] | None:
        """Look, if it is time to; what is returned is to be called on the event loop. Errors come as Peewee's."""
        begun = time.monotonic()
        if begun < self._next:
            return None
        self._next = begun + EVERY
        version = budgets_version(database)
        if version != self._version:
            self._budgets, self._members = read_budgets(database), read_members(database)
            self._names = {row["id"]: row["name"] for row in named(database, self._budgets)}
            self._version = version
        if not self._budgets:
            return (lambda: self.take(_NOBODY)) if self._known is not _NOBODY else None
        today = datetime.fromtimestamp(self._clock(), UTC).date()
        spending = read_spending(database, (budget.period for budget in self._budgets), today)
        found = list(standings(self._budgets, self._members, spending, today))
        known = self._weighed(found)
        for standing, percent in self._notices.new(database, found):
            self._tell(database, standing, percent)
        self._next = begun + min(max(EVERY, _REST * (time.monotonic() - begun)), LONGEST)
        return lambda: self.take(known)

    def _weighed(self, found: Iterable[Standing]) -> _Known:
        users: dict[str, _Over] = {}
        everybody: _Over | None = None
        ratios: dict[tuple[str, str, str, str], float] = {}
        for standing in found:
            budget = standing.budget
            key = (budget.kind, self._names[budget.id], budget.period, budget.unit)
            ratios[key] = max(ratios.get(key, 0.0), standing.spent / budget.amount)
            if standing.percent < SPENT:
                continue
            over = _Over(self._decision(standing), _midnight(standing.until))
            if budget.kind == "everybody" and not budget.each:
                everybody = _worse(everybody, over)
            for user_id in self._whose(standing):
                users[user_id] = _worse(users.get(user_id), over)
        if everybody is not None:
            # What is said of one user alone must not be milder.
            users = {user_id: _worse(over, everybody) for user_id, over in users.items()}
        return _Known(users, everybody, ratios)

    def _whose(self, standing: Standing) -> Sequence[str]:
        budget = standing.budget
        if budget.each:
            return [standing.user_id]
        if budget.kind == "user":
            return [budget.subject_id]
        return self._members.get(budget.subject_id, ())

    def _enforces(self, budget: Budget) -> bool:
        return (budget.mode or self._mode) == "enforce"

    def _decision(self, standing: Standing) -> Decision:
        budget = standing.budget
        # The first sentences are the reference's.
        message = (
            f"AI budget of {told_amount(budget.amount, budget.unit)} exceeded. Please contact an administrator for "
            f"more details. The next {budget.period} begins on {standing.until} (UTC)."
        )
        return Decision(allowed=False, message=message, enforced=self._enforces(budget), budget=budget.id)

    def _tell(self, database: Database, standing: Standing, percent: int) -> None:
        budget = standing.budget
        whose = self._names[budget.id]
        if budget.kind == "group":
            whose = f"group {whose}"
        if standing.user_id:
            person = initiators(database, [standing.user_id])[standing.user_id]
            whose = f"{person['username'] or standing.user_id}, one of {whose}"
        what = f"the budget of {whose} ({told_amount(budget.amount, budget.unit)} {_WORDS[budget.period]}) is used up"
        spent = told_amount(standing.spent, budget.unit)
        if percent < SPENT:
            logger.warning("aitap: %d %% of %s: %s", percent, what, spent)
        else:
            then = "are refused" if self._enforces(budget) else "go on"
            logger.warning("aitap: %s: %s; calls %s until %s", what, spent, then, standing.until)


def told_amount(amount: int, unit: str) -> str:
    """``US$1,234.50``, ``US$0.0042`` or ``2,000,000 tokens``."""
    if unit != "usd":
        return f"{amount:,} tokens"
    # Less than a cent is not nothing.
    places = 2 if amount >= 10_000 or not amount else 6
    whole, _, cents = f"{amount / 1_000_000:,.{places}f}".partition(".")
    return f"US${whole}.{cents[:2]}{cents[2:].rstrip('0')}"


def _worse(one: _Over | None, other: _Over) -> _Over:
    """Of two, the one that refuses; of two that do, the one that does so longer."""
    if one is None:
        return other
    return max(one, other, key=lambda over: (over.decision.enforced, over.until))


def _midnight(day: str) -> float:
    return datetime.combine(date.fromisoformat(day), datetime.min.time(), UTC).timestamp()
