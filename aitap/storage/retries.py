"""Requests that repeat, byte for byte, one that failed by way of another proxy, or before a restart.

Who records a request knows what failed at its own hands (:mod:`aitap.capture.retries`); a client whose connection broke
comes back by any proxy there is. So what failed is remembered in the database, by a digest of sender and bytes, until
it is answered: a retry points at what it repeats, and its prompt is that one's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aitap.record import RETRIED_WITHIN
from aitap.storage.database import execute_many, question_marks, rows_of, slices
from aitap.storage.fields import parse_timestamp, timestamp_text
from aitap.storage.lineage import REMEMBER
from aitap.storage.recent import Recent

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from peewee import Database

    from aitap.record import Interception

__all__ = ["Retries"]

_FAILED = (
    "SELECT h.digest, CAST(h.initiator_id AS TEXT), CAST(i.id AS TEXT), i.started_at, h.created_at "
    "FROM aitap_histories h JOIN aibridge_interceptions i ON i.id = h.interception_id WHERE h.digest IN "
)
_FORGET = "DELETE FROM aitap_histories WHERE digest = ? AND initiator_id = ?"
_SAID_ALREADY = "DELETE FROM aibridge_user_prompts WHERE interception_id = ?"
_UNANSWERED = ("failed", "cancelled", "interrupted")
_AT_ONCE = 500
_MOST_KNOWN = 10_000

Key = tuple[str, str]
"""Digest of a request, initiator id."""


class Retries:
    """Looks after retries, batch by batch, in the transaction that stores them.

    ``find`` comes before the rows of a batch are written, ``write`` after it. Both may be done again.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._found: Recent[str, str] = Recent(_MOST_KNOWN)
        """What was found here of records that repeat something: the same is true of their ends."""

    def find(self, records: Sequence[Interception]) -> None:
        """Have each record that repeats a failed request say so, and name the newest such."""
        asked: dict[str, list[Interception]] = {}
        for record in records:
            if record.lineage.request:
                if known := self._found.get(record.id):
                    _repeat(record, known)
                else:
                    asked.setdefault(record.lineage.request, []).append(record)
        for some in slices(list(asked), _AT_ONCE):
            for digest, initiator, failed, started_at, failed_at in rows_of(
                self._database, _FAILED + question_marks(len(some)), some
            ):
                began, until = (parse_timestamp(at).timestamp() for at in (started_at, failed_at))
                for record in asked[digest]:
                    if (
                        record.initiator_id == initiator
                        and record.id != failed
                        and failed > (record.retry_of or "")  # ids are in order of time
                        and began <= record.started_at <= until + RETRIED_WITHIN
                    ):
                        _repeat(record, failed)
                        self._found[record.id] = failed

    def write(self, records: Iterable[Interception]) -> None:
        """Remember which of these failed, forget what was answered."""
        ended = [record for record in records if record.ended_at is not None and record.lineage.request]
        failed: dict[Key, tuple[str, ...]] = {}
        answered: set[Key] = set()
        for record in sorted(ended, key=lambda record: record.started_at):
            key = record.lineage.request or "", record.initiator_id
            if record.outcome in _UNANSWERED:
                failed[key] = (*key, record.id, timestamp_text(record.ended_at or 0.0))
                answered.discard(key)
            elif record.retry_of is not None:
                answered.add(key)
                failed.pop(key, None)
        execute_many(self._database, REMEMBER, list(failed.values()))
        execute_many(self._database, _FORGET, sorted(answered))
        # Where what failed was stored only after this one had begun, the prompt is there.
        again = [(record.id,) for record in ended if self._found.get(record.id)]
        execute_many(self._database, _SAID_ALREADY, again)


def _repeat(record: Interception, failed: str) -> None:
    record.retry_of = failed
    if record.user_prompts and record.purpose == "conversation":
        record.user_prompts, record.last_prompt_at = [], None
        record.metadata = {**record.metadata, "prompt_of": failed}
