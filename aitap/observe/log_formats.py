"""The three forms of a log line: JSON, logfmt, and one for people. Each is one line, whatever the values hold.

A line is given as its fields; ``ts``, ``level``, ``logger`` and ``msg`` come first, then trace and span id
where there are any. Every form is UTF-8 and ends with the only newline in it: characters that some reader
takes for the end of a line are escaped.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import msgspec

from aitap.observe.log_lines import LOGGER, MESSAGE, moment

if TYPE_CHECKING:
    from collections.abc import Callable

    from aitap.observe.log_lines import Fields
    from aitap.settings import LogFormat

__all__ = ["FORMATS", "TraceIds", "human", "json_line", "json_text", "logfmt"]

TraceIds = tuple[str, str]
"""Trace and span, in hex."""

# Besides controls: what str.splitlines and JavaScript take for line ends.
_SPECIAL = re.compile(r'["\\\x00-\x1f\x7f\x80-\x9f\u2028\u2029]')
_PLAIN = re.compile(r"[^\s=\"\\\x00-\x1f\x7f-\x9f\u2028\u2029]+")
_LINE_ENDS = re.compile("[\x7f-\x9f\u2028\u2029]")
_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}


def json_line(fields: Fields, at: float, ids: TraceIds | None) -> bytes:
    """One JSON object; unknown is null."""
    line: Fields = {"ts": moment(at), "level": "INFO", "logger": LOGGER, "msg": MESSAGE}
    if ids is not None:
        line["trace_id"], line["span_id"] = ids
    text = json_text({**line, **fields})
    return f"{_LINE_ENDS.sub(_unicode, text)}\n".encode()


def logfmt(fields: Fields, at: float, ids: TraceIds | None) -> bytes:
    """``key=value`` pairs, values quoted where they must be; what is unknown is left out."""
    line: Fields = {"ts": moment(at), "level": "info", "logger": LOGGER, "msg": MESSAGE}
    if ids is not None:
        line["trace_id"], line["span_id"] = ids
    return f"{_pairs({**line, **fields})}\n".encode()


def human(fields: Fields, at: float, ids: TraceIds | None) -> bytes:
    """Time, level, logger and message as people read them, then the pairs of logfmt."""
    trace = {} if ids is None else {"trace": ids[0], "span": ids[1]}
    stamp = moment(at).replace("T", " ")[:23]
    return f"{stamp} [info] {LOGGER}: {MESSAGE} {_pairs({**trace, **fields})}\n".encode()


FORMATS: dict[LogFormat, Callable[[Fields, float, TraceIds | None], bytes]] = {
    "json": json_line,
    "logfmt": logfmt,
    "human": human,
}


def json_text(value: Any) -> str:
    """JSON of a value; what UTF-8 cannot say in it is replaced."""
    try:
        return msgspec.json.encode(value).decode()
    except UnicodeEncodeError:
        return msgspec.json.encode(_clean(value)).decode()


def _clean(value: Any) -> Any:
    """Halves of surrogate pairs, which clients send that cut text by UTF-16 units, become ``?``."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, dict):
        return {_clean(key): _clean(item) for key, item in value.items()}
    return [_clean(item) for item in value] if isinstance(value, list) else value


def _pairs(fields: Fields) -> str:
    return " ".join(f"{name}={_value(value)}" for name, value in fields.items() if value is not None)


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict | list):
        value = json_text(value)
    text = _clean(str(value))
    return text if _PLAIN.fullmatch(text) else f'"{_SPECIAL.sub(_escape, text)}"'


def _escape(match: re.Match[str]) -> str:
    return _ESCAPES.get(match[0]) or _unicode(match)


def _unicode(match: re.Match[str]) -> str:
    return f"\\u{ord(match[0]):04x}"
