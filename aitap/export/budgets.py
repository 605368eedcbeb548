"""``aitap budgets set|list|remove|status``: what users, groups and everybody may use up, and how it stands."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import click

from aitap.export.doing import doer
from aitap.export.failures import Failure
from aitap.export.groups import group_called
from aitap.export.listing import ListingGroup
from aitap.export.output import terminal, wants_json, write_json
from aitap.export.query_options import json_option
from aitap.export.store import database_option, in_force, opened
from aitap.export.users import user_called
from aitap.storage import budgets as stored
from aitap.storage.administration import acting

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aitap.storage.administration import Act, Action
    from aitap.storage.budgets import BudgetMode, Kind, Period, Unit

__all__ = ["budgets"]

_MOST = 10**15
"""Micro-dollars or tokens: a thousand million dollars."""


def _dollars(_: click.Context, __: click.Parameter, value: str | None) -> int | None:
    """Micro-dollars."""
    if value is None:
        return None
    if not re.fullmatch(r"\$?[0-9]{1,12}(\.[0-9]{1,6})?", value):
        raise click.BadParameter(f"{value!r} is no amount: write dollars, such as 50 or 12.50")
    return _amount(int(Decimal(value.lstrip("$")) * 1_000_000))


def _tokens(_: click.Context, __: click.Parameter, value: str | None) -> int | None:
    if value is None:
        return None
    match = re.fullmatch(r"([0-9]{1,15}(?:\.[0-9]{1,6})?)([kmg]?)", value.lower())
    count = Decimal(match[1]) * {"": 1, "k": 10**3, "m": 10**6, "g": 10**9}[match[2]] if match else Decimal("0.1")
    if count != int(count):
        raise click.BadParameter(f"{value!r} is no number of tokens: write one such as 500k, 20m or 1.5g")
    return _amount(int(count))


def _amount(value: int) -> int:
    if value <= 0:
        raise click.BadParameter("write more than 0; to refuse all calls, write a [[rule]] in aitap.toml")
    if value > _MOST:
        raise click.BadParameter("nobody can use up so much")
    return value


class _Budgets(ListingGroup):
    shows = "status"


@click.group(cls=_Budgets)
def budgets() -> None:
    """What users, groups and everybody may use up in a day, a week or a month.

    Without a command it shows how it stands with them. What happens when one is used up is said by the setting
    `budgets` (warn, enforce or off), and by each budget that says it itself.
    """


@budgets.command("set")
@click.option("--user", metavar="USER", help="For this user: a username, an id, or me.")
@click.option("--group", metavar="NAME", help="For this group.")
@click.option("--everybody", is_flag=True, help="For everybody.")
@click.option("--each", is_flag=True, help="Of a group, or of everybody: for everyone alone, not for all together.")
@click.option("--usd", metavar="DOLLARS", callback=_dollars, help="So many US dollars, at list price.")
@click.option("--tokens", metavar="COUNT", callback=_tokens, help="So many tokens, such as 20m.")
@click.option(
    "--per", "period", type=click.Choice(stored.PERIODS), default="month", show_default=True, help="For how long."
)
@click.option("--enforce", "mode", flag_value="enforce", help="Refuse calls when it is used up, whatever the setting.")
@click.option("--warn", "mode", flag_value="warn", help="Refuse nothing, whatever the setting.")
@database_option
@json_option
def set_(
    *,
    user: str | None,
    group: str | None,
    everybody: bool,
    each: bool,
    usd: int | None,
    tokens: int | None,
    period: Period,
    mode: BudgetMode | None,
    as_json: bool,
) -> None:
    """Set a budget, or change the one there is for the same, for the same time and in the same unit.

    One that is changed keeps its --enforce or --warn unless the other is said. Days, weeks (from Monday) and months
    are those of UTC. A running proxy honours it within seconds.
    """
    if (user is not None) + (group is not None) + everybody != 1:
        raise click.UsageError("say for whom: --user USER, --group NAME or --everybody")
    amount = usd if tokens is None else tokens
    if amount is None or (usd is not None and tokens is not None):
        raise click.UsageError("say how much: --usd DOLLARS or --tokens COUNT")
    if each and user is not None:
        raise click.UsageError("--each is for a group or for everybody")
    with opened(read_only=False, migrate=True) as database:
        subject = ""
        if user is not None:
            subject = user_called(database, user)["id"]
        elif group is not None:
            subject = group_called(database, group)["id"]
        kind: Kind = "user" if user is not None else "group" if group is not None else "everybody"
        unit: Unit = "usd" if tokens is None else "tokens"
        with acting(database, doer()) as act:
            known = stored.read_budgets(database)
            old = {budget.id: budget.amount for budget in known}
            same = (kind, subject, each, period, unit)
            # Another amount is no other mode: what refuses calls goes on to, until somebody says otherwise.
            before: BudgetMode = next(
                (one.mode for one in known if (one.kind, one.subject_id, one.each, one.period, one.unit) == same), ""
            )
            budget = stored.set_budget(
                database, kind, subject, period=period, unit=unit, amount=amount, each=each, mode=mode or before
            )
            [told] = stored.named(database, [budget])
            _note(act, "budget.set", told, before=old.get(budget.id))
    if wants_json(asked=as_json):
        write_json(told)
        return
    from aitap.export.budget_view import said, then

    click.echo(f"{said(told)}; when it is used up: {then(told, in_force().budgets)}")


@budgets.command("list")
@database_option
@json_option
def list_(*, as_json: bool) -> None:
    """List all budgets. A table on a terminal, a JSON array elsewhere (`amount` in micro-dollars or tokens)."""
    from aitap.storage.budget_status import list_budgets

    with opened() as database:
        found = list_budgets(database)
    _show(found, as_json=as_json)


@budgets.command()
@database_option
@json_option
def status(*, as_json: bool) -> None:
    """Show how much of each budget is used up.

    A table on a terminal, a JSON array elsewhere. Calls that are under way do not count yet; calls whose cost nobody
    knows count nothing, and are told. Where everyone has a budget of their own, the table has who used most.
    """
    from aitap.storage.budget_status import budget_status

    with opened() as database:
        found = budget_status(database, datetime.now(UTC).date())
    _show(found, as_json=as_json)


def _show(found: list[dict[str, Any]], *, as_json: bool) -> None:
    if wants_json(asked=as_json):
        write_json(found)
        return
    from aitap.export.budget_view import budget_table, unknown

    console = terminal()
    if not found:
        console.print("No budgets found.", style="dim")
        return
    console.print(budget_table(found, in_force().budgets, console.width))
    if note := unknown(found):
        console.print(note, style="dim")


@budgets.command()
@click.argument("ids", metavar="ID...", nargs=-1, required=True)
@database_option
def remove(*, ids: tuple[str, ...]) -> None:
    """Remove budgets. ID is what `aitap budgets list` shows, or the whole id."""
    from aitap.export.budget_view import said

    with opened(read_only=False) as database:
        found = []
        for part in ids:
            budget = stored.find_budget(database, part)
            if budget is None:
                raise Failure(f"no budget has the id {part!r}: `aitap budgets list` shows all")
            found.append(budget)
        told = stored.named(database, found)
        with acting(database, doer()) as act:
            for budget, row in zip(found, told, strict=True):
                stored.remove_budget(database, budget.id)
                _note(act, "budget.remove", row)
    for row in told:
        click.echo(f"removed: {said(row)}")


def _note(act: Act, action: Action, told: Mapping[str, Any], **more: int | None) -> None:
    """For the audit: the budget as it is told, with whoever it is for as the subject where that is a person."""
    detail = {name: told[name] for name in ("kind", "each", "period", "unit", "amount", "mode")}
    group = {"group": told["name"]} if told["kind"] == "group" else {}
    act.note(action, told["subject_id"] if told["kind"] == "user" else None, **detail, **group, **more)
