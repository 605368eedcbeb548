"""What was answered and what tools gave back, for a page of steps, where contents were kept.

A result comes with the request that follows its call, so those of a page are looked for in the requests of the page
and of the step after it. Chains of messages are not read whole, as conversations are long: only from a
request back to the answer before it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from aitap.storage.database import question_marks, rows_of, slices

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from peewee import Database

__all__ = ["StepContents", "step_contents"]

_MESSAGES = "SELECT digest, parent_digest, role, content FROM aitap_messages WHERE digest IN "
_AT_ONCE = 500
_DEEPEST = 40
"""Messages between two answers. More results than that were never sent at once."""

Part = dict[str, Any]


class StepContents(msgspec.Struct):
    """What was kept of some steps."""

    answers: dict[str, list[str]]
    """Texts of the answer by the interception's id."""
    results: dict[str, Part]
    """Results by the id of the tool call: parts of :mod:`aitap.capture.turns`."""


def step_contents(database: Database, records: Sequence[dict[str, Any]]) -> StepContents:
    """The answers of these interceptions, and the results that their requests carry."""
    found = StepContents({}, {})
    answers = {record["response_digest"]: record["id"] for record in records if record["response_digest"]}
    for digest, _, _, parts in _messages(database, answers):
        texts = [str(part.get("text", "")) for part in parts if part.get("type") == "text"]
        if texts:
            found.answers[answers[digest]] = texts
    waiting = {record["request_digest"] for record in records if record["request_digest"]}
    seen: set[str] = set()
    for _ in range(_DEEPEST):
        if not waiting:
            break
        seen |= waiting
        before = set()
        for _, parent, role, parts in _messages(database, waiting):
            results = [part for part in parts if part.get("type") == "tool_result"]
            for part in results:
                found.results.setdefault(str(part.get("id")), part)
            if parent and role != "assistant":
                before.add(parent)
        waiting = before - seen
    return found


def _messages(database: Database, digests: Iterable[str]) -> Iterable[tuple[str, str | None, str, list[Part]]]:
    wanted = list(digests)
    for some in slices(wanted, _AT_ONCE):
        for digest, parent, role, content in rows_of(database, _MESSAGES + question_marks(len(some)), some):
            yield digest, parent, role, _parts(content)


def _parts(content: str) -> list[Part]:
    try:
        parts = msgspec.json.decode(content)
    except msgspec.DecodeError:
        return [{"type": "text", "text": content}]
    return [part for part in parts if isinstance(part, dict)] if isinstance(parts, list) else []
