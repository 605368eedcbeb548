"""Usage as a table for the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from aitap.export import human

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["cost", "unpriced_table", "usage_table"]

Row = dict[str, Any]


def cost(row: Row) -> str:
    """What it cost as far as that is known; a ``+`` says that there is more."""
    return human.money(row["cost_micros"], more=bool(row["unpriced"] or row["unmetered"]))


def _number(name: str) -> Callable[[Row], str]:
    return lambda row: human.count(row[name])


_SUMS: tuple[tuple[str, Callable[[Row], str], int], ...] = (
    ("CALLS", _number("interceptions"), 0),
    ("ERRORS", _number("errors"), 100),
    ("PROMPTS", _number("prompts"), 110),
    ("TOOLS", _number("tool_calls"), 120),
    ("IN", _number("input_tokens"), 0),
    ("CACHED", _number("cache_read_input_tokens"), 70),
    ("WRITTEN", _number("cache_write_input_tokens"), 90),
    ("OUT", _number("output_tokens"), 0),
    ("COST", cost, 0),
)
"""Heads, values, and the width of the terminal from which they are shown."""


def usage_table(rows: Sequence[Row], total: Row, by: Sequence[str], width: int) -> Table:
    """One line for each row and one for all of them."""
    shown = [(head, value) for head, value, since in _SUMS if since <= width]
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold", show_footer=True)
    for place, name in enumerate(by):
        head = name.replace("_", " ").upper()
        table.add_column(head, "Total" if place == 0 else "", no_wrap=True, overflow="ellipsis", footer_style="bold")
    for head, value in shown:
        table.add_column(head, value(total), justify="right", no_wrap=True, footer_style="bold")
    for row in rows:
        table.add_row(*(Text(_named(row, name)) for name in by), *(value(row) for _, value in shown))
    return table


def _named(row: Row, name: str) -> str:
    if name == "user":
        return human.one_line(row["user"]["username"] or human.short_id(row["user"]["id"]))
    return human.one_line(row[name] or human.DASH)


def unpriced_table(rows: Sequence[Row]) -> Table:
    """One line for each model of which some cost is not known."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for head in ("PROVIDER", "MODEL"):
        table.add_column(head, no_wrap=True, overflow="ellipsis")
    for head in ("CALLS", "UNPRICED", "NO TOKENS"):
        table.add_column(head, justify="right", no_wrap=True)
    table.add_column("LAST DAY", no_wrap=True)
    table.add_column("WHY", overflow="fold", min_width=28)
    for row in rows:
        table.add_row(
            *(Text(human.one_line(row[name])) for name in ("provider_name", "model")),
            *(human.count(row[name]) for name in ("interceptions", "unpriced", "unmetered")),
            row["last_day"] or human.DASH,
            Text(human.one_line(row["reason"] or "the records are gone")),
        )
    return table
