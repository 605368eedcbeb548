"""How much of each budget is used up, out of the sums of days and months that the writers keep.

All proxies that write to one database are in these sums. A call counts when it is over, on the day it began.
Dollars are list price, and what was used under a subscription costs none of them; tokens are all that the four
counters say, those read from a cache among them. What nobody knows the cost of counts nothing, and is told beside.

Of budgets with ``each``, a user has one allowance for a period and a unit: the user's own budget, else the largest
of the user's groups, else that for everybody.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING, Literal

import msgspec

from aitap.storage.budgets import Budget
from aitap.storage.database import rows_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from peewee import Database

    from aitap.storage.budgets import Period

__all__ = ["NEAR", "SPENT", "Standing", "State", "Used", "read_spending", "since", "standings", "until"]

NEAR, SPENT = 85, 100
"""Percentages of a budget at which it is told."""

State = Literal["ok", "near", "spent"]

_SUBSCRIPTION = "byok_subscription"
_SUMS = (
    "SELECT CAST(initiator_id AS TEXT), credential_kind, sum(cost_micros), sum(unpriced), sum(unmetered), "
    "sum(input_tokens + output_tokens + cache_read_input_tokens + cache_write_input_tokens) FROM "
)
# To group by the columns themselves would send SQLite through an index of users.
_GROUPS = " GROUP BY CAST(initiator_id AS TEXT), credential_kind"
_MONTH = f"{_SUMS}aitap_monthly_usage WHERE month = ?{_GROUPS}"
_DAYS = f"{_SUMS}aitap_daily_usage WHERE day >= ? AND day < ?{_GROUPS}"


class Used(msgspec.Struct, frozen=True):
    """What was used in a period, by somebody or by several."""

    micros: int = 0
    """List price of what was not used under a subscription."""
    subscription_micros: int = 0
    """List price of what was, which nobody pays."""
    tokens: int = 0
    unpriced: int = 0
    """Responses whose cost nobody knows; under a subscription it does not matter."""
    unmetered: int = 0
    """Calls that were answered without a word on tokens."""

    def __add__(self, other: Used) -> Used:
        return Used(
            self.micros + other.micros,
            self.subscription_micros + other.subscription_micros,
            self.tokens + other.tokens,
            self.unpriced + other.unpriced,
            self.unmetered + other.unmetered,
        )


_NOTHING = Used()


class Standing(msgspec.Struct, frozen=True):
    """How it stands with a budget, or with one user's share where everyone has one."""

    budget: Budget
    user_id: str
    """The one it is about, where everyone has so much; else empty."""
    since: str
    """The day on which the period began."""
    until: str
    """The day on which the next one begins."""
    used: Used

    @property
    def spent(self) -> int:
        """In the budget's unit: micro-dollars, or tokens."""
        return self.used.micros if self.budget.unit == "usd" else self.used.tokens

    @property
    def percent(self) -> int:
        """Whole percents of the budget that are used up."""
        return self.spent * 100 // self.budget.amount

    @property
    def state(self) -> State:
        """``near`` from 85 % on, ``spent`` from 100 % on."""
        return "spent" if self.percent >= SPENT else "near" if self.percent >= NEAR else "ok"


def since(period: Period, today: date) -> date:
    """The first day of the period in which this day is."""
    if period == "month":
        return today.replace(day=1)
    return today - timedelta(days=today.weekday()) if period == "week" else today


def until(period: Period, today: date) -> date:
    """The first day of the next one."""
    begun = since(period, today)
    if period == "month":
        return (begun + timedelta(days=31)).replace(day=1)
    return begun + timedelta(days=7 if period == "week" else 1)


def read_spending(database: Database, periods: Iterable[Period], today: date) -> dict[Period, dict[str, Used]]:
    """What each user used in these periods as they are on this day (UTC), by user id. Errors come as Peewee's."""
    found: dict[Period, dict[str, Used]] = {}
    for period in dict.fromkeys(periods):
        begun, ends = since(period, today).isoformat(), until(period, today).isoformat()
        sql, parameters = (_MONTH, (begun[:7],)) if period == "month" else (_DAYS, (begun, ends))
        by_user: dict[str, Used] = {}
        for user_id, credential, micros, unpriced, unmetered, tokens in rows_of(database, sql, parameters):
            if credential == _SUBSCRIPTION:
                more = Used(0, int(micros), int(tokens), 0, int(unmetered))
            else:
                more = Used(int(micros), 0, int(tokens), int(unpriced), int(unmetered))
            before = by_user.get(user_id)
            by_user[user_id] = more if before is None else before + more
        found[period] = by_user
    return found


def standings(
    budgets: Sequence[Budget],
    members: Mapping[str, Sequence[str]],
    spending: Mapping[Period, Mapping[str, Used]],
    today: date,
) -> Iterator[Standing]:
    """One for each budget; of those for everyone, one for each user who used something and whose allowance it is."""
    allowances: dict[tuple[str, str], _Allowances] = {}
    for budget in budgets:
        if budget.each or budget.kind == "user":
            allowances.setdefault((budget.period, budget.unit), _Allowances(members)).add(budget)
    for budget in budgets:
        by_user = spending[budget.period]
        span = since(budget.period, today).isoformat(), until(budget.period, today).isoformat()
        if budget.each:
            mine = allowances[budget.period, budget.unit]
            those = by_user if budget.kind == "everybody" else members.get(budget.subject_id, ())
            for user_id in those:
                if user_id in by_user and mine.of(user_id) is budget:
                    yield Standing(budget, user_id, *span, by_user[user_id])
        elif budget.kind == "user":
            yield Standing(budget, "", *span, by_user.get(budget.subject_id, _NOTHING))
        else:
            used = _NOTHING
            for user_id in by_user if budget.kind == "everybody" else members.get(budget.subject_id, ()):
                used += by_user.get(user_id, _NOTHING)
            yield Standing(budget, "", *span, used)


class _Allowances:
    """Of one period and unit: which budget is whose."""

    def __init__(self, members: Mapping[str, Sequence[str]]) -> None:
        self._members = members
        self._own: dict[str, Budget] = {}
        self._by_group: dict[str, Budget] = {}
        self._everybody: Budget | None = None

    def add(self, budget: Budget) -> None:
        if budget.kind == "user":
            self._own[budget.subject_id] = budget
        elif budget.kind == "everybody":
            self._everybody = budget
        else:
            for user_id in self._members.get(budget.subject_id, ()):
                before = self._by_group.get(user_id)
                if before is None or budget.amount > before.amount:
                    self._by_group[user_id] = budget

    def of(self, user_id: str) -> Budget | None:
        return self._own.get(user_id) or self._by_group.get(user_id) or self._everybody
