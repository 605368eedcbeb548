"""Which interceptions went with the retention though a file may bring them back.

What was on the wire never comes twice. What is read from a file has an id that follows from what it is
(:func:`aitap.record.derived_id`), so that to read the file again adds nothing; but retention may have taken it
meanwhile, and not the sums of its day. Its id is kept, so that the day does not count it twice.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aitap.storage.database import execute_many, question_marks, rows_of, slices

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from peewee import Database

__all__ = ["counted_before", "note_pruned"]

_AT_ONCE = 500


def note_pruned(database: Database, ids: Sequence[str]) -> None:
    """These go with the retention; in the transaction that removes them."""
    execute_many(
        database,
        "INSERT INTO aitap_pruned (id) VALUES (?) ON CONFLICT (id) DO NOTHING",
        [(own_id,) for own_id in _derived(ids)],
    )


def counted_before(database: Database, ids: Iterable[str]) -> set[str]:
    """Those of these that a day counts already."""
    found: set[str] = set()
    derived = _derived(ids)
    for some in slices(derived, _AT_ONCE):
        sql = f"SELECT CAST(id AS TEXT) FROM aitap_pruned WHERE id IN {question_marks(len(some))}"
        found |= {row[0] for row in rows_of(database, sql, some)}
    return found


def _derived(ids: Iterable[str]) -> list[str]:
    # The version of a UUID is its 13th digit.
    return [own_id for own_id in ids if own_id[14] == "8"]
