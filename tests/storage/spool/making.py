"""Spools for tests: a folder with a lock, and what is in it."""

from __future__ import annotations

from pathlib import Path

from aitap.storage.spool.folders import make_folder
from aitap.storage.spool.segments import Spool

URL = "sqlite:////somewhere/aitap.db"


def spool_in(root: Path, url: str = URL, *, limit: int = 1 << 30, sync: bool = False) -> Spool:
    return Spool(make_folder(root, url), limit=limit, sync=sync)


def drained(spool: Spool) -> list[str]:
    """The ids of all that waits, which then is done."""
    found = []
    while (batch := spool.oldest()) is not None:
        found += [record.id for record in batch.records]
        spool.done(batch)
    return found
