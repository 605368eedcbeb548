"""``aitap usage``: tokens and cost, by whom, of which model, when."""

from __future__ import annotations

import sys
from typing import Any

import click

from aitap.export.output import terminal, wants_json, write_json
from aitap.export.query_options import json_option, query_filter, query_options
from aitap.export.store import in_force, opened
from aitap.storage import usage as usages

__all__ = ["usage"]


def _by(_: click.Context, __: click.Parameter, value: str) -> list[str]:
    try:
        return usages.names_of(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


@click.command()
@click.option(
    "--by",
    metavar="NAME,...",
    default="model",
    show_default=True,
    callback=_by,
    help=f"What to tell apart: {', '.join(usages.BY)}.",
)
@click.option("--unpriced", "without_price", is_flag=True, help="List what nobody knows the cost of, and why.")
@click.option("--csv", "as_csv", is_flag=True, help="CSV, without the line for all.")
@query_options
@json_option
def usage(*, by: list[str], without_price: bool, as_csv: bool, as_json: bool, **query: Any) -> None:
    """Sum up calls, tokens and cost.

    Days, weeks (ISO 8601), months and years are those of UTC. Sums stay when retention has taken the interceptions.
    Cost is in US dollars at list price; what is not known is not 0: a + says that there is more than could be told.
    Under a subscription nobody pays that: --by credential_kind tells it apart.
    """
    if without_price:
        _unpriced(query, as_json=as_json)
        return
    with opened() as database:
        wanted = query_filter(database, "interceptions", query)
        rows, total = usages.usage(database, wanted, by)
    if as_csv:
        from aitap.export.usage_csv import usage_csv

        sys.stdout.buffer.write(usage_csv(rows, by).encode())
        return
    if wants_json(asked=as_json):
        write_json({"by": by, "rows": rows, "total": total})
        return
    from aitap.export.usage_view import usage_table

    console = terminal()
    if not rows:
        console.print("Nothing was used.", style="dim")
        return
    console.print(usage_table(rows, total, by, console.width))


def _unpriced(query: dict[str, Any], *, as_json: bool) -> None:
    from aitap.prices.pricing import Prices
    from aitap.storage.unpriced import unpriced

    prices = Prices(in_force().prices)
    with opened() as database:
        rows = unpriced(database, query_filter(database, "interceptions", query), prices)
    if wants_json(asked=as_json):
        write_json(rows)
        return
    from aitap.export.usage_view import unpriced_table

    console = terminal()
    if not rows:
        console.print("Of everything that was used, the cost is known.", style="dim")
        return
    console.print(unpriced_table(rows))
