"""Values as people read them: short times, sizes, ids, and text that cannot touch the terminal.

What a client sent is never trusted with the screen: control characters, escape sequences and
direction marks are taken out before anything is shown.
"""

from __future__ import annotations

import re
import unicodedata
from datetime import datetime
from typing import Any

import msgspec

__all__ = [
    "DASH",
    "count",
    "day_and_time",
    "done",
    "done_with",
    "full_time",
    "model_name",
    "moment",
    "money",
    "one_line",
    "outcome",
    "safe",
    "short_id",
    "size",
    "span",
    "tool_input",
]

DASH = "\u2013"
"""Stands for what is not known."""

_SHORT = 8
_DATED = re.compile(r"-(\d{8}|\d{4}-\d\d-\d\d)$")


def safe(text: str) -> str:
    """Text without what a terminal would act on; line ends and tabs stay."""
    # Nearly every text is: what Python prints as it is, is of none of these categories.
    if text.replace("\n", "").replace("\t", "").isprintable():
        return text
    return "".join(
        char for char in text if char in "\n\t" or unicodedata.category(char) not in {"Cc", "Cf", "Cs", "Zl", "Zp"}
    )


def one_line(text: str, limit: int = 400) -> str:
    """The beginning of a text in one line."""
    # Cut before the work: a prompt may be megabytes.
    return " ".join(safe(text[: limit * 4].replace("\r", "\n")).split())[:limit]


def moment(text: str | None) -> datetime | None:
    """An RFC 3339 time as local time."""
    return None if text is None else datetime.fromisoformat(text).astimezone()


def day_and_time(text: str | None, now: datetime) -> str:
    """``16:28:01`` today, ``Nov 19 16:28`` this year, ``2025-11-19`` before."""
    at = moment(text)
    if at is None:
        return DASH
    today = now.astimezone()
    if at.date() == today.date():
        return at.strftime("%H:%M:%S")
    if at.year == today.year:
        return f"{at:%b} {at.day:2} {at:%H:%M}"
    return at.strftime("%Y-%m-%d")


def full_time(text: str | None) -> str:
    """``2026-11-20 16:28:01.123 +0100``."""
    at = moment(text)
    return DASH if at is None else f"{at:%Y-%m-%d %H:%M:%S}.{at.microsecond // 1000:03} {at:%z}"


def span(seconds: float | None) -> str:
    """``0.42s``, ``3.2s``, ``1m 05s``, ``2h 10m``, ``3d 4h``."""
    if seconds is None:
        return DASH
    if seconds < 9.95:
        return f"{seconds:.2f}s" if seconds < 0.995 else f"{seconds:.1f}s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m {whole % 60:02}s"
    if whole < 86400:
        return f"{whole // 3600}h {whole % 3600 // 60:02}m"
    return f"{whole // 86400}d {whole % 86400 // 3600}h"


def count(number: int | None) -> str:
    """``999``, ``1.2k``, ``12.3k``, ``123k``, ``1.2M``: never more than five characters below 10^12."""
    if number is None:
        return DASH
    if number < 1000:
        return str(number)
    value: float = number
    for unit in "kMG":
        value /= 1000
        # 999.95 would be shown as 1000.0.
        if value < 999.5:
            return f"{value:.1f}{unit}" if value < 99.95 else f"{value:.0f}{unit}"
    return f"{value / 1000:.1f}T"


def size(number: int | None) -> str:
    """Bytes: ``512 B``, ``1.2 kB``, ``3.4 MB``."""
    if number is None:
        return DASH
    text = count(number)
    return f"{text[:-1]} {text[-1]}B" if text[-1].isalpha() else f"{text} B"


def money(micros: int | None, *, more: bool = False) -> str:
    """Millionths of a dollar: ``$0.000012``, ``$0.0042``, ``$3.21``, ``$12,345``; ``more`` says so by a ``+``."""
    if micros is None:
        return DASH
    dollars = micros / 1_000_000
    if micros == 0:
        text = "$0"
    elif dollars < 0.001:
        text = f"${dollars:.6f}"
    elif dollars < 0.995:
        text = f"${dollars:.4f}" if dollars < 0.1 else f"${dollars:.3f}"
    else:
        text = f"${dollars:,.2f}" if dollars < 9_999.995 else f"${dollars:,.0f}"
    return f"{text}+" if more else text


def short_id(text: str | None) -> str:
    """The end of an id: ids begin with the time and would look alike. ``show`` takes it."""
    return DASH if text is None else safe(text)[-_SHORT:].lstrip("-_.:/ ")


def model_name(name: str, *, brief: bool) -> str:
    """A model's name; ``brief`` leaves out the date some carry at their end. A dash where the request named none."""
    text = one_line(name) or DASH
    return _DATED.sub("", text) if brief else text


def outcome(record: dict[str, Any]) -> str:
    """``ok``, ``failed 429``, ``cancelled``, ``in flight``, ``interrupted``."""
    if record["outcome"] == "completed":
        return "ok"
    if record["outcome"] == "failed" and record["status_code"] is not None and record["status_code"] >= 400:
        return f"failed {record['status_code']}"
    return str(record["outcome"]).replace("_", " ")


def done(entry: dict[str, Any]) -> str:
    """What a line of the audit says was done: ``read 3``, ``user.role``."""
    return f"read {count(entry['records'])}" if entry["action"] is None else one_line(entry["action"])


def done_with(entry: dict[str, Any]) -> str:
    """The rest of what it says: ``role=auditor before=user``, or what was asked."""
    if entry["action"] is None:
        return one_line(entry["path"] + (f"?{entry['query']}" if entry["query"] else ""))
    given = {name: value for name, value in (entry["detail"] or {}).items() if value not in (None, "", False)}
    if "key" in given:
        given["key"] = short_id(given["key"])
    if given.get("unit") == "usd_micros":
        del given["unit"]
        given |= {name: money(given[name]) for name in ("amount", "before") if name in given}
    if "expires_at" in given:
        given["expires_at"] = str(given["expires_at"])[:16]
    return one_line(" ".join(f"{name}={_bare(value)}" for name, value in given.items()))


_TELLING = ("command", "cmd", "file_path", "filePath", "pattern", "path", "query", "url", "description", "prompt")


def tool_input(text: str) -> str:
    """What a tool call is about in one line: its most telling argument, else all of them."""
    try:
        value = msgspec.json.decode(text)
    except msgspec.DecodeError:
        return one_line(text)
    if not isinstance(value, dict):
        return one_line(text)
    for key in _TELLING:
        if found := value.get(key):
            words = found if isinstance(found, list) else [found]
            return one_line(" ".join(str(word) for word in words))
    return one_line(" ".join(f"{key}={_bare(item)}" for key, item in value.items()))


def _bare(item: Any) -> str:
    return item if isinstance(item, str) else msgspec.json.encode(item).decode()
