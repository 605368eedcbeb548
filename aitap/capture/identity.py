"""Whose traffic it is."""

from __future__ import annotations

import getpass
import uuid

__all__ = ["local_user", "user_id"]

# Fixed, so that the same person has the same id in every database.
_LOCAL = uuid.UUID("6f0b5f0e-2f0c-5b39-9d1e-6a1f5a1c0a11")


def local_user() -> tuple[str, str]:
    """Id and name of the person this process runs for; the id depends on the name alone."""
    try:
        name = getpass.getuser()
    except (OSError, KeyError, ImportError):
        name = "local"
    return user_id(name), name


def user_id(name: str) -> str:
    """The id of a person whom only a name tells."""
    return str(uuid.uuid5(_LOCAL, name))
