"""Whether the sums that are kept beside interceptions say what the interceptions do: kinds, sessions, days, months.

Sums of kinds and sessions are those of the rows there are. Sums of days outlive their rows, so they may be more than
these, never less; coarser sums are those of the finer, to the last token.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aitap.storage.daily import OF_FINER
from aitap.storage.findings import Problem, miscounted
from aitap.storage.repair.differences import coarser, counts, lacking
from aitap.storage.repair.rows import mistaken
from aitap.storage.repair.session_rows import stale_kinds, wrong_kinds, wrong_sessions
from aitap.storage.repair.usage import wrong_days

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from peewee import Database

__all__ = ["sum_problems"]


def sum_problems(database: Database) -> Iterator[list[Problem]]:
    """What differs, table by table; nothing where all agree. Reads every interception, without its texts."""
    for table, what, rows in _looks(database):
        count = sum(1 for _ in rows)
        yield [miscounted(table, what, count)] if count else []


def _looks(database: Database) -> Iterator[tuple[str, str, Iterable[object]]]:
    """For each table what is said of rows of it that are wrong, and these."""
    yield "aibridge_interceptions", "listed as another kind than they are", mistaken(database)
    for kept in counts(database):
        of = "sessions" if kept.table == "aitap_session_days" else "interceptions"
        yield kept.table, f"that do not count what {of} there are", lacking(database, kept)
    times = "that do not count what interceptions there are, or have other times"
    yield "aitap_session_kinds", times, wrong_kinds(database)
    yield "aitap_session_kinds", "with another time than their session", stale_kinds(database)
    yield "aitap_sessions", "that do not say what their interceptions do", wrong_sessions(database)
    for kept in coarser():
        yield kept.table, f"that are not the sum of {OF_FINER[kept.table]}", lacking(database, kept)
    short, too_much = wrong_days(database)
    yield "aitap_daily_usage", "that count less than there is", short
    yield "aitap_daily_usage", "that count more than there is, though nothing of it is gone", too_much
