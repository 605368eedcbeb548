"""Redaction of what is stored already, where somebody asks for it: settings never reach back by themselves.

Works through history from old to new in short transactions; one that is cut off has done what it has done, and may
be done again: what stands in the place of a secret is no secret. A text that cannot be searched stays as it is, which
:attr:`aitap.redaction.redactor.Redactor.failures` tells: history is not thrown away for a pattern that is slow.

A message of the contents that changes gets another digest, and with it every message that continues it; so the
conversation is stored anew from there on, and what nobody refers to any more goes. Digests of conversations, by which
clients without ids are known, go as well: they are of texts as they were.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import msgspec

from aitap.record import message_digest
from aitap.redaction.redactor import WITHHELD_RULE
from aitap.storage import contents
from aitap.storage.database import execute_many, question_marks, rows_of, transaction
from aitap.storage.evidence.chain import cover
from aitap.storage.fields import json_text
from aitap.storage.models import CONTENTS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from peewee import Database

    from aitap.redaction.engine import Counts
    from aitap.redaction.redactor import Redactor

__all__ = ["Redacted", "redact_stored", "redactable"]

_SLICE = 50
_NEVER = "00000000-0000-0000-0000-000000000000"
_COLUMNS = ", ".join(CONTENTS)
_PAGE = (
    f"SELECT id, started_at, session_id, initiator_id, metadata, error_message, {_COLUMNS} FROM aibridge_interceptions "
    "WHERE ended_at IS NOT NULL AND (started_at, id) > (?, ?) ORDER BY started_at, id LIMIT ?"
)
_CHILDREN = (
    ("user_prompts", "aibridge_user_prompts", "prompt"),
    ("tool_usages", "aibridge_tool_usages", "input"),
    ("tool_usages", "aibridge_tool_usages", "invocation_error"),
    ("model_thoughts", "aibridge_model_thoughts", "content"),
)
_MESSAGE = "SELECT parent_digest, role, content, created_at FROM aitap_messages WHERE digest = ?"
_PUT = (
    "INSERT INTO aitap_messages (digest, parent_digest, role, content, bytes, created_at) "
    f"VALUES {question_marks(6)} ON CONFLICT (digest) DO NOTHING"
)
_LAST_PROMPT = "SELECT last_prompt FROM aitap_sessions WHERE session_id = ? AND initiator_id = ?"
_SET_LAST_PROMPT = "UPDATE aitap_sessions SET last_prompt = ? WHERE session_id = ? AND initiator_id = ?"
_CONTENTS_CHANGED = "UPDATE aitap_changes SET version = version + 1 WHERE name = 'contents'"

Manifest = dict[str, "Counts"]


class Redacted(msgspec.Struct):
    """What came of it so far."""

    interceptions: int = 0
    """Looked at."""
    changed: int = 0
    messages: int = 0
    """Of the contents: in which something was found."""
    removed: dict[str, int] = {}
    """How many by which rule; in contents each once, however many records refer to it."""

    def add(self, counts: Counts) -> None:
        """Count what was removed."""
        for rule, count in counts.items():
            self.removed[rule] = self.removed.get(rule, 0) + count


def redactable(database: Database) -> int:
    """How many interceptions :func:`redact_stored` would look at."""
    return int(rows_of(database, "SELECT count(*) FROM aibridge_interceptions WHERE ended_at IS NOT NULL")[0][0])


def redact_stored(database: Database, redactor: Redactor, *, dry_run: bool = False) -> Iterator[Redacted]:
    """Apply the rules to everything that has ended, step by step; each gives the state so far.

    With ``dry_run`` nothing is written. For a process beside the proxy: it rests as long as it works.
    """
    work = _Work(database, redactor, dry_run=dry_run)
    at = ("0001-01-01 00:00:00.000000+00:00", _NEVER)
    while True:
        begun = time.monotonic()
        with transaction(database):
            rows = rows_of(database, _PAGE, (*at, _SLICE))
            if rows:
                work.slice(rows)
        yield work.so_far
        if len(rows) < _SLICE:
            break
        at = (rows[-1][1], str(rows[-1][0]))
        if not dry_run:
            time.sleep(time.monotonic() - begun)
    if not dry_run:
        for _ in contents.collect(database):
            yield work.so_far


class _Work:
    """One pass over the database."""

    def __init__(self, database: Database, redactor: Redactor, *, dry_run: bool) -> None:
        self.so_far = Redacted()
        self._database = database
        self._redactor = redactor
        self._dry_run = dry_run
        self._renamed: dict[str, str] = {}
        """What each message that was looked at is called now."""
        self._found: dict[str, Counts] = {}
        """What was removed from messages, by the digest they have now."""
        self._new: list[str] = []

    def slice(self, rows: Sequence[tuple[Any, ...]]) -> None:
        """Some interceptions, in a transaction."""
        self._new = []
        manifests: dict[str, Manifest] = {str(row[0]): {} for row in rows}
        for field, table, column in _CHILDREN:
            self._texts(field, table, column, manifests)
        touched = {row[2:4] for row in rows if manifests[str(row[0])]}
        changed = [str(row[0]) for row in rows if self._interception(row, manifests[str(row[0])])]
        for session, initiator in touched:
            self._last_prompt(session, str(initiator))
        self.so_far.interceptions += len(rows)
        self.so_far.changed += len(changed)
        if changed and not self._dry_run:
            those = question_marks(len(changed))
            rows_of(self._database, f"DELETE FROM aitap_histories WHERE interception_id IN {those}", changed)
            if self._new:
                rows_of(self._database, _CONTENTS_CHANGED)
            cover(self._database, changed, messages=self._new)

    def _texts(self, field: str, table: str, column: str, manifests: dict[str, Manifest]) -> None:
        """One column of the children of some interceptions."""
        sql = f"SELECT id, interception_id, {column} FROM {table} WHERE interception_id IN "
        order = " ORDER BY interception_id, created_at, id"
        numbers: dict[str, int] = {}
        news = []
        for own_id, owner, text in rows_of(self._database, sql + question_marks(len(manifests)) + order, [*manifests]):
            number = numbers[str(owner)] = numbers.get(str(owner), -1) + 1
            if not text:
                continue
            kept, counts = self._text(text)
            if kept != text:
                manifests[str(owner)][f"{field}.{number}.{column}"] = counts
                self.so_far.add(counts)
                news.append((kept, str(own_id)))
        if not self._dry_run:
            execute_many(self._database, f"UPDATE {table} SET {column} = ? WHERE id = ?", news)

    def _text(self, text: str) -> tuple[str, Counts]:
        kept, counts = self._redactor.text(text)
        return (text, {}) if WITHHELD_RULE in counts else (kept, counts)

    def _interception(self, row: tuple[Any, ...], manifest: Manifest) -> bool:
        """The rest of an interception: its own text, its contents, its manifest; whether anything changed."""
        own_id, _, _, _, metadata, message, *digests = row
        values: dict[str, Any] = {}
        if message:
            kept, counts = self._text(message)
            if kept != message:
                values["error_message"] = kept
                manifest["error_message"] = counts
                self.so_far.add(counts)
        now = [digest and self._renamed_to(digest) for digest in digests]
        if now != digests:
            values |= dict(zip(CONTENTS, now, strict=True))
            manifest["contents"] = self._removed_from(now)
            if not self._dry_run:
                contents.loosen(self._database, [str(own_id)])
        if not manifest:
            return False
        marks = msgspec.json.decode(metadata) if isinstance(metadata, str) else metadata or {}
        marks["redacted"] = _merged(marks.get("redacted") or {}, manifest)
        values["metadata"] = json_text(marks)
        if not self._dry_run:
            sets = ", ".join(f"{name} = ?" for name in values)
            rows_of(
                self._database,
                f"UPDATE aibridge_interceptions SET {sets} WHERE id = ?",
                (*values.values(), str(own_id)),
            )
        return True

    def _renamed_to(self, digest: str) -> str:
        """What the message of this digest is called once it and all before it are redacted."""
        waiting = []
        at: str | None = digest
        while at is not None and at not in self._renamed:
            found = rows_of(self._database, _MESSAGE, (at,))
            if not found:
                break
            waiting.append((at, *found[0]))
            at = found[0][0]
        before = self._renamed.get(at) if at is not None else None
        parent = before if before is not None else at
        for old, _, role, text, created in reversed(waiting):
            parent = self._renamed[old] = self._message(old, parent, role, text, created)
        return self._renamed.get(digest, digest)

    def _message(self, old: str, parent: str | None, role: str, text: str, created: Any) -> str:
        parts, counts = self._redactor.parts(msgspec.json.decode(text))
        if counts and WITHHELD_RULE not in counts:
            text = msgspec.json.Encoder(order="deterministic").encode(parts).decode()
            self.so_far.messages += 1
            self.so_far.add(counts)
        data = text.encode()
        own = message_digest(parent, role, data)
        if own != old:
            if WITHHELD_RULE not in counts:
                self._found[own] = counts
            self._new.append(own)
            if not self._dry_run:
                execute_many(self._database, _PUT, [(own, parent, role, text, len(data), created)])
        return own

    def _removed_from(self, digests: Sequence[str | None]) -> Counts:
        """What was removed from all that these refer to; what of it was found just now."""
        sums: Counts = {}
        seen: set[str] = set()
        for digest in digests:
            at = digest
            while at is not None and at not in seen:
                seen.add(at)
                for rule, count in self._found.get(at, {}).items():
                    sums[rule] = sums.get(rule, 0) + count
                found = rows_of(self._database, _MESSAGE, (at,))
                at = found[0][0] if found else None
        return sums

    def _last_prompt(self, session: str, initiator: str) -> None:
        for (text,) in rows_of(self._database, _LAST_PROMPT, (session, initiator)):
            kept = self._text(text)[0] if text else text
            if kept != text and not self._dry_run:
                execute_many(self._database, _SET_LAST_PROMPT, [(kept, session, initiator)])


def _merged(old: Manifest, new: Manifest) -> Manifest:
    merged = {field: dict(counts) for field, counts in old.items()}
    for field, counts in new.items():
        sums = merged.setdefault(field, {})
        for rule, count in counts.items():
            sums[rule] = sums.get(rule, 0) + count
    return merged
