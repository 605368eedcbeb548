"""``aitap verify``: whether the records are those that were committed."""

from __future__ import annotations

import contextlib
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aitap.atomic_file import atomic_file
from aitap.export.failures import Failure
from aitap.export.output import json_text, wants_json, write_json
from aitap.export.progress import progress_bar
from aitap.export.proxy_options import confdir_option
from aitap.export.query_options import json_option
from aitap.export.store import database_option, evidence_key, in_force, opened

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aitap.storage.evidence.verify import Problem, Verification

__all__ = ["verify"]

_SHOWN = 20
_TOLD = 1000
_FILE = click.Path(dir_okay=False, path_type=Path)


def _since(_: click.Context, __: click.Parameter, value: str | None) -> str | None:
    """The first id of this time: ids begin with it, in milliseconds."""
    if value is None:
        return None
    from aitap.storage.search import parse_moment

    try:
        moment = parse_moment(value, datetime.now(UTC))
    except ValueError as error:
        raise click.BadParameter(str(error)) from None
    digits = f"{int(moment.timestamp() * 1000) if moment else 0:012x}"
    return f"{digits[:8]}-{digits[8:]}-0000-0000-000000000000"


@click.command()
@click.option(
    "--since",
    metavar="TIME",
    callback=_since,
    help="Only records from this time on (RFC 3339), or not older than an age: 7d. The chain is looked at whole.",
)
@click.option("--key", "keys", metavar="FILE", type=_FILE, multiple=True, help="A public key to trust; may come often.")
@click.option("--checkpoint", metavar="FILE", type=_FILE, help="A checkpoint that the chain must still reach.")
@click.option(
    "--export-checkpoint",
    metavar="FILE",
    type=_FILE,
    help="When all is well, write how far the chain reaches; keep it where who writes the database cannot write.",
)
@click.option("--export-key", metavar="FILE", type=_FILE, help="Only write the public key of this machine to FILE.")
@click.option(
    "--adopt",
    is_flag=True,
    help="Take what no block speaks of into the chain, as it is now: records from before tamper_evidence was set.",
)
@confdir_option
@database_option
@json_option
def verify(
    *,
    since: str | None,
    keys: tuple[Path, ...],
    checkpoint: Path | None,
    export_checkpoint: Path | None,
    export_key: Path | None,
    adopt: bool,
    confdir: Path,
    as_json: bool,
) -> None:
    """Check that no record was changed, removed or added past aitap (setting `tamper_evidence`).

    Safe beside running proxies. Trusted are the keys of --key and that of this machine, which is beside the CA.
    The exit status is 1 where anything is found.
    """
    from aitap.storage.evidence.chain import has_evidence
    from aitap.storage.evidence.checkpoint import read_checkpoint
    from aitap.storage.evidence.keys import EvidenceKeyError, fingerprint, public_key, public_pem
    from aitap.storage.evidence.verify import Verification

    own = evidence_key(in_force(), confdir)
    if export_key is not None:
        _write(export_key, public_pem(public_key(own)))
        return
    trusted = [public_key(path) for path in keys]
    try:
        trusted += [public_key(own)] if own.exists() else []
    except EvidenceKeyError:
        # Who was given a key need not be able to read that of the proxy.
        if not keys:
            raise
    known = read_checkpoint(checkpoint) if checkpoint else None
    with contextlib.ExitStack() as stack:
        database = stack.enter_context(opened())
        # One that was chained and is not any more is what a checkpoint is for.
        if not adopt and known is None and not has_evidence(database):
            raise Failure(
                "nothing in this database is chained: set tamper_evidence = true for the proxies that write to it"
            )
        taken = stack.enter_context(_taking_in(own)) if adopt else None
        bar = stack.enter_context(progress_bar("verify"))
        found = Verification(
            database,
            {fingerprint(key): key for key in trusted},
            since=since,
            checkpoint=known,
            uncovered=taken.take if taken else None,
            advance=bar.advance,
        )
        if bar.shown:
            bar.total(found.total())
        problems = list[Any]()
        count = 0
        for count, problem in enumerate(found.problems(), 1):  # noqa: B007
            if len(problems) < _TOLD:
                problems.append(problem)
    if wants_json(asked=as_json):
        write_json(_summary(found, problems, count, taken.count if taken else 0))
    elif not count:
        click.echo(_all_is_well(found, taken.count if taken else 0))
    if count:
        _tell(problems, count, listed=not wants_json(asked=as_json))
    if export_checkpoint is not None and (end := found.checkpoint()):
        from msgspec import to_builtins

        _write(export_checkpoint, json_text(to_builtins(end)) + b"\n")


class _Adoption:
    """Chains what no block speaks of, some at a time."""

    def __init__(self, database: Any) -> None:
        self.count = 0
        self._database = database

    def take(self, kind: str, names: list[str]) -> None:
        from aitap.storage.database import transaction
        from aitap.storage.evidence.chain import cover

        with transaction(self._database):
            if kind == "records":
                cover(self._database, names)
            elif kind == "messages":
                cover(self._database, messages=names)
            else:
                cover(self._database, readings=names)
        self.count += len(names)


@contextlib.contextmanager
def _taking_in(key: Path) -> Iterator[_Adoption]:
    from aitap.storage.evidence.chain import keep_evidence
    from aitap.storage.evidence.keys import signing_key

    with opened(read_only=False) as database:
        keep_evidence(database, signing_key(key))
        yield _Adoption(database)


def _summary(found: Verification, problems: list[Problem], count: int, adopted: int) -> dict[str, Any]:
    from msgspec import to_builtins

    end = found.checkpoint()
    return {
        "ok": count == 0,
        "blocks": found.blocks,
        "interceptions": found.records,
        "messages": found.messages,
        "readings": found.readings,
        "adopted": adopted,
        "checkpoint": None if end is None else to_builtins(end),
        "problem_count": count,
        "problems": to_builtins(problems),
    }


def _all_is_well(found: Verification, adopted: int) -> str:
    end = found.checkpoint()
    parts = [f"{found.records} interceptions"]
    parts += [
        f"{count} {what}" for count, what in ((found.messages, "messages"), (found.readings, "readings")) if count
    ]
    text = f"ok: {', '.join(parts)} are as they were committed"
    if adopted:
        text += f"; {adopted} of them are in the chain from now on"
    return text if end is None else f"{text} ({found.blocks} blocks, the last of {end.at[:19]} UTC)"


def _tell(problems: list[Problem], count: int, *, listed: bool) -> None:
    """What is wrong, a line each where a person reads it. Raises ``Failure``."""
    if listed:
        for problem in problems[:_SHOWN]:
            click.echo(problem.text)
    last = f"{count} problem{'' if count == 1 else 's'} found: not all records are those that were committed"
    if any(problem.kind == "uncovered" for problem in problems):
        last += (
            "; what is in no block may be from before tamper_evidence was set: if it can be trusted as it is, "
            "`aitap verify --adopt` takes it in"
        )
    sys.stdout.flush()
    raise Failure(last)


def _write(path: Path, content: bytes) -> None:
    try:
        with atomic_file(path) as file:
            file.write(content)
    except OSError as error:
        raise Failure(f"cannot write {path}: {error.strerror or error}") from None
