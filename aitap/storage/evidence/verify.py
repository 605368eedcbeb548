"""Whether the records are those that were committed, said record by record, while writing goes on.

All is read as it stood at one moment. First the chain, block by block: numbers, links, hashes, signatures. Then
every row that it covers, against the last block that speaks of it; what no block speaks of was added, what is
not there and was not removed by aitap is missing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from aitap.storage.database import question_marks, rows_of, slices
from aitap.storage.evidence import form
from aitap.storage.evidence.block import COLUMNS, FIRST, Block, id_bytes, id_text
from aitap.storage.evidence.checkpoint import Checkpoint
from aitap.storage.evidence.covered import Covered
from aitap.storage.homes import home_of_database
from aitap.storage.queries import snapshot

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from peewee import Database

__all__ = ["Problem", "Verification"]

_PAGE = 500
_BLOCKS = 100
_NEXT = f"SELECT {COLUMNS} FROM aitap_evidence {{}} ORDER BY turn LIMIT {_BLOCKS}"
_KINDS = f"SELECT id, {', '.join(form.KIND)} FROM aitap_kinds"


class Problem(msgspec.Struct, frozen=True):
    """One thing that is not as it was committed."""

    kind: str
    """``chain``, ``checkpoint``, ``changed``, ``missing``, ``added`` or ``uncovered``."""
    record: str | None
    """The interception's, message's or reading's id; None where it is about the chain."""
    text: str


