"""The time that a page is about, in whole days of UTC, so that it can be told from the sums of days."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING

import msgspec

from aitap.server.problems import invalid_parameters

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aitap.storage.filters import Filter

__all__ = ["PERIODS", "Period", "period_of"]

PERIODS = {"7": "7 days", "30": "30 days", "90": "90 days", "365": "1 year", "all": "All time"}
"""Choices of the parameter ``days``."""
_DEFAULT = "30"


class Period(msgspec.Struct, frozen=True):
    """From the beginning of a day until now."""

    choice: str
    """A key of ``PERIODS``."""
    first: date | None
    """None for all time."""
    today: date

    @property
    def name(self) -> str:
        """As people call it."""
        return PERIODS[self.choice]

    def within(self, filter: Filter) -> Filter:
        """The same filter for this time alone."""
        return msgspec.structs.replace(filter, started_after=_midnight(self.first)) if self.first else filter

    def before(self, filter: Filter) -> Filter | None:
        """The same filter for the span of the same length before; None where there is none."""
        if self.first is None:
            return None
        begin = self.first - (self.today - self.first) - timedelta(days=1)
        end = datetime.combine(self.first, time(), UTC) - timedelta(microseconds=1)
        return msgspec.structs.replace(filter, started_after=_midnight(begin), started_before=end)


def period_of(parameters: Mapping[str, str], today: date | None = None) -> Period:
    """The period of the parameter ``days``. Raises :class:`aitap.server.problems.Problem`."""
    choice = parameters.get("days", _DEFAULT)
    if choice not in PERIODS:
        raise invalid_parameters({"days": f"choose one of {', '.join(PERIODS)}"})
    today = today or datetime.now(UTC).date()
    return Period(choice, None if choice == "all" else today - timedelta(days=int(choice) - 1), today)


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)
