"""Whose traffic it is: a person known by a proxy key, by another directory, or because the proxy is theirs alone."""

from __future__ import annotations

import getpass
import uuid
from typing import Literal

import msgspec

__all__ = ["Identity", "Source", "local_identity", "local_user", "user_id"]

Source = Literal["local", "key", "coder", "htpasswd", "address"]

# Fixed, so that the same person has the same id in every database.
_LOCAL = uuid.UUID("6f0b5f0e-2f0c-5b39-9d1e-6a1f5a1c0a11")


class Identity(msgspec.Struct, frozen=True):
    """A person or a machine, as records name it. Never holds a credential."""

    user_id: str
    """``users.id``: a dashed UUID."""
    username: str
    source: Source = "local"
    api_key_id: str | None = None
    """The proxy key that was shown (its id, not the key); None where identity came another way."""


def local_user() -> tuple[str, str]:
    """Id and name of the person this process runs for; the id depends on the name alone."""
    try:
        name = getpass.getuser()
    except (OSError, KeyError, ImportError):
        name = "local"
    return user_id(name), name


def local_identity() -> Identity:
    """The person this process runs for."""
    return Identity(*local_user())


def user_id(name: str) -> str:
    """The id of a person whom only a name tells."""
    return str(uuid.uuid5(_LOCAL, name))
