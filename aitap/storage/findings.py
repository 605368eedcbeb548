"""What a check of the database finds: what is wrong, and what to do about it."""

from __future__ import annotations

import msgspec

__all__ = ["REPAIR", "Problem", "lost", "miscounted"]

REPAIR = "`aitap db check --repair`"


class Problem(msgspec.Struct, frozen=True):
    """One line."""

    what: str
    advice: str
    table: str = ""
    """Which table a repair would make right; empty where it cannot."""
    rows: int = 0
    """How many rows of it."""

    def __str__(self) -> str:
        return f"{self.what}: {self.advice}"


def miscounted(table: str, what: str, rows: int, does: str = "counts anew") -> Problem:
    """Rows of a table that a repair makes right."""
    return Problem(f"{table} has {rows} rows {what}", f"{REPAIR} {does}", table, rows)


def lost(what: str) -> Problem:
    """What nothing that is there can say any more."""
    return Problem(what, "restore a backup, or remove what refers to it with `aitap erase --session ID`")
