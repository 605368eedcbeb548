"""``aitap usage``: tokens and cost, by whom, of which model, when."""

from __future__ import annotations

import difflib
import sys
from typing import Any

import click

from aitap.export.output import terminal, wants_json, write_json
from aitap.export.query_options import json_option, query_filter, query_options
from aitap.export.store import opened
from aitap.storage import usage as usages

__all__ = ["usage"]


def _by(_: click.Context, __: click.Parameter, value: str) -> list[str]:
    names = list(dict.fromkeys(name.strip().lower().replace("-", "_") for name in value.split(",") if name.strip()))
    for name in names:
        if name not in usages.BY:
            near = difflib.get_close_matches(name, usages.BY, n=1, cutoff=0.0)[0]
            raise click.BadParameter(f"unknown {name!r}, did you mean {near!r}? There are {', '.join(usages.BY)}")
    return names


@click.command()
@click.option(
    "--by",
    metavar="NAME,...",
    default="model",
    show_default=True,
    callback=_by,
    help=f"What to tell apart: {', '.join(usages.BY)}.",
)
@click.option("--csv", "as_csv", is_flag=True, help="CSV, without the line for all.")
@query_options
@json_option
def usage(*, by: list[str], as_csv: bool, as_json: bool, **query: Any) -> None:
    """Sum up calls, tokens and cost.

    Days, weeks (ISO 8601), months and years are those of UTC. Sums stay when retention has taken the interceptions.
    Cost is in US dollars at list price; what is not known is not 0: a + says that there is more than could be told.
    """
    with opened() as database:
        wanted = query_filter(database, "interceptions", query)
        rows, total = usages.usage(database, wanted, by)
    if as_csv:
        from aitap.export.usage_view import usage_csv

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
