"""Responses in background, of which several exchanges tell (see :mod:`aitap.capture.background`): each counts once.

The record of who fetched an answer has an id that follows from the response, so it is stored once whoever fetches,
how often and by which proxy. Here it meets the record of who asked: what that has told already is not told again,
and a call that told no tokens at its time does not stay one of which nobody knows what it cost.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from aitap.storage import daily
from aitap.storage.database import rows_of
from aitap.storage.fields import json_text
from aitap.storage.memory import response_digest
from aitap.storage.spans import newest_first

if TYPE_CHECKING:
    from collections.abc import Sequence

    from peewee import Database

    from aitap.record import Interception

__all__ = ["Answers"]

_TELLER = (
    "SELECT i.metadata FROM aibridge_token_usages t JOIN aibridge_interceptions i ON i.id = t.interception_id "
    "WHERE {span}t.provider_response_id = ? AND i.provider_name = ?"
)
_ASKER = (
    "SELECT CAST(i.id AS TEXT), i.model, i.purpose, i.client_session_id, i.metadata "
    "FROM aitap_histories h JOIN aibridge_interceptions i ON i.id = h.interception_id "
    "WHERE h.digest = ? AND h.initiator_id = ? AND i.ended_at IS NOT NULL"
)
_CALLS = "SELECT provider_item_id, provider_tool_call_id FROM aibridge_tool_usages WHERE interception_id = ?"
_THOUGHTS = "SELECT count(*) FROM aibridge_model_thoughts WHERE interception_id = ?"
_OF_AGENTS = ("agent", "agent_id", "agent_type", "parent_thread")


class _Asker(msgspec.Struct):
    """The record of who asked, and what it has told."""

    id: str
    model: str
    purpose: Any
    session: str | None
    metadata: dict[str, Any]
    calls: set[tuple[str | None, str | None]]
    thoughts: int


class Answers:
    """Looks after such records, batch by batch, in the transaction that stores them."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.told: set[str] = set()
        """Of the last batch: fetched answers that were told before. They are not stored."""
        self.touched: list[str] = []
        """Stored interceptions that the last batch changed."""

    def settle(self, records: Sequence[Interception]) -> None:
        """Have each response told of once. The same may be done again."""
        self.told, self.touched = set(), []
        concerned = [record for record in records if record.lineage.answer_id]
        askers = {r.lineage.background: r for r in concerned if r.ended_at is not None and not _is_fetched(r)}
        for record in concerned:
            if _is_fetched(record):
                self._fetched(record, askers.get(record.lineage.background))
            else:
                self._asked(record)

    def _asked(self, record: Interception) -> None:
        """Who fetched it may have been stored first: then it told all."""
        answer = record.lineage.answer_id
        if rows_of(self._database, "SELECT 1 FROM aibridge_interceptions WHERE id = ?", (answer,)):
            record.token_usages, record.tool_usages, record.model_thoughts = [], [], []
            record.metadata = {**record.metadata, "answer_id": answer}

    def _fetched(self, record: Interception, beside: Interception | None) -> None:
        if beside is not None and beside.initiator_id == record.initiator_id:
            if beside.token_usages:
                self.told.add(record.id)
                return
            beside.metadata = {**beside.metadata, "answer_id": record.id}
            calls = {(call.provider_item_id, call.provider_tool_call_id) for call in beside.tool_usages}
            _continue(
                record,
                _Asker(
                    *(beside.id, beside.model, beside.purpose, beside.client_session_id, beside.metadata),
                    *(calls, len(beside.model_thoughts)),
                ),
            )
        elif self._is_told(record):
            self.told.add(record.id)
        elif asker := self._asker(record):
            _continue(record, asker)
            self._tell(asker, record.id)

    def _is_told(self, record: Interception) -> bool:
        """Whether somebody stayed until the response ended."""
        names = (record.lineage.background, record.provider_name)
        spans = newest_first(self._database, "aibridge_token_usages", "t")
        found = (row for span in spans for row in rows_of(self._database, _TELLER.format(span=span), names))
        # What was not made in background has its id from another time: some use theirs again.
        return any(_marks(metadata).get("background") for (metadata,) in found)

    def _asker(self, record: Interception) -> _Asker | None:
        digest = response_digest(record.lineage.background or "")
        for own_id, model, purpose, session, metadata in rows_of(self._database, _ASKER, (digest, record.initiator_id)):
            if not (marks := _marks(metadata)).get("background"):
                continue
            calls = {(item, call) for item, call in rows_of(self._database, _CALLS, (own_id,))}
            [(thoughts,)] = rows_of(self._database, _THOUGHTS, (own_id,))
            return _Asker(own_id, model, purpose, session, marks, calls, thoughts)
        return None

    def _tell(self, asker: _Asker, answer: str) -> None:
        """What who asked did not know has been told: the sums that count such calls count one less."""
        metadata = json_text({**asker.metadata, "answer_id": answer})
        daily.add_stored(self._database, [asker.id], times=-1)
        rows_of(self._database, "UPDATE aibridge_interceptions SET metadata = ? WHERE id = ?", (metadata, asker.id))
        daily.add_stored(self._database, [asker.id])
        self.touched.append(asker.id)


def _marks(metadata: Any) -> dict[str, Any]:
    """The metadata of a row, as the driver gives it."""
    found: dict[str, Any] = msgspec.json.decode(metadata) if isinstance(metadata, str) else metadata or {}
    return found


def _is_fetched(record: Interception) -> bool:
    return record.id == record.lineage.answer_id


def _continue(record: Interception, asker: _Asker) -> None:
    """Make a fetched answer that of who asked: under the name that was asked for, and without what is told already."""
    if record.metadata.get("answer_of") == asker.id:
        return  # a batch that is tried again
    record.model, record.purpose = asker.model or record.model, asker.purpose
    record.client_session_id = record.client_session_id or asker.session
    marks = {name: asker.metadata[name] for name in _OF_AGENTS if name in asker.metadata}
    record.metadata = {**record.metadata, **marks, "answer_of": asker.id}
    record.tool_usages = [
        call for call in record.tool_usages if (call.provider_item_id, call.provider_tool_call_id) not in asker.calls
    ]
    record.model_thoughts = record.model_thoughts[asker.thoughts :]
