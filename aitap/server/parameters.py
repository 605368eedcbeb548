"""Query parameters: read once, each known and given at most once, numbers within bounds.

A parameter nobody knows is refused: a filter with a slip of the pen in its name would otherwise find everything.
"""

from __future__ import annotations

import difflib
import re
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

import msgspec

from aitap.server.problems import Problem, invalid_parameters

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

__all__ = ["LARGEST_OFFSET", "LARGEST_PAGE", "Page", "page_of", "read_parameters", "threads_limit", "uuid_of"]

PAGE = 100
LARGEST_PAGE = 1000
LARGEST_OFFSET = 100_000
"""Rows that are left out still have to be passed: who wants more of them goes on with a cursor, which costs nothing."""
THREADS = 50
MOST_THREADS = 200
LONGEST = 4096
"""Characters of one value."""

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


class Page(msgspec.Struct, frozen=True):
    """Which part of a list is wanted: after a row, or after so many rows."""

    limit: int
    cursor: str | None
    offset: int


def read_parameters(query: bytes, known: Collection[str]) -> dict[str, str]:
    """The parameters of a URL; those without a value are as good as not there. Raises :class:`Problem`."""
    try:
        pairs = parse_qsl(query.decode("ascii"), keep_blank_values=True, max_num_fields=64, errors="strict")
    except ValueError:
        raise Problem(400, "Query parameters have invalid values.", "The query is not URL-encoded UTF-8.") from None
    found: dict[str, str] = {}
    wrong: dict[str, str] = {}
    for name, value in pairs:
        if name not in known:
            near = difflib.get_close_matches(name[:LONGEST], known, n=1, cutoff=0.0)
            hint = f", did you mean {near[0]!r}?" if near else ": there is none here"
            wrong[_shown(name)] = f"unknown query parameter{hint}"
        elif name in found:
            wrong[name] = "given more than once"
        elif len(value) > LONGEST:
            wrong[name] = f"longer than {LONGEST} characters"
        elif "\0" in value:
            wrong[name] = "contains a null character"
        else:
            found[name] = value
    if wrong:
        raise invalid_parameters(wrong)
    return {name: value for name, value in found.items() if value}


def page_of(values: Mapping[str, str], cursor: str | None) -> Page:
    """``limit``, ``offset`` and the cursor parameter named ``cursor``, if there is one. Raises :class:`Problem`."""
    limit, offset = _number(values, "limit", PAGE), _number(values, "offset", 0)
    if not 0 < limit <= LARGEST_PAGE:
        raise Problem(400, "Invalid pagination limit value.", f"Pagination limit must be in range (0, {LARGEST_PAGE}]")
    if cursor and cursor in values and "offset" in values:
        raise Problem(
            400,
            "Query parameters have invalid values.",
            f"Cannot use both {cursor} and offset pagination in the same request.",
        )
    if not 0 <= offset <= LARGEST_OFFSET:
        advice = f"; go on with {cursor}" if cursor else ""
        raise Problem(
            400,
            "Invalid pagination offset value.",
            f"Pagination offset must be in range [0, {LARGEST_OFFSET}]{advice}",
        )
    return Page(limit, values.get(cursor) if cursor else None, offset)


def threads_limit(values: Mapping[str, str]) -> int:
    """The ``limit`` of a page of threads. Raises :class:`Problem`."""
    limit = _number(values, "limit", THREADS)
    if not 1 <= limit <= MOST_THREADS:
        raise Problem(400, f"Limit must be between 1 and {MOST_THREADS}.")
    return limit


def uuid_of(text: str) -> str | None:
    """The UUID as records have it; None where it is none."""
    return text.lower() if _UUID.fullmatch(text) else None


def _number(values: Mapping[str, str], name: str, default: int) -> int:
    text = values.get(name)
    if text is None:
        return default
    if not re.fullmatch(r"[+-]?[0-9]+", text):
        raise invalid_parameters({name: f"{text[:40]!r} is not a number"})
    return int(text)  # LONGEST digits at most, which Python reads


def _shown(name: str) -> str:
    return name[:100].replace("\0", "")
