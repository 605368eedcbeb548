"""Values as people read them on a page: the command line's words, with times in UTC that a browser may make local.

What clients and models sent is never trusted with the screen: control characters and direction marks are taken out
here, markup is escaped by the templates.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import msgspec

from aitap.export import human
from aitap.storage.threads import cost_sum, token_sum

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = ["FILTERS", "LONGEST_TEXT", "address", "cut", "pretty"]

LONGEST_TEXT = 20_000
"""Characters of one text that a page shows; the rest is in the download."""
_PREVIEW = 280
_AROUND = 90


def address(path: str, parameters: Mapping[str, object]) -> str:
    """A URL of this server; parameters without a value are left out."""
    given = {name: str(value) for name, value in parameters.items() if value not in (None, "")}
    return f"{path}?{urlencode(given, errors='replace')}" if given else path


def cut(text: str, limit: int = LONGEST_TEXT) -> tuple[str, int]:
    """The beginning of a text, fit to be shown, and how many characters were left out."""
    return human.safe(text[:limit]), max(0, len(text) - limit)


def pretty(told: Any) -> str:
    """JSON, as a value or as text, indented; text that is none as it is."""
    value: str = told if isinstance(told, str) else msgspec.json.encode(told).decode()
    if len(value) > LONGEST_TEXT:
        return value
    try:
        return str(msgspec.json.format(value, indent=2))
    except msgspec.DecodeError:
        return value


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def _clock(text: str | None) -> str:
    return human.DASH if text is None else f"{_moment(text):%H:%M:%S}"


def _day_time(text: str | None) -> str:
    if text is None:
        return human.DASH
    at = _moment(text)
    return f"{at:%b} {at.day}, {at:%H:%M}" if at.year == datetime.now(UTC).year else f"{at:%Y-%m-%d %H:%M}"


def _full(text: str | None) -> str:
    return human.DASH if text is None else f"{_moment(text):%Y-%m-%d %H:%M:%S} UTC"


def _between(begin: str | None, end: str | None) -> float | None:
    return None if begin is None or end is None else (_moment(end) - _moment(begin)).total_seconds()


def _preview(text: str | None) -> str:
    return human.one_line(text or "", _PREVIEW)


def _around(text: str, words: Sequence[str]) -> str:
    """A piece of the text about the first word that is in it."""
    lower = text.casefold()
    place = min((at for word in words if (at := lower.find(word.casefold())) >= 0), default=0)
    begin = max(0, place - _AROUND)
    return ("…" if begin else "") + human.one_line(text[begin : place + 2 * _AROUND], 3 * _AROUND)


def _said(part: Mapping[str, Any]) -> str:
    """The text of a tool's result; what is none is named."""
    content = part.get("content")
    inner = [one for one in content if isinstance(one, dict)] if isinstance(content, list) else []
    return "\n".join(str(one.get("text", "")) if one.get("type") == "text" else f"[{one.get('type')}]" for one in inner)


def _sums(usages: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The token usages of one interception as one: counters, cost as far as it is known, how many have none."""
    records = [{"token_usages": list(usages)}]
    return {**token_sum(records), **cost_sum(records), "unmetered": 0}


def _percent(part: float | None, whole: float | None) -> str:
    if part is None or not whole:
        return human.DASH
    share = 100 * part / whole
    return f"{share:.1f}%" if 0 < share < 9.95 else f"{share:.0f}%"


def _who(person: Mapping[str, Any]) -> str:
    return human.one_line(person["username"] or human.short_id(person["id"]), 80)


def _number(value: float | None) -> str:
    return human.DASH if value is None else f"{value:,}"


def _known(value: object) -> str:
    if value in (None, ""):
        return human.DASH
    return human.safe(value if isinstance(value, str) else msgspec.json.encode(value).decode())[:LONGEST_TEXT]


FILTERS: dict[str, Callable[..., Any]] = {
    "around": _around,
    "between": _between,
    "clock": _clock,
    "count": human.count,
    "cut": cut,
    "day_time": _day_time,
    "done": human.done,
    "done_with": human.done_with,
    "full": _full,
    "known": _known,
    "model_name": human.model_name,
    "money": human.money,
    "number": _number,
    "one_line": human.one_line,
    "outcome": human.outcome,
    "percent": _percent,
    "plain": human.safe,
    "pretty": pretty,
    "preview": _preview,
    "said": _said,
    "short_id": human.short_id,
    "size": human.size,
    "span": human.span,
    "sums": _sums,
    "tool_input": human.tool_input,
    "who": _who,
}
"""What templates may put behind a ``|``."""
