"""Ids that providers and clients choose, in the length in which records keep them.

They are looked for again: by indexes, of which PostgreSQL's take no more than some 2,700 bytes, and in memory, where
thousands of them wait for the request that names them. The longest that is in use has some 400 characters.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import TypeVar

__all__ = ["LONGEST", "kept_id"]

_Id = TypeVar("_Id", str, str | None)

LONGEST = 512
"""Characters; what is longer keeps its beginning, with a digest of the whole at the end."""


def kept_id(text: _Id) -> _Id:
    """The id itself, or what stands for one that is too long: the same for the same id, and for no other."""
    if text is None or len(text) <= LONGEST:
        return text
    digest = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
    return f"{text[: LONGEST - len(digest) - 1]}~{digest}"
