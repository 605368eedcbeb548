"""Session logs of clients, read into calls; each call once, however often the logs repeat it.

Claude Code (seen in 2.1) writes ``projects/**/*.jsonl`` below its folder: a line for every block of an answer, each
with the usage as it was known then, under ``message.id`` and ``requestId``. The greatest value of each count is the
final one. Sessions that are resumed repeat lines of the old file in a new one.

Codex (seen in 0.169) writes ``sessions/**/rollout-*.jsonl``: ``token_usage_record`` has the usage of each response with
its id; older ones have ``token_count`` events alone, which are repeated without news, and begin with those of the
session that was forked. Input includes what came from the cache.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

import msgspec

from aitap.reconcile.tokens import COUNTERS, LoggedCall, Tokens

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

__all__ = ["CLIENTS", "LogReader", "log_files"]

Line = dict[str, Any]

_LONGEST_LINE = 64 * 1024 * 1024


class _Source(msgspec.Struct, frozen=True):
    """A client: its folder, the variable that moves it, and where its logs are in it."""

    folder: str
    variable: str
    pattern: str


CLIENTS = {
    "Claude Code": _Source(".claude", "CLAUDE_CONFIG_DIR", "projects/**/*.jsonl"),
    "Codex": _Source(".codex", "CODEX_HOME", "sessions/**/rollout-*.jsonl"),
}
"""By the name that records have for them."""


def log_files(client: str, folder: Path, since: float) -> list[Path]:
    """The client's session logs that were written to at ``since`` (epoch seconds) or later, in order of names."""
    found = []
    for path in sorted(folder.glob(CLIENTS[client].pattern)):
        try:
            if path.is_file() and path.stat().st_mtime >= since:
                found.append(path)
        except OSError:
            continue
    return found


class LogReader:
    """Reads logs of one client, one after the other, and knows the calls that were in more than one of them."""

    def __init__(self, client: str) -> None:
        self.calls: list[LoggedCall] = []
        self.broken_lines = 0
        """Lines that are no JSON: cut off, as a rule, while they were written."""
        self.without_ids = 0
        """Calls that nothing tells apart but their counts."""
        self._client = client
        self._places: dict[tuple[str, str], int] = {}
        self._read: Callable[[Path], None] = {"Claude Code": self._claude_code, "Codex": self._codex}[client]

    def read(self, path: Path) -> None:
        """Read one log. Raises ``OSError``."""
        self._read(path)

    def _lines(self, path: Path, *words: bytes) -> Iterator[Line]:
        """The lines that have one of these words in them; the others, which are long, are not decoded."""
        with path.open("rb") as file:
            while raw := file.readline(_LONGEST_LINE):
                if not any(word in raw for word in words):
                    continue
                try:
                    line = msgspec.json.decode(raw)
                except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                    self.broken_lines += 1
                    continue
                if isinstance(line, dict):
                    yield line

    def _add(self, key: tuple[str, str], call: LoggedCall) -> None:
        place = self._places.get(key)
        if place is None:
            self._places[key] = len(self.calls)
            self.calls.append(call)
            return
        known = self.calls[place]
        most = Tokens(*(max(getattr(known.tokens, name), getattr(call.tokens, name)) for name in COUNTERS))
        self.calls[place] = msgspec.structs.replace(known, tokens=most)

    # -- Claude Code

    def _claude_code(self, path: Path) -> None:
        for line in self._lines(path, b'"usage"'):
            message, at = _dict(line.get("message")), _seconds(line.get("timestamp"))
            usage, model = _dict(message.get("usage")), message.get("model")
            # What the client made up itself, such as the words for an error, is of a model "<synthetic>".
            if not usage or at is None or not isinstance(model, str) or model.startswith("<"):
                continue
            if line.get("isApiErrorMessage") or line.get("type") != "assistant":
                continue
            response, request = _text(message.get("id")), _text(line.get("requestId"))
            call = LoggedCall(
                client=self._client,
                session_id=_text(line.get("sessionId")) or path.stem,
                at=at,
                model=model,
                response_id=response,
                request_id=request,
                tokens=Tokens(
                    _int(usage.get("input_tokens")),
                    _int(usage.get("output_tokens")),
                    _int(usage.get("cache_read_input_tokens")),
                    _int(usage.get("cache_creation_input_tokens")),
                ),
            )
            self._add((response, request) if response or request else ("", _text(line.get("uuid"))), call)

    # -- Codex

    def _codex(self, path: Path) -> None:
        session, model, counted = path.stem, "", (-1, -1)
        by_id: list[tuple[tuple[str, str], LoggedCall]] = []
        by_count: list[tuple[tuple[str, str], LoggedCall]] = []
        words = (b'"session_meta"', b'"turn_context"', b'"token_count"', b'"token_usage_record"')
        for line in self._lines(path, *words):
            payload, at = _dict(line.get("payload")), _seconds(line.get("timestamp"))
            kind = line.get("type")
            if kind == "session_meta":
                session = _text(payload.get("id")) or session
            elif kind == "turn_context":
                model = _text(payload.get("model")) or model
            elif at is None:
                continue
            elif kind == "token_usage_record":
                response = _text(payload.get("response_id"))
                call = self._codex_call(session, at, model, _dict(payload.get("usage")), response)
                by_id.append(((response, response), call))
            elif payload.get("type") == "token_count":
                info = _dict(payload.get("info"))
                total, last = _dict(info.get("total_token_usage")), _dict(info.get("last_token_usage"))
                so_far = (_int(total.get("total_tokens")), _int(total.get("input_tokens")))
                if last and so_far != counted:
                    counted = so_far
                    # A fork repeats its parent's events, with its moments.
                    key = (_text(line.get("timestamp")), f"{so_far}")
                    by_count.append((key, self._codex_call(session, at, model, last, "")))
        if not by_id:
            self.without_ids += len(by_count)
        for key, call in by_id or by_count:
            self._add(key, call)

    def _codex_call(self, session: str, at: float, model: str, usage: Line, response: str) -> LoggedCall:
        cached, written = _int(usage.get("cached_input_tokens")), _int(usage.get("cache_write_input_tokens"))
        fresh = max(_int(usage.get("input_tokens")) - cached - written, 0)
        tokens = Tokens(fresh, _int(usage.get("output_tokens")), cached, written)
        return LoggedCall(
            client=self._client, session_id=session, at=at, model=model, response_id=response, tokens=tokens
        )


def _dict(value: Any) -> Line:
    return value if isinstance(value, dict) else {}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _int(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else 0


def _seconds(value: Any) -> float | None:
    try:
        moment = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return None
    return moment.timestamp() if moment.tzinfo else None
