r"""The ``q`` grammar: ``key:value`` elements, told apart by spaces, quoted where a value needs it.

``model:gpt-4o started_after:"2026-01-01T00:00:00Z" alice`` is two keys and a bare term. Quotes keep
spaces and colons together; inside them ``\"`` and ``\\`` stand for the character itself. Times are
RFC 3339, or an age such as ``24h`` or ``7d``. Keys and meaning are those of the reference.
"""

from __future__ import annotations

import difflib
import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

from aitap.setting_values import duration
from aitap.storage.models import User
from aitap.storage.queries import Filter

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from peewee import Database

__all__ = ["KEYS", "Kind", "SearchError", "filter_from", "is_age", "parse_moment", "resolve_initiator", "terms"]

Kind = Literal["interceptions", "sessions", "models", "clients", "providers", "provider_names", "hosts", "usage"]

KEYS = (
    "initiator",
    "provider",
    "provider_name",
    "model",
    "client",
    "session_id",
    "started_after",
    "started_before",
)

_BARE: dict[Kind, str | None] = {
    "interceptions": "initiator",
    "sessions": None,
    "models": "model",
    "clients": "client",
    "providers": "provider",
    "provider_names": "provider_name",
    "hosts": "provider",
    "usage": "initiator",
}

_RFC_3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)")
_TIMES = ("started_after", "started_before")
_FIRST, _LAST = datetime(1970, 1, 1, tzinfo=UTC), datetime(9999, 12, 30, tzinfo=UTC)
"""No record is from outside, and what is cannot be compared as text."""
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


class SearchError(Exception):
    """A search that cannot be understood: ``field`` is what is wrong, ``detail`` says how."""

    def __init__(self, field: str, detail: str) -> None:
        super().__init__(f"{field}: {detail}")
        self.field = field
        self.detail = detail


def _elements(text: str) -> list[list[str]]:
    """Elements of a search, each as its parts between colons; quotes are gone, what they held is whole."""
    elements: list[list[str]] = []
    parts: list[str] | None = None
    quoted = escaped = False
    for char in text:
        if not quoted and char.isspace():
            if parts is not None:
                elements.append(parts)
            parts = None
            continue
        if parts is None:
            parts = [""]
        if escaped:
            parts[-1] += char if char in '"\\' else "\\" + char
            escaped = False
        elif quoted and char == "\\":
            escaped = True
        elif char == '"':
            quoted = not quoted
        elif char == ":" and not quoted:
            parts.append("")
        else:
            parts[-1] += char
    if quoted:
        raise SearchError("q", "a double quote is not closed")
    if parts is not None:
        elements.append(parts)
    return elements


def terms(text: str, kind: Kind) -> dict[str, str]:
    """The key and value pairs of a search over ``kind``; no text is no pairs. Raises :class:`SearchError`."""
    found: dict[str, str] = {}
    for parts in _elements(text):
        if len(parts) > 2:
            raise SearchError("q", f"element {':'.join(parts)!r} can only contain 1 ':' (quote a value that has one)")
        if "" in parts:
            raise SearchError("q", f"element {':'.join(parts)!r} cannot start or end with ':' or be empty")
        if len(parts) == 2:
            key, value = parts[0].lower(), parts[1]
        else:
            bare = _BARE[kind]
            if bare is None:
                raise SearchError("q", f"no search key specified for {parts[0]!r}: write key:value")
            key, value = bare, parts[0]
        if key not in KEYS:
            near = difflib.get_close_matches(key, KEYS, n=1, cutoff=0.0)[0]
            raise SearchError(key, f"unknown search key, did you mean {near!r}?")
        if key in found:
            raise SearchError(key, "given more than once")
        found[key] = value
    return found


def parse_moment(text: str, now: datetime) -> datetime | None:
    """A moment in RFC 3339, or an age (``24h``, ``7d``) before ``now``; the zero time of RFC 3339 is no moment.

    Raises ``ValueError`` for anything else.
    """
    text = text.strip()
    if _RFC_3339.fullmatch(text):
        try:
            moment = datetime.fromisoformat(text.upper()).astimezone(UTC)
        except OverflowError:
            raise ValueError(f"{text!r} is no time that there can be") from None
        return None if moment == datetime(1, 1, 1, tzinfo=UTC) else moment
    if re.match(r"\d{4}-", text):
        raise ValueError(f"{text!r} is no full time: write it like 2026-01-31T09:00:00Z, with an offset")
    try:
        return now - timedelta(seconds=duration(text))
    except (ValueError, OverflowError):
        raise ValueError(f"{text!r} is neither a time like 2026-01-31T09:00:00Z nor an age like 24h or 7d") from None


def is_age(text: str) -> bool:
    """Whether what :func:`parse_moment` takes is an age, which is another moment every time."""
    return _RFC_3339.fullmatch(text.strip()) is None


def resolve_initiator(database: Database, value: str, me: Callable[[], tuple[str, str]]) -> str:
    """The user id of ``me``, of a UUID or of a username. Raises :class:`SearchError` for a user nobody knows."""
    if value == "me":
        return me()[0]
    if _UUID.fullmatch(value):
        return value.lower()
    row = database.execute(User.select(User.id).where(User.username == value)).fetchone()
    if row is not None:
        return str(row[0])
    local_id, local_name = me()
    if value == local_name:
        return local_id
    raise SearchError("initiator", f"user {value!r} does not exist: `aitap users list` shows all")


def filter_from(
    values: Mapping[str, str],
    *,
    database: Database,
    me: Callable[[], tuple[str, str]],
    now: datetime | None = None,
) -> Filter:
    """The filter that ``values`` (keys as in ``KEYS``) ask for; ``me`` gives id and name of the local user.

    Raises :class:`SearchError` with the key that is wrong.
    """
    now = now or datetime.now(UTC)
    found: dict[str, Any] = {}
    for key, value in values.items():
        if key == "initiator":
            found["initiator_id"] = resolve_initiator(database, value, me)
        elif key in {"started_after", "started_before"}:
            try:
                found[key] = parse_moment(value, now)
            except ValueError as error:
                raise SearchError(key, str(error)) from None
        else:
            found[key] = value
    after, before = found.get("started_after"), found.get("started_before")
    if after and before and before <= after:
        raise SearchError("started_before", "must be after started_after")
    return Filter(**found | {name: min(max(found[name], _FIRST), _LAST) for name in _TIMES if found.get(name)})
