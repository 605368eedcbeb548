"""Tables on terminals of any width."""

from __future__ import annotations

from datetime import UTC, datetime
from io import StringIO

import pytest
from rich.console import Console

from aitap.export.human import DASH
from aitap.export.tables import user_table

NOW = datetime(2026, 11, 20, tzinfo=UTC)


def shown(width: int, name: str) -> list[str]:
    """The lines of a table of one user with this name."""
    user = {"username": "ann", "name": name, "email": None, "source": "aitap", "role": "user"}
    user |= {"state": "live", "keys": 1, "last_used_at": None}
    console = Console(file=StringIO(), width=width)
    console.print(user_table([user], width, NOW))
    assert isinstance(console.file, StringIO)
    return console.file.getvalue().splitlines()


def test_what_fits_takes_no_more_room_than_it_needs() -> None:
    head, row = shown(200, "Ann")
    assert row.split() == ["ann", "Ann", DASH, "aitap", "user", "live", "1", DASH]
    assert max(len(line.rstrip()) for line in (head, row)) < 80


@pytest.mark.parametrize("width", [80, 200])
def test_what_does_not_fit_is_cut_at_the_edge(width: int) -> None:
    head, row = shown(width, "N" * 300)
    assert len(head.rstrip()) <= width
    assert "…" in row
    assert len(row.rstrip()) <= width
