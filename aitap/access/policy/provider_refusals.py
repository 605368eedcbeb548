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

_PLACE = "$message"


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
    """Knows how each dialect says no."""

    def __init__(self) -> None:
        table = tomllib.loads(resources.files("aitap.access.policy").joinpath("data/refusals.toml").read_text("utf-8"))
        self._rows = msgspec.convert(table["refusal"], list[_Row])
        self._bodies = [msgspec.json.decode(row.body) for row in self._rows]

    def answer(self, api: str, provider_name: str, message: str, rule: int) -> Refusal:
        """The refusal of a call in this dialect (a name of ``providers.toml``) to this provider."""
        row, body = next(
            (row, body)
            for row, body in zip(self._rows, self._bodies, strict=True)
            if (not row.apis or api in row.apis) and (not row.providers or provider_name in row.providers)
        )
        headers = {"content-type": "application/json", HEADER: f"rule {rule}" if rule else "denied"}
        # The official SDKs of Anthropic and OpenAI obey this whatever the status is.
        headers["x-should-retry"] = "false"
        return Refusal(headers | row.headers, msgspec.json.encode(_filled(body, message)))

    def event(self, api: str, frame: bytes, message: str) -> bytes:
        """The ``error`` event that refuses what a client asks by ``frame`` of a WebSocket in this dialect."""
        error: dict[str, Any] = {
            "type": "permission_denied",
            "code": "policy_denied",
            "message": message,
            "param": None,
        }
        asked = as_dict(value_of(frame))
        if api == "openai.realtime":
            error["event_id"] = as_str(asked.get("event_id"))
            return msgspec.json.encode({"type": "error", "event_id": "event_policy", "error": error})
        event = {"type": "error", "status": _FINAL, "error": error}
        if "stream_id" in asked:
            event["stream_id"] = asked["stream_id"]
        return msgspec.json.encode(event)


def _filled(value: Any, message: str) -> Any:
    if isinstance(value, dict):
        return {name: _filled(member, message) for name, member in value.items()}
    return message if value == _PLACE else value
