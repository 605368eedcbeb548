"""``GET /audit``: what `aitap audit list` tells, to admins: auditors are who it is about."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from aitap.server.answers import Answer, Question
from aitap.server.parameters import page_of
from aitap.server.problems import Problem, invalid_parameters
from aitap.server.shapes import user
from aitap.storage.administration import ACTIONS
from aitap.storage.audit import READ, CursorError, Readings, list_readings
from aitap.storage.search import SearchError, parse_moment, resolve_initiator

if TYPE_CHECKING:
    from collections.abc import Mapping

    from peewee import Database

    from aitap.server.callers import Caller

__all__ = ["KINDS", "audit", "entries_asked_for"]

KINDS = (READ, *dict.fromkeys(action.partition(".")[0] for action in ACTIONS))
"""What can be asked for beside a single act: readings, and acts of one kind."""


def audit(database: Database, question: Question) -> Answer:
    """The newest first, as long as the setting ``audit_retention`` keeps them."""
    if question.caller.role != "admin":
        raise Problem(403, "The audit is for admins.", "Ask one of them, or use `aitap audit list` where it runs.")
    page = page_of(question.parameters, "after_id")
    found = entries_asked_for(database, question.caller, question.parameters, page.limit, page.cursor)
    return Answer({"results": [_entry(one) for one in found]})


def entries_asked_for(
    database: Database, caller: Caller, values: Mapping[str, str], limit: int, after: str | None
) -> list[dict[str, Any]]:
    """The lines that parameters mean, after a cursor. Raises :class:`Problem`."""
    wrong: dict[str, str] = {}

    def read(name: str, reading: Any) -> Any:
        try:
            return reading(values[name]) if values.get(name) else None
        except (SearchError, ValueError) as error:
            wrong[name] = error.detail if isinstance(error, SearchError) else str(error)

    now = datetime.now(UTC)
    wanted = Readings(
        **{f"{name}_id": read(name, lambda who: _person(database, caller, who)) for name in ("reader", "subject")},
        **{name: read(name, lambda text: parse_moment(text, now)) for name in ("read_after", "read_before")},
        action=read("action", _action),
    )
    if wrong:
        raise invalid_parameters(wrong)
    try:
        return list_readings(database, wanted, limit=limit, after_id=after)
    except CursorError as error:
        raise Problem(400, "Query parameter has invalid value.", str(error)) from None


def _person(database: Database, caller: Caller, who: str) -> str:
    return resolve_initiator(database, who, lambda: caller.me)


def _action(text: str) -> str:
    if text not in (*KINDS, *ACTIONS):
        raise ValueError(f"write {', '.join(KINDS)}, or an act such as {ACTIONS[0]}")
    return text


def _entry(row: dict[str, Any]) -> dict[str, Any]:
    people = {"reader": user(row["reader"]), "subject": None if row["subject"] is None else user(row["subject"])}
    return {name: value for name, value in row.items() if name not in ("reader_id", "subject_id")} | people
