"""Ids as people give them: whole, or as much of the beginning or the end as tells one from all others."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["AmbiguousIdError", "id_like"]


class AmbiguousIdError(Exception):
    """A part of an id that several have. One line says what to do."""


def id_like(text: str, ids: Iterable[str], things: str) -> str | None:
    """The one of these dashed UUIDs that ``text`` is, or is the beginning or end of (4 digits at least).

    Dashes may be left out. ``things`` are what the ids are of. None where there is none; raises
    :class:`AmbiguousIdError` where there are several.
    """
    digits = text.strip().lower().replace("-", "")
    if not re.fullmatch(r"[0-9a-f]{4,32}", digits):
        return None
    found = [own_id for own_id in ids if _fits(own_id.replace("-", ""), digits)]
    if len(found) > 1:
        raise AmbiguousIdError(f"several {things} match {text!r}: give more of the id")
    return found[0] if found else None


def _fits(whole: str, digits: str) -> bool:
    return whole.startswith(digits) or whole.endswith(digits)
