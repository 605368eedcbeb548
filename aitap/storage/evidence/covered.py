"""What the chain says that must be there: a table on disk, for it may be longer than memory."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

from aitap.storage.evidence.block import entries

if TYPE_CHECKING:
    from collections.abc import Iterator

    from aitap.storage.evidence.block import Block

__all__ = ["Covered"]

_KINDS = ("records", "messages", "readings")


class Covered:
    """Takes blocks in order, then answers for each row once what its digest must be.

    SQLite keeps the file, which has no name, in the system's temporary folder and removes it by itself. Where there is
    no room for it, ``OSError`` is raised, with a line that says so.
    """

    def __init__(self, since: bytes | None = None) -> None:
        """``since``: ids of records and readings that are smaller do not count."""
        self._since = since or b""
        self._database = sqlite3.connect("", isolation_level=None)
        self._database.execute("PRAGMA journal_mode = off")
        for kind in _KINDS:
            self._database.execute(f"CREATE TABLE {kind} (id BLOB PRIMARY KEY, digest BLOB, turn INT) WITHOUT ROWID")
        self._database.execute("BEGIN")

    def close(self) -> None:
        """Forget it all."""
        self._database.close()

    def apply(self, block: Block) -> None:
        """What a block says holds from now on."""
        for kind, data, size in (
            ("records", block.records, 16),
            ("messages", block.messages, 20),
            ("readings", block.readings, 16),
        ):
            since = b"" if kind == "messages" else self._since
            rows = [(name, digest, block.turn) for name, digest in entries(data, size) if name >= since]
            try:
                self._database.executemany(f"INSERT OR REPLACE INTO {kind} VALUES (?, ?, ?)", rows)
            except sqlite3.OperationalError as error:
                raise OSError(
                    f"no room to note what the chain says, in the folder for temporary files ({error}): "
                    "name a larger one with SQLITE_TMPDIR"
                ) from None
        gone = block.removed or b""
        names = [(gone[at : at + 16],) for at in range(0, len(gone), 16)]
        for kind in ("records", "readings"):
            self._database.executemany(f"DELETE FROM {kind} WHERE id = ?", names)

    def take(self, kind: str, name: bytes) -> bytes | None:
        """The digest that this one must have, asked for once; None where no block speaks of it."""
        found = self._database.execute(f"SELECT digest FROM {kind} WHERE id = ?", (name,)).fetchone()
        if found is None:
            return None
        self._database.execute(f"DELETE FROM {kind} WHERE id = ?", (name,))
        return bytes(found[0])

    def left(self, kind: str) -> Iterator[tuple[bytes, int]]:
        """What was never asked for, and the block that spoke of it last."""
        yield from self._database.execute(f"SELECT id, turn FROM {kind} ORDER BY id")
