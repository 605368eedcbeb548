"""``aitap redact``: the rules in force, tried on a text or applied to what is stored already."""

from __future__ import annotations

import sys
from operator import attrgetter
from typing import TYPE_CHECKING

import click

from aitap.export.doing import doer
from aitap.export.erase import overwritten
from aitap.export.failures import Failure
from aitap.export.output import wants_json, write_json
from aitap.export.progress import watched
from aitap.export.query_options import json_option
from aitap.export.store import database_option, in_force, opened

if TYPE_CHECKING:
    from aitap.redaction.redactor import Redactor

__all__ = ["redact"]


@click.command()
@click.option("--existing", is_flag=True, help="Apply the rules to everything that is recorded.")
@click.option("--rules", "words", metavar="RULES", help="Other rules than those of the setting: all, secrets, ...")
@click.option("--dry-run", is_flag=True, help="With --existing: only say what would go.")
@click.option("--yes", is_flag=True, help="With --existing: do not ask.")
@database_option
@json_option
def redact(*, existing: bool, words: str | None, dry_run: bool, yes: bool, as_json: bool) -> None:
    """Try the rules of redaction on a text from stdin, or apply them to what is recorded already.

    Without --existing the text is written to stdout as it would be stored, and to stderr how many of what went. With
    it, prompts, tool inputs, thoughts, errors and contents of all records are gone over: what is removed is gone for
    good. Safe beside a running proxy.
    """
    redactor = _redactor(words)
    if not existing:
        kept, counts = redactor.text(sys.stdin.read())
        click.echo(kept, nl=False)
        click.echo("".join(f"{count} {rule}\n" for rule, count in counts.items()), err=True, nl=False)
        return
    if not dry_run and not yes:
        if not sys.stdin.isatty():
            raise Failure("nobody is there to ask: say --yes, or --dry-run to see what would go", status=2)
        click.confirm("Remove what the rules find from all that is recorded, for good?", abort=True, err=True)
    _existing(redactor, words, dry_run=dry_run, as_json=as_json)
    if redactor.failures:
        raise Failure(f"{redactor.failures} texts could not be searched and stay as they were: is a pattern too slow?")


def _existing(redactor: Redactor, words: str | None, *, dry_run: bool, as_json: bool) -> None:
    from aitap.storage.administration import acting
    from aitap.storage.redacting import Redacted, redact_stored, redactable

    with opened(read_only=False) as database:
        done = Redacted()
        if not dry_run:
            with acting(database, doer()) as act:
                act.note("records.redact", **({"rules": words} if words else {}))
        total = redactable(database) if sys.stderr.isatty() else 0
        found = redact_stored(database, redactor, dry_run=dry_run)
        for done in watched(found, "interceptions", total, attrgetter("interceptions")):  # noqa: B007
            pass
        notes = overwritten(database) if done.changed and not dry_run else []
    if wants_json(asked=as_json):
        from msgspec import to_builtins

        write_json({**to_builtins(done), "not_searched": redactor.failures, "dry_run": dry_run, "notes": notes})
        return
    would = "would be " if dry_run else ""
    click.echo(
        f"{done.changed} of {done.interceptions} interceptions {would}changed, {done.messages} messages of contents"
    )
    for rule, count in sorted(done.removed.items(), key=lambda item: -item[1]):
        click.echo(f"{count:>8}  {rule}")
    for note in notes:
        click.echo(f"note: {note}")


def _redactor(words: str | None) -> Redactor:
    from aitap.redaction.redactor import redactor_of
    from aitap.redaction.rows import choice

    settings = in_force()
    try:
        chosen = settings.redact if words is None else choice(words)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--rules") from None
    redactor = redactor_of(chosen, settings.redactions)
    if redactor is None:
        raise Failure("redaction is off: set redact, or say --rules all", status=2)
    return redactor
