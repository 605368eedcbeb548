"""What each client needs to be set up, and its traps. The table is data (``data/clients.toml``)."""

from __future__ import annotations

import difflib
import tomllib
from functools import lru_cache
from pathlib import Path

import msgspec

__all__ = ["ClientNotes", "find", "notes"]


class ClientNotes(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One row of the table."""

    name: str
    title: str
    commands: tuple[str, ...]
    proxy: tuple[str, ...]
    """Variables by which it finds the proxy, any of them; empty where it heeds none."""
    ca: tuple[str, ...]
    """Variables by which it finds the CA, any of them; empty where it heeds none."""
    store: bool = False
    """Whether it trusts what the system's store has."""
    set_up: str | None = None
    """What to do beside the variables."""
    node: str | None = None
    """The oldest Node that works."""
    measured: str | None = None
    """The version with which all this was seen; None: as documented."""
    traps: tuple[str, ...] = ()


@lru_cache(maxsize=1)
def notes() -> tuple[ClientNotes, ...]:
    """The table, in its order."""
    text = Path(__file__).with_name("data").joinpath("clients.toml").read_text("utf-8")
    return tuple(msgspec.convert(tomllib.loads(text)["client"], list[ClientNotes]))


def find(name: str) -> ClientNotes:
    """The row of this name or command. Raises ``ValueError`` that names the nearest one."""
    word = name.lower()
    for row in notes():
        if word == row.name or word in row.commands:
            return row
    known = [row.name for row in notes()]
    near = difflib.get_close_matches(word, known, n=1, cutoff=0.0)[0]
    raise ValueError(f"no client {name!r}, did you mean {near!r}? There are notes on {', '.join(known)}")
