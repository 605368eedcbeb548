"""May this call be made? Asked of deciders, one after the other; the first that says no is obeyed.

A decider is a function of a small value, so that whatever may refuse calls (rules, and beside them budgets that
are used up) comes through the same door and is enforced, shown and recorded in the same way.

To know the model costs reading the request. So a call is decided twice where it must be: first without its model
(``models`` is None), and once more with it where a decider answers that it depends on that.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Protocol

import msgspec

from aitap.access.policy.policy_rows import NOBODY
from aitap.short_questions import LONGEST

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from aitap.access.policy.policy_rows import PolicyRow

__all__ = ["ALLOWED", "POLICY", "Call", "Decider", "Decision", "Rules", "decide"]

POLICY = "aitap_policy"
"""Where a flow's metadata says what was decided, for the record: ``action``, ``rule``, ``mode`` and, where one is used
up, ``budget``."""

_FEW = 8
"""Models that a call names whose decision is remembered."""


class Call(msgspec.Struct, frozen=True):
    """What is asked, by whom."""

    user: str
    user_id: str
    client: str | None
    """The product's name; None where nothing is known of it."""
    provider: str
    provider_name: str
    host: str
    """Lower-case, without a port."""
    models: tuple[str, ...] | None = None
    """Every model that the request names: where it names two, either may be the one that answers. None: nobody has
    looked yet. Empty: it names none, or cannot be read."""


class Decision(msgspec.Struct, frozen=True):
    """Yes or no, and why."""

    allowed: bool
    rule: int = 0
    """Number of the rule, counted from 1; 0 where it was none."""
    message: str = ""
    """For the person, where the answer is no."""
    enforced: bool = True
    """Whether a no is meant; else the call goes on, and the record says what would have been."""
    budget: str = ""
    """Id of the budget that is used up; empty where it was none."""

    @property
    def reason(self) -> int | str:
        """What said no, for counters: the number of the rule, or ``budget``."""
        return "budget" if self.budget else self.rule


ALLOWED = Decision(allowed=True)


class Decider(Protocol):
    """Something that may refuse a call."""

    needs_client: bool
    """Whether ``client`` must be filled in."""
    idle: bool
    """Whether it would allow every call now: then it need not be asked."""
    enforced: bool
    """Whether a no of its may be meant now."""

    def decide(self, call: Call) -> Decision | None:
        """The decision; None where it depends on the model and ``call.models`` is None. Pure, and without I/O."""
        ...


def decide(deciders: Iterable[Decider], call: Call) -> Decision | None:
    """What they say together: of refusals the first that is enforced, else the first of all.

    None where one of them needs to know the model, and none refuses it enforced.
    """
    open_ = False
    warned: Decision | None = None
    for decider in deciders:
        decision = decider.decide(call)
        if decision is None:
            open_ = True
        elif not decision.allowed:
            if decision.enforced:
                return decision
            warned = warned or decision
    return None if open_ else warned or ALLOWED


class _Rule:
    """A rule made ready: a test for each condition, None where it asks nothing."""

    __slots__ = ("allow", "client", "host", "message", "model", "number", "provider", "user")

    def __init__(self, number: int, row: PolicyRow) -> None:
        self.number = number
        self.allow = row.action == "allow"
        self.user, self.client, self.host = _test(row.users), _test(row.clients), _test(row.hosts)
        self.provider, self.model = _test(row.providers), _test(row.models)
        self.message = row.message or f"This proxy does not allow this call (policy rule {number})."

    def fits(self, call: Call) -> bool:
        """Whether every condition holds but that of the model."""
        return (
            (self.provider is None or self.provider(call.provider) or self.provider(call.provider_name))
            and (self.user is None or self.user(call.user) or self.user(call.user_id))
            and (self.host is None or self.host(call.host))
            and (self.client is None or self.client(call.client or NOBODY))
        )

    def fits_models(self, models: tuple[str, ...]) -> bool:
        """A doubt counts against the call: one model is enough to deny it, and all must be named to allow it."""
        if self.model is None:
            return True
        if self.allow:
            return bool(models) and all(map(self.model, models))
        return not models or any(map(self.model, models))


class Rules:
    """The rules of ``aitap.toml``: the first that fits decides, and where none does the call is allowed."""

    idle = False

    def __init__(self, rows: Sequence[PolicyRow], *, enforced: bool = True) -> None:
        self._rules = [_Rule(number, row) for number, row in enumerate(rows, 1)]
        self.enforced = enforced
        self.needs_client = any(row.clients for row in rows)
        # What is asked comes from strangers: the memory is bounded.
        self._known = lru_cache(maxsize=4096)(self._decide)

    def decide(self, call: Call) -> Decision | None:
        """See :class:`Decider`."""
        short = len(call.host) <= LONGEST and (call.models is None or len(call.models) <= _FEW)
        return self._known(call) if short else self._decide(call)

    def _decide(self, call: Call) -> Decision | None:
        for rule in self._rules:
            if not rule.fits(call):
                continue
            if rule.model is not None:
                if call.models is None:
                    return None
                if not rule.fits_models(call.models):
                    continue
            if rule.allow:
                return Decision(allowed=True, rule=rule.number)
            message = rule.message
            if rule.model is not None and not call.models:
                message = f"This proxy cannot tell which model is asked, and policy rule {rule.number} depends on it."
            return Decision(allowed=False, rule=rule.number, message=message, enforced=self.enforced)
        return ALLOWED


def _test(patterns: tuple[str, ...]) -> Callable[[str], bool] | None:
    if not patterns or "*" in patterns:
        return None
    alternatives = ("[\\s\\S]*".join(map(re.escape, pattern.split("*"))) for pattern in patterns)
    match = re.compile("|".join(alternatives), re.IGNORECASE).fullmatch
    return lambda text: match(text) is not None
