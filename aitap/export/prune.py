"""``aitap prune``: old records go now, not only when the proxy gets to it."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import click

from aitap.export.doing import doer
from aitap.export.failures import Failure
from aitap.export.store import database_option, in_force, opened
from aitap.setting_values import duration
from aitap.storage import retention
from aitap.storage.administration import acting
from aitap.storage.audit import old_readings
from aitap.storage.fields import timestamp_text

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
@click.option(
    "--contents-older-than",
    metavar="AGE",
    callback=_age,
    help="Of what stays, drop contents from longer ago than this; the default is the content_retention setting.",
)
@click.option(
    "--audit-older-than",
    metavar="AGE",
    callback=_age,
    help="Forget who was shown whose records longer ago than this; the default is the audit_retention setting.",
)
@click.option("--dry-run", is_flag=True, help="Only say how many would go.")
@database_option
def prune(
    *, older_than: float | None, contents_older_than: float | None, audit_older_than: float | None, dry_run: bool
) -> None:
    """Remove old interceptions with all that belongs to them, and old lines of the audit.

    The proxy does this by itself (settings `retention`, `content_retention` and `audit_retention`); what is in flight
    stays. Safe beside a running proxy.
    """
    settings, now = in_force(), time.time()
    age = settings.retention if older_than is None else older_than
    contents_age = settings.content_retention if contents_older_than is None else contents_older_than
    audit_age = settings.audit_retention if audit_older_than is None else audit_older_than
    if age <= 0 and contents_age <= 0 and audit_older_than is None:
        raise Failure("retention is 0, which keeps records for ever: say --older-than AGE")
    before = now - age if age else 0.0
    contents_before = now - contents_age if contents_age else 0.0
    audit_before = now - audit_age if audit_age else 0.0
    with opened(read_only=dry_run) as database:
        bare = 0
        if contents_before > before:
            bare = retention.prunable_contents(database, contents_before)
            bare -= retention.prunable_contents(database, before)
        readings = old_readings(database, timestamp_text(max(audit_before, 0.0)))
        if dry_run:
            count = retention.prunable(database, before)
        else:
            told = {"records": older_than, "contents": contents_older_than, "audit": audit_older_than}
            if earlier := {name: f"{seconds:.0f}s" for name, seconds in told.items() if seconds is not None}:
                # What goes earlier than the settings say goes because of a person.
                with acting(database, doer()) as act:
                    act.note("records.prune", older_than=earlier)
            count = retention.prune(database, before, contents_before, audit_before)
    done = "would be removed" if dry_run else "removed"
    if age:
        click.echo(f"{_counted(count)} from before {_minute(before)} {done}")
    if contents_before > before:
        click.echo(f"contents of {_counted(bare)} from before {_minute(contents_before)} {done}")
    if readings or audit_older_than is not None:
        lines = f"{readings} line{'' if readings == 1 else 's'} of the audit"
        click.echo(f"{lines} from before {_minute(audit_before)} {done}")


def _counted(count: int) -> str:
    return f"{count} interception{'' if count == 1 else 's'}"


def _minute(seconds: float) -> str:
    return f"{datetime.fromtimestamp(max(seconds, 0), UTC).astimezone():%Y-%m-%d %H:%M}"
