"""Budgets and groups as tables for the terminal and as lines of text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from rich.table import Table
from rich.text import Text

from aitap.export import human

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from aitap.settings import BudgetsMode

__all__ = ["amount", "budget_table", "group_table", "said", "then", "unknown", "who"]

Row = dict[str, Any]

_SAID = {"off": "nothing (budgets = off)", "warn": "a warning", "enforce": "calls are refused"}
_THEN = {"off": "nothing", "warn": "warning", "enforce": "refused"}
_STYLES = {"ok": "", "near": "yellow", "spent": "red"}


def amount(value: int, unit: str) -> str:
    """Dollars, or a number of tokens."""
    return human.money(value) if unit == "usd_micros" else f"{human.count(value)} tokens"


def _whose(row: Row) -> str:
    """``ann``, ``group interns``, ``each of interns``, ``everybody``, ``each of everybody``."""
    name = human.one_line(row["name"])
    if row["each"]:
        return f"each of {name}"
    return f"group {name}" if row["kind"] == "group" else name


def said(row: Row) -> str:
    """A budget in a line."""
    return f"{_whose(row)}: {amount(row['amount'], row['unit'])} a {row['period']}"


def then(row: Row, setting: BudgetsMode) -> str:
    """What happens when it is used up, where the setting is this."""
    return _SAID[_effect(row, setting)]


def _effect(row: Row, setting: BudgetsMode) -> str:
    return "off" if setting == "off" else str(row["mode"] or setting)


def who(row: Row) -> str:
    """Whose it is, with the user who used most where everyone has one."""
    if row.get("users"):
        most = row["users"][0]["user"]
        return f"{human.one_line(most['username'] or human.short_id(most['id']))} ({_whose(row)})"
    return _whose(row)


_COLUMNS: tuple[tuple[str, Callable[[Row, BudgetsMode], str], int, bool], ...] = (
    ("WHOSE", lambda row, _: who(row), 0, False),
    ("PER", lambda row, _: row["period"], 0, False),
    ("BUDGET", lambda row, _: amount(row["amount"], row["unit"]), 0, True),
)
_STATUS: tuple[tuple[str, Callable[[Row, BudgetsMode], str], int, bool], ...] = (
    ("SPENT", lambda row, _: amount(row["spent"], row["unit"]), 0, True),
    ("USED", lambda row, _: f"{row['percent']} %", 0, True),
    ("UNTIL", lambda row, _: row["until"], 90, False),
)
_LAST: tuple[tuple[str, Callable[[Row, BudgetsMode], str], int, bool], ...] = (
    ("THEN", lambda row, setting: _THEN[_effect(row, setting)], 80, False),
)
_ID: tuple[str, Callable[[Row, BudgetsMode], str], int, bool] = (
    "ID",
    lambda row, _: human.short_id(row["id"]),
    0,
    False,
)
"""Heads, values, the width of the terminal from which they are shown, and whether they stand at the right."""


def budget_table(rows: Sequence[Row], setting: BudgetsMode, width: int) -> Table:
    """One line for each budget, with how it stands where the rows say it."""
    last = (*_STATUS, *_LAST) if "spent" in rows[0] else (*_LAST, _ID)
    columns = [column for column in (*_COLUMNS, *last) if column[2] <= width]
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for place, (head, value, _, right) in enumerate(columns):
        # Where there is no room for all, names are cut short and nothing else.
        needed = max(len(value(row, setting)) for row in rows) if place else None
        justify: Literal["left", "right"] = "right" if right else "left"
        table.add_column(head, justify=justify, no_wrap=True, overflow="ellipsis", min_width=needed)
    for row in rows:
        style = _STYLES[row.get("state", "ok")]
        table.add_row(*(Text(value(row, setting), style) for _, value, _, _ in columns))
    return table


def unknown(rows: Sequence[Row]) -> str:
    """That there is more than could be counted; empty where there is not."""
    dollars = [row for row in rows if row["unit"] == "usd_micros"]
    unpriced = max((row.get("unpriced", 0) for row in dollars), default=0)
    unmetered = max((row.get("unmetered", 0) for row in rows), default=0)
    parts = []
    if unpriced:
        parts.append(f"{unpriced} response{'' if unpriced == 1 else 's'} without a known price")
    if unmetered:
        parts.append(f"{unmetered} call{'' if unmetered == 1 else 's'} that told no tokens")
    if not parts:
        return ""
    return f"Not counted: {' and '.join(parts)}; `aitap usage --unpriced` lists them."


def group_table(groups: Sequence[Row]) -> Table:
    """One line for each group."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("GROUP", no_wrap=True, overflow="ellipsis")
    table.add_column("USERS", justify="right")
    table.add_column("WHO", overflow="fold")
    for group in groups:
        names = (member["username"] or human.short_id(member["id"]) for member in group["members"])
        table.add_row(
            Text(human.one_line(group["name"])),
            str(len(group["members"])),
            Text(human.one_line(", ".join(names), 1000) or human.DASH),
        )
    return table