class Verification:
    """One look at everything; run :meth:`problems` to its end, then the counts and the last block are known.

    ``keys`` are the public keys that are trusted, by fingerprint. With ``since``, an id, only records and readings
    whose ids are not smaller count, and messages are not looked at. ``uncovered`` takes what no block speaks of
    (its kind and names, some at a time) instead of having it reported. ``advance`` is told of each step.
    """

    def __init__(
        self,
        database: Database,
        keys: Mapping[str, Ed25519PublicKey],
        *,
        since: str | None = None,
        checkpoint: Checkpoint | None = None,
        uncovered: Callable[[str, list[str]], None] | None = None,
        advance: Callable[[int], None] = lambda _: None,
    ) -> None:
        self.blocks = self.records = self.messages = self.readings = 0
        self.last: Block | None = None
        self._database = database
        self._keys = keys
        self._since = since
        self._checkpoint = checkpoint
        self._uncovered = uncovered
        self._advance = advance
        self._strangers: dict[str, list[int]] = {}

    def total(self) -> int:
        """How many steps :meth:`problems` will tell ``advance`` of, roughly."""
        tables: tuple[str, ...] = ("aitap_evidence", "aibridge_interceptions", "aitap_audit")
        tables += () if self._since else ("aitap_messages",)
        return sum(int(rows_of(self._database, f"SELECT count(*) FROM {table}")[0][0]) for table in tables)

    def problems(self) -> Iterator[Problem]:
        """What is wrong, as it is found. Raises Peewee's errors."""
        covered = Covered(id_bytes(self._since) if self._since else None)
        try:
            with snapshot(self._database):
                home_of_database(self._database).take_time(self._database)
                yield from self._chain(covered)
                yield from self._interceptions(covered)
                if not self._since:
                    yield from self._messages(covered)
                yield from self._readings(covered)
        finally:
            covered.close()

    def checkpoint(self) -> Checkpoint | None:
        """The end of the chain, once it was looked at; None where there is none."""
        last = self.last
        if last is None:
            return None
        return Checkpoint(
            turn=last.turn, at=last.at, hash=last.hash.hex(), key=last.key, signature=last.signature.hex()
        )

    # -- the chain

    def _chain(self, covered: Covered) -> Iterator[Problem]:
        yield from self._checkpoint_itself()
        condition, parameters = "", list[Any]()
        while rows := form.fetched(self._database, _NEXT.format(condition), parameters):
            for row in rows:
                block = Block(**dict(zip(Block.__struct_fields__, row, strict=True)))
                try:
                    yield from self._block(block)
                    covered.apply(block)
                except (TypeError, ValueError, AttributeError, OverflowError):
                    yield Problem("chain", None, f"block {block.turn!r} is no block")
                    continue
                self.last = block
                self.blocks += 1
                self._advance(1)
            condition, parameters = "WHERE turn > ?", [rows[-1][0]]
        for key, turns in self._strangers.items():
            yield Problem(
                "chain",
                None,
                f"{len(turns)} blocks from {turns[0]} on are signed by key {key}, which is not trusted here: "
                "give its public key with --key FILE",
            )
        reached = self.last.turn if self.last else 0
        if self._checkpoint and self._checkpoint.turn > reached:
            yield Problem(
                "checkpoint",
                None,
                f"the chain ends at block {reached}, but it had reached block {self._checkpoint.turn} at "
                f"{self._checkpoint.at}: its end was cut off",
            )

    def _block(self, block: Block) -> Iterator[Problem]:
        turn, before = block.turn, self.last
        follows = before.turn + 1 if before else 1
        if turn != follows:
            gone = f"block {follows} is" if turn == follows + 1 else f"blocks {follows} to {turn - 1} are"
            yield Problem("chain", None, f"{gone} missing")
        elif bytes(block.previous) != (before.hash if before else FIRST):
            yield Problem("chain", None, f"block {turn} does not continue block {turn - 1}")
        block.hash, block.signature = bytes(block.hash), bytes(block.signature)
        if block.own_hash() != block.hash:
            yield Problem("chain", None, f"block {turn} was changed")
        elif block.key not in self._keys:
            self._strangers.setdefault(block.key, []).append(turn)
        elif not _signed(self._keys[block.key], block.signature, block.hash):
            yield Problem("chain", None, f"the signature of block {turn} is wrong")
        known = self._checkpoint
        if known and known.turn == turn and block.hash.hex() != known.hash:
            yield Problem("checkpoint", None, f"block {turn} is another one than the checkpoint knows")

    def _checkpoint_itself(self) -> Iterator[Problem]:
        known = self._checkpoint
        if known is None:
            return
        key = self._keys.get(known.key)
        if key is None:
            yield Problem("checkpoint", None, f"the checkpoint is signed by key {known.key}, which is not trusted here")
        elif not _signed(key, bytes.fromhex(known.signature), bytes.fromhex(known.hash)):
            yield Problem("checkpoint", None, "the checkpoint's signature is wrong")

    # -- the rows

    def _interceptions(self, covered: Covered) -> Iterator[Problem]:
        kinds = {own_id: tuple(map(str, kind)) for own_id, *kind in form.fetched(self._database, _KINDS)}
        after: Any = None
        more = True
        while more:
            page, after = form.records_between(self._database, after, _PAGE, self._since)
            more = after is not None
            new: list[str] = []
            for found in page:
                yield from self._interception(found, _taken(covered, "records", found.id), new)
                if found.row and kinds.get(found.kind_id) != found.kind:
                    text = f"interception {found.id} is listed as another kind than it is"
                    yield Problem("changed", str(found.id), text)
            if self._uncovered and new:
                self._uncovered("records", new)
            yield from self._contents_of(page)
            self._advance(len(page))
        for name, turn in covered.left("records"):
            yield Problem("missing", id_text(name), f"interception {id_text(name)} is missing: block {turn} has it")

    def _interception(self, found: form.Found, digest: bytes | None, new: list[str]) -> Iterator[Problem]:
        own_id = str(found.id)
        if found.row is None:
            yield Problem("added", own_id, f"there are children of interception {own_id}, which is not there")
            return
        self.records += 1
        if digest is None:
            if self._uncovered:
                new.append(own_id)
            else:
                yield Problem("uncovered", own_id, f"interception {own_id} is in no block: it was added past the chain")
        elif digest != found.digest:
            if digest[:16] != found.row:
                yield Problem("changed", own_id, f"interception {own_id} was changed")
            if digest[16:] != found.children:
                yield Problem(
                    "changed",
                    own_id,
                    f"the children of interception {own_id} (token usages, prompt, tool usages, thoughts) were changed",
                )

    def _contents_of(self, page: Sequence[form.Found]) -> Iterator[Problem]:
        """Whether the messages are there that these interceptions refer to."""
        wanted = {digest: str(found.id) for found in page for digest in found.contents}
        for digest in self._absent(wanted):
            text = f"message {digest} of interception {wanted[digest]} is missing"
            yield Problem("missing", wanted[digest], text)

    def _absent(self, digests: Iterable[str]) -> Iterator[str]:
        wanted = list(digests)
        for some in slices(wanted, _PAGE):
            sql = f"SELECT digest FROM aitap_messages WHERE digest IN {question_marks(len(some))}"
            there = {row[0] for row in rows_of(self._database, sql, some)}
            yield from (digest for digest in some if digest not in there)

    def _messages(self, covered: Covered) -> Iterator[Problem]:
        for rows in self._pages(form.MESSAGES, None):
            yield from self._rows(covered, "messages", "message", rows)
            self.messages += len(rows)
            parents = {row["parent_digest"]: row["digest"] for row in rows if "parent_digest" in row}
            for digest in self._absent(parents):
                yield Problem("missing", digest, f"message {digest}, which {parents[digest]} continues, is missing")

    def _readings(self, covered: Covered) -> Iterator[Problem]:
        for rows in self._pages(form.READINGS, self._since):
            yield from self._rows(covered, "readings", "reading", rows)
            self.readings += len(rows)
        for name, turn in covered.left("readings"):
            yield Problem("missing", id_text(name), f"reading {id_text(name)} is missing: block {turn} has it")

    def _pages(self, table: form.Rows, since: str | None) -> Iterator[list[form.Row]]:
        where, parameters = ("WHERE {key} >= ? ", [since]) if since else ("", [])
        while rows := table.read(self._database, f"{where}ORDER BY {{order}} LIMIT ?", [*parameters, _PAGE]):
            yield rows
            self._advance(len(rows))
            where, parameters = "WHERE {key} > ? ", [rows[-1][table.key]]

    def _rows(self, covered: Covered, kind: str, word: str, rows: list[form.Row]) -> Iterator[Problem]:
        new = []
        for name, digest in form.digests_of(rows, "digest" if kind == "messages" else "id"):
            known = _taken(covered, kind, name)
            if known is None and self._uncovered:
                new.append(str(name))
            elif known is None:
                yield Problem("uncovered", str(name), f"{word} {name} is in no block: it was added past the chain")
            elif known != digest:
                yield Problem("changed", str(name), f"{word} {name} was changed")
        if self._uncovered and new:
            self._uncovered(kind, new)


def _taken(covered: Covered, kind: str, name: Any) -> bytes | None:
    """What the chain says of this name; nothing of what is no name at all."""
    try:
        return covered.take(kind, bytes.fromhex(name[3:]) if kind == "messages" else id_bytes(name))
    except (ValueError, TypeError):
        return None


def _signed(key: Ed25519PublicKey, signature: bytes, data: bytes) -> bool:
    from cryptography.exceptions import InvalidSignature  # noqa: PLC0415 - takes its time

    try:
        key.verify(signature, data)
    except InvalidSignature:
        return False
    return True
