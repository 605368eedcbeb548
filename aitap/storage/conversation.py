"""Contents read back: conversations as lists of messages, and whether what is stored is what was said.

A message is ``{"digest", "parent_digest", "role", "content", "created_at"}``; ``content`` is a list of parts
(:mod:`aitap.capture.turns`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from aitap.record import message_digest
from aitap.storage.database import question_marks, rows_of, slices
from aitap.storage.findings import lost
from aitap.storage.models import CONTENTS
from aitap.storage.rows import wire_time

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from peewee import Database

    from aitap.storage.findings import Problem

__all__ = ["add_messages", "add_session_messages", "content_problems"]

Record = dict[str, Any]

_COLUMNS = "digest, parent_digest, role, content, created_at"
# UNION, not UNION ALL: in a damaged database a chain may be a ring.
_CHAINS = (
    "WITH RECURSIVE chain(digest) AS (SELECT digest FROM aitap_messages WHERE digest IN {those} UNION "
    "SELECT m.parent_digest FROM aitap_messages m JOIN chain ON m.digest = chain.digest "
    "WHERE m.parent_digest IS NOT NULL) "
    f"SELECT {_COLUMNS} FROM aitap_messages WHERE digest IN (SELECT digest FROM chain)"
)
_OF_SESSION = (
    f"SELECT id, {', '.join(CONTENTS)} FROM aibridge_interceptions "
    "WHERE session_id = ? AND initiator_id = ? ORDER BY purpose <> 'conversation', started_at, id"
)
_AT_ONCE = 400
_PAGE = 500
_MOST = 20


def add_messages(database: Database, record: Record) -> Record:
    """Put the whole conversation of an interception, its answer last, into its ``messages``."""
    known = _load(database, _digests(record))
    record["messages"] = [known[digest] for digest in _order(record, known)]
    return record


def add_session_messages(database: Database, session: Record) -> Record:
    """Put every message of a session, each once and in the order in which it first came, into its ``messages``.

    Each also says with which interception it first came (``interception_id``). What only the client's own calls
    said (titles, summaries) stands at the end.
    """
    key = session["id"], session["initiator_id"]
    interceptions = [dict(zip(("id", *CONTENTS), row, strict=True)) for row in rows_of(database, _OF_SESSION, key)]
    known = _load(database, {digest for record in interceptions for digest in _digests(record)})
    messages: dict[str, Record] = {}
    for record in interceptions:
        for digest in _order(record, known):
            if digest not in messages:
                messages[digest] = known[digest] | {"interception_id": record["id"]}
    session["messages"] = list(messages.values())
    return session


def _digests(record: Record) -> set[str]:
    return {record[column] for column in CONTENTS if record[column]}


def _order(record: Record, known: dict[str, Record]) -> Iterator[str]:
    """System prompt, tools, conversation, answer; what is shared by two of them once."""
    seen: set[str] = set()
    for column in ("system_digest", "tools_digest", "request_digest", "response_digest"):
        chain = []
        digest = record[column]
        while digest in known and digest not in seen:
            seen.add(digest)
            chain.append(digest)
            digest = known[digest]["parent_digest"]
        yield from reversed(chain)


def _load(database: Database, digests: Iterable[str]) -> dict[str, Record]:
    """These messages and all that they continue, by digest."""
    wanted = list(digests)
    known: dict[str, Record] = {}
    for some in slices(wanted, _AT_ONCE):
        for row in rows_of(database, _CHAINS.format(those=question_marks(len(some))), some):
            if row[0] not in known:
                known[row[0]] = _message(row)
    return known


def _message(row: tuple[Any, ...]) -> Record:
    digest, parent, role, content, created_at = row
    try:
        parts = msgspec.json.decode(content)
    except msgspec.DecodeError:
        parts = [{"type": "text", "text": content}]
    return {
        "digest": digest,
        "parent_digest": parent,
        "role": role,
        "content": parts,
        "created_at": wire_time(created_at),
    }


def content_problems(database: Database) -> list[Problem]:
    """What is wrong with the contents, at most 20 of one kind. Reads all of them."""
    found = [f"message {digest} is not what was stored, for its digest differs" for digest in _changed(database)]
    orphans = (
        "SELECT m.digest, m.parent_digest FROM aitap_messages m WHERE m.parent_digest IS NOT NULL AND NOT EXISTS "
        "(SELECT 1 FROM aitap_messages p WHERE p.digest = m.parent_digest) LIMIT ?"
    )
    found += [f"message {own} continues {parent}, which is not there" for own, parent in _some(database, orphans)]
    for column in CONTENTS:
        gone = (
            f"SELECT i.id, i.{column} FROM aibridge_interceptions i WHERE i.{column} IS NOT NULL AND NOT EXISTS "
            f"(SELECT 1 FROM aitap_messages m WHERE m.digest = i.{column}) LIMIT ?"
        )
        name = column.removesuffix("_digest")
        found += [f"the {name} of interception {own}, {to}, is not there" for own, to in _some(database, gone)]
    return list(map(lost, found))


def _some(database: Database, sql: str) -> list[tuple[Any, ...]]:
    return rows_of(database, sql, (_MOST,))


def _changed(database: Database) -> Iterator[str]:
    """Messages whose digest is not that of what they say."""
    last, number = "", 0
    # As bytes: what is damaged may be no text any more.
    columns = ", ".join(f"CAST({name} AS BLOB)" for name in ("digest", "parent_digest", "role", "content"))
    page = f"SELECT {columns}, bytes FROM aitap_messages WHERE digest > ? ORDER BY digest LIMIT ?"
    while rows := rows_of(database, page, (last, _PAGE)):
        for *names, content, size in rows:
            digest, parent, role = (str(name or b"", "utf-8", "replace") for name in names)
            if (message_digest(parent or None, role, content) != digest or len(content) != size) and number < _MOST:
                number += 1
                yield digest
        last = str(rows[-1][0], "utf-8", "replace")
