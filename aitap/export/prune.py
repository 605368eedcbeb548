"""``aitap prune``: old records go now, not only when the proxy gets to it."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import click

from aitap.export.failures import Failure
from aitap.export.store import database_option, in_force, opened
from aitap.settings import duration
from aitap.storage import retention

__all__ = ["prune"]


def _age(_: click.Context, __: click.Parameter, value: str | None) -> float | None:
    if value is None:
        return None
    try:
        seconds = duration(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None
    if seconds <= 0:
        raise click.BadParameter("an age of nothing would remove everything; write a number and a unit, such as 60d")
    return seconds


@click.command()
@click.option(
    "--older-than",
    metavar="AGE",
    callback=_age,
    help="Remove what started longer ago than this, such as 60d; the default is the retention setting.",
)
@click.option("--dry-run", is_flag=True, help="Only say how many would go.")
@database_option
def prune(*, older_than: float | None, dry_run: bool) -> None:
    """Remove old interceptions with all that belongs to them.

    The proxy does this by itself (setting `retention`); what is in flight stays. Safe beside a running proxy.
    """
    age = in_force().retention if older_than is None else older_than
    if age <= 0:
        raise Failure("retention is 0, which keeps records for ever: say --older-than AGE")
    before = time.time() - age
    with opened(read_only=dry_run) as database:
        count = (retention.prunable if dry_run else retention.prune)(database, before)
    done = "would be removed" if dry_run else "removed"
    since = datetime.fromtimestamp(max(before, 0), UTC).astimezone()
    click.echo(f"{count} interception{'' if count == 1 else 's'} from before {since:%Y-%m-%d %H:%M} {done}")
