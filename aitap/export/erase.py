"""``aitap erase``: a person's records, or one session, go for good."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aitap.export.doing import doer
from aitap.export.failures import Failure
from aitap.export.human import size
from aitap.export.output import terminal, wants_json, write_json
from aitap.export.progress import watched
from aitap.export.query_options import json_option
from aitap.export.store import database_option, in_force, opened

if TYPE_CHECKING:
    from peewee import Database

    from aitap.storage.erasure import Erased

__all__ = ["erase", "overwritten"]


@click.command()
@click.option("--user", metavar="USER", help="Whose records: a username or an id, or me.")
@click.option("--session", "session_id", metavar="ID", help="One session: its id, or a part that no other has.")
@click.option("--dry-run", is_flag=True, help="Only say what would go.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@database_option
@json_option
def erase(*, user: str | None, session_id: str | None, dry_run: bool, yes: bool, as_json: bool) -> None:
    """Remove all records of a person: what they asked, what was answered, sums, keys, and their name.

    With --session one session, of that user where --user is given too. Contents go with the last record that refers
    to them. That somebody read the records stays on record, without whose they were. Safe beside a running proxy:
    what is in flight stays, and is told. What waits in a spool has to be stored first. An SQLite file is then
    written anew, so that nothing of what was removed is left in it, for which it needs as much room again; its copies
    and backups are yours to remove.
    """
    from aitap.storage.erasure import erasable_session, erasable_user, erase_session, erase_user

    if user is None and session_id is None:
        raise click.UsageError("say whose records shall go: --user USER, or --session ID")
    waiting = _waiting()
    if waiting and not dry_run:
        raise Failure(f"{waiting}, and would bring back what was removed: `aitap db replay` stores them, then erase")
    with opened(read_only=dry_run) as database:
        who = None if dry_run else doer()
        if session_id is not None:
            whose, key = _session(database, session_id, user)
            coming, steps = erasable_session(database, *key), erase_session(database, *key, who)
        else:
            own_id, whose = _user(database, user or "")
            coming, steps = erasable_user(database, own_id), erase_user(database, own_id, who)
        if dry_run:
            _tell(whose, coming, [waiting] if waiting else [], as_json=as_json, dry_run=True)
            return
        _confirm(whose, coming, yes=yes)
        done = coming
        total = sum(coming.removed.values())
        for done in watched(steps, "rows", total, lambda state: sum(state.removed.values())):  # noqa: B007
            pass
        notes = overwritten(database)
    _tell(whose, done, notes, as_json=as_json, dry_run=False)
    if done.in_flight:
        raise Failure(f"{done.in_flight} of them are in flight and stay: do it again when they have ended")


def _waiting() -> str:
    """What is to be said of spools on this machine; empty where nothing waits. Whose records they hold nobody knows."""
    from aitap.storage.spool.folders import left_behind

    settings = in_force()
    found = left_behind(settings.spool, settings.database_url)
    return f"records wait in spools ({size(sum(left.bytes for left in found))} in {settings.spool})" if found else ""


def _user(database: Database, who: str) -> tuple[str, str]:
    """Id of a user who has a row or records, and what to call them. Raises ``Failure`` and ``SearchError``."""
    from aitap.access.identity import local_user
    from aitap.storage.search import resolve_initiator
    from aitap.storage.users import find_user

    own_id = resolve_initiator(database, who, local_user)
    found = find_user(database, own_id)
    return own_id, found["username"] if found else own_id


def _session(database: Database, session_id: str, user: str | None) -> tuple[str, tuple[str, str]]:
    """What to call a session, and its key. Raises ``Failure`` and ``QueryError``."""
    from aitap.storage.queries import get_session

    found = get_session(database, session_id, _user(database, user)[0] if user is not None else None)
    if found is None:
        raise Failure(f"no session {session_id!r}")
    return f"session {found['id']}", (found["id"], found["initiator_id"])


def _confirm(whose: str, coming: Erased, *, yes: bool) -> None:
    count = coming.removed.get("aibridge_interceptions", 0)
    asked = f"Remove {count} interception{'' if count == 1 else 's'} of {whose}, and all that goes with them, for good?"
    if yes:
        return
    if not sys.stdin.isatty():
        raise Failure("nobody is there to ask: say --yes, or --dry-run to see what would go", status=2)
    click.confirm(asked, abort=True, err=True)


def overwritten(database: Database) -> list[str]:
    """Give the room of what was deleted back, and leave nothing of it; what is to be said about that."""
    from aitap.storage.homes import home_of_database

    home = home_of_database(database)
    with _status("writing the database anew"):
        notes = [note] if (note := home.overwrite_deleted(database)) else []
    file = Path(home.name)
    with contextlib.suppress(OSError):
        copies = sorted(path.name for path in file.parent.glob(f"{file.name}.before-*"))
        if copies:
            notes.append(f"copies made before upgrades still hold records: {', '.join(copies)} in {file.parent}")
    return notes


def _tell(whose: str, erased: Erased, notes: list[str], *, as_json: bool, dry_run: bool) -> None:
    if wants_json(asked=as_json):
        told: dict[str, Any] = {"erased": whose, "dry_run": dry_run, "removed": erased.removed}
        write_json({**told, "pseudonymised": erased.pseudonymised, "in_flight": erased.in_flight, "notes": notes})
        return
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    table.add_column("TABLE", no_wrap=True)
    table.add_column("ROWS THAT WOULD GO" if dry_run else "ROWS REMOVED", justify="right")
    for name, count in erased.removed.items():
        table.add_row(name, f"{count:,}")
    console = terminal()
    console.print(table if erased.removed else f"Nothing is recorded of {whose}.")
    if erased.pseudonymised:
        console.print(f"{erased.pseudonymised:,} lines of the audit {'would ' if dry_run else ''}no longer say whose")
    if erased.in_flight and dry_run:
        console.print(f"{erased.in_flight:,} interceptions are in flight and would stay")
    for note in notes:
        console.print(f"note: {note}")


@contextlib.contextmanager
def _status(words: str) -> Any:
    if not sys.stderr.isatty():
        yield
        return
    from rich.console import Console

    with Console(stderr=True).status(words):
        yield
