"""``aitap reprice``: another price book, or prices of one's own, for what is recorded already."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from operator import attrgetter

import click

from aitap.export.human import money
from aitap.export.output import wants_json, write_json
from aitap.export.progress import watched
from aitap.export.query_options import json_option
from aitap.export.store import database_option, in_force, opened

__all__ = ["reprice"]


def _since(_: click.Context, __: click.Parameter, value: str | None) -> float:
    if value is None:
        return 0.0
    from aitap.storage.search import parse_moment

    try:
        moment = parse_moment(value, datetime.now(UTC))
    except ValueError as error:
        raise click.BadParameter(str(error)) from None
    return moment.timestamp() if moment else 0.0


@click.command()
@click.option(
    "--since", metavar="TIME", callback=_since, help="Not before this time (RFC 3339), or not older than an age: 30d."
)
@click.option("--dry-run", is_flag=True, help="Only say what would change.")
@database_option
@json_option
def reprice(*, since: float, dry_run: bool, as_json: bool) -> None:
    """Work out anew what recorded calls cost, with the prices of this version and of aitap.toml.

    Sessions and sums of days follow. Safe beside a running proxy. What retention has removed keeps, in the sums,
    the cost that was known when it was recorded.
    """
    from aitap.prices.pricing import Prices
    from aitap.storage.reprice import Repriced, repriceable
    from aitap.storage.reprice import reprice as steps

    prices = Prices(in_force().prices)
    with opened(read_only=dry_run) as database:
        done = Repriced()
        total = repriceable(database, since) if sys.stderr.isatty() else 0
        found = steps(database, prices, since=since, dry_run=dry_run)
        for done in watched(found, "interceptions", total, attrgetter("interceptions")):  # noqa: B007
            pass
    if wants_json(asked=as_json):
        from msgspec import to_builtins

        write_json({**to_builtins(done), "price_book": prices.version, "dry_run": dry_run})
        return
    click.echo(
        f"{done.changed} of {done.usages} responses {'would cost' if dry_run else 'cost'} something else now: "
        f"{money(done.before_micros)} before, {money(done.after_micros)} after (prices of {prices.version})"
    )
    if done.unpriced_after:
        click.echo(f"{done.unpriced_after} have no price: `aitap usage --unpriced` says why")
