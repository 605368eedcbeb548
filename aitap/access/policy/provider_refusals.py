"""The answer to a call that is refused: 403 in the provider's own words. The table is data (``data/refusals.toml``).

Clients show what a provider says when it refuses, and none of those words makes them try again. Protocol facts are
the error shapes of the providers' public API references.
"""

from __future__ import annotations

import tomllib
from importlib import resources
from typing import Any

import msgspec

from aitap.capture.wire.jsontext import as_dict, as_str, value_of

__all__ = ["HEADER", "STATUS", "Refusal", "Refusals"]

STATUS = 403
HEADER = "x-aitap-policy"
"""Tells a refusal of ours from one of the provider's."""

_FINAL = 400
"""The status in an event of a socket. At any but this one Codex connects anew, five times over."""

_PLACES = ("$message", "$code")
_CODES = {"budget": "budget_exceeded", "unrecordable": "unrecordable"}
_CODE = "policy_denied"


class Refusal(msgspec.Struct, frozen=True):
    """An HTTP answer with status :data:`STATUS`."""

    headers: dict[str, str]
    body: bytes


class _Row(msgspec.Struct):
    body: str
    apis: list[str] = []
    providers: list[str] = []
    headers: dict[str, str] = {}


class Refusals:
    """Knows how each dialect says no, or, from another table, something else that is as final for the call."""

    def __init__(self, file: str = "refusals.toml") -> None:
        table = tomllib.loads(resources.files("aitap.access.policy").joinpath(f"data/{file}").read_text("utf-8"))
        self._rows = msgspec.convert(table["refusal"], list[_Row])
        self._bodies = [msgspec.json.decode(row.body) for row in self._rows]

    def answer(self, api: str, provider_name: str, message: str, reason: int | str) -> Refusal:
        """The refusal of a call in this dialect (a name of ``providers.toml``) to this provider.

        ``reason`` is the number of a rule, 0 for none, or a word.
        """
        row, body = next(
            (row, body)
            for row, body in zip(self._rows, self._bodies, strict=True)
            if (not row.apis or api in row.apis) and (not row.providers or provider_name in row.providers)
        )
        told = reason if isinstance(reason, str) else f"rule {reason}" if reason else "denied"
        headers = {"content-type": "application/json", HEADER: told}
        # The official SDKs of Anthropic and OpenAI obey this whatever the status is.
        headers["x-should-retry"] = "false"
        words = dict(zip(_PLACES, (message, _code(reason)), strict=True))
        return Refusal(headers | row.headers, msgspec.json.encode(_filled(body, words)))

    def event(self, api: str, frame: bytes, message: str, reason: int | str = 0) -> bytes:
        """The ``error`` event that refuses what a client asks by ``frame`` of a WebSocket in this dialect."""
        error: dict[str, Any] = {
            "type": "permission_denied",
            "code": _code(reason),
            "message": message,
            "param": None,
        }
        asked = as_dict(value_of(frame))
        if api == "openai.realtime":
            error["event_id"] = as_str(asked.get("event_id"))
            return msgspec.json.encode({"type": "error", "event_id": "event_policy", "error": error})
        if api == "google.live":
            # It has no event for errors: the provider closes a session that is not set up.
            return msgspec.json.encode({"error": {"code": STATUS, "message": message, "status": "PERMISSION_DENIED"}})
        event = {"type": "error", "status": _FINAL, "error": error}
        if "stream_id" in asked:
            event["stream_id"] = asked["stream_id"]
        return msgspec.json.encode(event)


def _code(reason: int | str) -> str:
    return _CODES.get(reason, _CODE) if isinstance(reason, str) else _CODE


def _filled(value: Any, words: dict[str, str]) -> Any:
    if isinstance(value, dict):
        return {name: _filled(member, words) for name, member in value.items()}
    if isinstance(value, list):
        return [_filled(member, words) for member in value]
    return words.get(value, value) if isinstance(value, str) else value
