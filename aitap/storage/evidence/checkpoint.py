"""How far the chain reached at a moment, to be kept where who can write the database cannot write.

A chain cut off at its end is whole as far as it goes; who has a checkpoint sees that it went further.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Checkpoint", "CheckpointError", "read_checkpoint"]


class CheckpointError(Exception):
    """A file holds no checkpoint. One line."""


class Checkpoint(msgspec.Struct, frozen=True, kw_only=True):
    """The last block, and its signature, which the key can be asked about without the database."""

    aitap_checkpoint: int = 1
    turn: int
    at: str
    hash: str
    """Hexadecimal digits, as is the signature."""
    key: str
    signature: str


def read_checkpoint(path: Path) -> Checkpoint:
    """The checkpoint of a file. Raises :class:`CheckpointError`."""
    try:
        found = msgspec.json.decode(path.read_bytes(), type=Checkpoint)
        bytes.fromhex(found.hash + found.signature)
    except OSError as error:
        raise CheckpointError(f"{path}: {error.strerror or error}") from None
    except (msgspec.DecodeError, ValueError):
        raise CheckpointError(f"{path} is no checkpoint: `aitap verify --export-checkpoint FILE` makes one") from None
    if found.aitap_checkpoint != 1:
        raise CheckpointError(f"{path} was made by a newer aitap")
    return found
