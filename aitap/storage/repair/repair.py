"""Making right what a check found, in steps, beside writers: again and again, until nothing is found that can be."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import msgspec

from aitap.storage.administration import acting
from aitap.storage.checks import findings
from aitap.storage.findings import Problem
from aitap.storage.repair.differences import apply, coarser, counts
from aitap.storage.repair.rows import CHILDREN, remove_messages, remove_orphans, repair_kinds
from aitap.storage.repair.session_rows import repair_session_kinds, repair_sessions
from aitap.storage.repair.usage import repair_days

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator, Sequence

    from peewee import Database

    from aitap.storage.audit import Reader

__all__ = ["Repaired", "repair"]

_ROUNDS = 4
"""What others do at the same time may leave something to be done. Where it still does, it is said."""
_FOLLOWS = {
    "aibridge_interceptions": ("aitap_session_kinds", "aitap_session_days", "aitap_kind_days", "aitap_kinds"),
    "aitap_sessions": ("aitap_session_kinds",),
    "aitap_session_kinds": ("aitap_session_days",),
    "aitap_daily_usage": tuple(kept.table for kept in coarser()),
}
"""What is made of what was repaired."""


class Repaired(msgspec.Struct):
    """What came of it so far."""

    rows: dict[str, int] = {}
    """Rows made right, or removed, by table."""
    left: list[Problem] = []
    """At the end: what is still wrong."""


def repair(database: Database, found: Sequence[Problem], doer: Reader) -> Generator[Repaired, None, None]:
    """Make right what was found, as far as that can be; each step gives the state so far. Errors come as Peewee's.

    For a process beside the proxy: it rests as long as it works. That ``doer`` did it, and what was wrong, is on record
    first.
    """
    so_far = Repaired(left=list(found))
    wrong = _tables(found)
    if not wrong:
        yield so_far
        return
    with acting(database, doer) as act:
        act.note("records.repair", found=wrong)
    for _ in range(_ROUNDS):
        for table, steps in _works(database, set(_tables(so_far.left))):
            for count in steps:
                if count:
                    so_far.rows[table] = so_far.rows.get(table, 0) + count
                yield so_far
        so_far.left = list(findings(database))
        if not _tables(so_far.left):
            break
    yield so_far


def _tables(found: Iterable[Problem]) -> dict[str, int]:
    """How many rows there are to be repaired in which table."""
    rows: dict[str, int] = {}
    for problem in found:
        if problem.table:
            rows[problem.table] = rows.get(problem.table, 0) + problem.rows
    return rows


def _works(database: Database, wanted: set[str]) -> Iterator[tuple[str, Iterator[int]]]:
    """The tables to be repaired, each before what is made of it, with the steps."""
    works: dict[str, Callable[[Database], Iterator[int]]] = {
        **{table: partial(remove_orphans, table=table) for table in CHILDREN},
        "aibridge_interceptions": repair_kinds,
        "aitap_sessions": repair_sessions,
        "aitap_session_kinds": repair_session_kinds,
        **{kept.table: partial(apply, kept=kept) for kept in counts(database)},
        "aitap_daily_usage": repair_days,
        **{kept.table: partial(apply, kept=kept) for kept in coarser()},
        "aitap_messages": remove_messages,
    }
    if wanted.intersection(_FOLLOWS["aitap_daily_usage"]):
        # They may know what the days have lost.
        wanted.add("aitap_daily_usage")
    for table, work in works.items():
        if table in wanted:
            wanted.update(_FOLLOWS.get(table, ()))
            yield table, work(database)
