"""Where answers go: JSON into a pipe or a file, tables onto a terminal."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["json_text", "terminal", "wants_json", "write_json"]


def wants_json(*, asked: bool) -> bool:
    """Whether the answer is for a program: JSON was asked for, or nobody looks."""
    return asked or not sys.stdout.isatty()


def json_text(value: Any) -> bytes:
    """JSON in UTF-8, indented by two spaces."""
    return msgspec.json.format(msgspec.json.encode(value), indent=2)


def write_json(value: Any) -> None:
    """One JSON value on stdout."""
    # Bytes: the encoding of stdout is the terminal's affair, JSON is UTF-8.
    stream = sys.stdout.buffer
    stream.write(json_text(value) + b"\n")
    stream.flush()


def terminal() -> Console:
    """The terminal, for tables. Nothing in a text is taken for markup or coloured by guess."""
    from rich.console import Console

    return Console(highlight=False, markup=False, emoji=False)
