"""A share of the attack: exchanges of one seed against one database, in episodes, and what was found."""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import sys
from typing import TYPE_CHECKING, Any

from aitap.free_memory import give_back
from aitap.storage.checks import problems
from aitap.storage.database import open_database, rows_of
from bench import machine, places
from bench.fuzz.attack import attack
from bench.fuzz.readers import misread
from bench.fuzz.subject import TOLD, Finding, Subject

if TYPE_CHECKING:
    from pathlib import Path

    from aitap.record import CaptureMode

__all__ = ["judged", "run", "shard"]

_EPISODE = 2000
"""So many exchanges meet one recorder; the next has other settings."""
_KINDS: tuple[tuple[CaptureMode, tuple[str, ...]], ...] = (
    ("metadata+prompt", ()),
    ("full", ()),
    ("minimal", ()),
    ("full", ("all",)),
)
_MORE = 1.05
"""How many times as much as after its first episodes a process may hold, in blocks that Python has given out."""
_ROOM = 128 << 20
"""Bytes by which it may grow. The C library's heap, in which bodies of all sizes come and go, is now 40 MiB larger and
now smaller while what is held stays the same."""


def run(
    url: str, seed: int, numbers: range, *, episode: int = _EPISODE, told_of: int = TOLD
) -> tuple[list[Finding], int]:
    """Attack recorders with these exchanges; what was found, and how many records there are. ``url`` is migrated."""
    findings: list[Finding] = []
    records = 0
    for turn, start in enumerate(range(numbers.start, numbers.stop, episode)):
        capture, redact = _KINDS[turn % len(_KINDS)]
        before = _rows(url)
        subject = Subject(url, capture, redact, told_of)
        last = min(start + episode, numbers.stop)
        for number in range(start, last):
            attack(subject, seed, number)
        begun = subject.close(last - 1)
        records += begun
        findings += subject.findings
        if (rows := _rows(url) - before) != begun:
            findings.append(Finding(last - 1, f"{begun} records since number {start}, {rows} rows"))
    return findings, records


def _rows(url: str) -> int:
    database = open_database(url, read_only=True)
    try:
        return int(rows_of(database, "SELECT count(*) FROM aibridge_interceptions")[0][0])
    finally:
        database.close()


def judged(url: str, records: int, number: int) -> list[Finding]:
    """What of the database is not as it must be."""
    database = open_database(url, read_only=True)
    try:
        [(rows, still)] = rows_of(
            database, "SELECT count(*), sum(CASE WHEN ended_at IS NULL THEN 1 ELSE 0 END) FROM aibridge_interceptions"
        )
        found = [f"{records} records, {rows} rows"] if rows != records else []
        found += [f"{still} rows without an end"] if still else []
        return [Finding(number, what) for what in found + problems(database)]
    finally:
        database.close()


def shard(tell: Any, seed: int, numbers: range, folder: Path, database: str, told_of: int = TOLD) -> None:
    """Attack, and tell what was done and found; ``database`` is a kind of database, or a URL."""
    os.nice(10)
    logging.getLogger("aitap").propagate = False
    with contextlib.ExitStack() as stack:
        url = database
        if database == "postgresql":
            (folder / f"pg{seed}").mkdir()
            url = stack.enter_context(places.located(f"postgres://{folder / f'pg{seed}'}"))
        elif database == "sqlite":
            url = f"sqlite:///{folder / f'{seed}.db'}"
        open_database(url, migrate=True).close()
        total = 0
        grown, held = 0, 0
        step = _EPISODE * len(_KINDS)
        for start in range(numbers.start, numbers.stop, step):
            part = range(start, min(start + step, numbers.stop))
            findings, records = run(url, seed, part, told_of=told_of)
            total += records
            # What is held is looked for: not what nobody has swept up yet.
            gc.collect()
            give_back()
            rss, blocks = machine.rss_bytes(os.getpid()), sys.getallocatedblocks()
            if start == numbers.start + 2 * step:
                grown, held = rss, blocks
            if grown and (rss > grown + _ROOM or blocks > held * _MORE):
                more = f"from {grown >> 20} to {rss >> 20} MiB, from {held:,} to {blocks:,} blocks"
                findings.append(Finding(part[-1], f"memory grew {more}"))
            tell.send((seed, len(part), total, rss, findings))
        tell.send((seed, 0, total, 0, judged(url, total, numbers.stop - 1)))
        tell.send((seed, 0, total, 0, [Finding(numbers.stop - 1, what) for what in misread(url)]))
