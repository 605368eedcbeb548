"""Responses that a provider makes in background: one exchange asks for it, others fetch what has become of it.

OpenAI's ``background: true``: the POST is answered at once, ``queued`` and without usage; what was said and what it
cost is told to whoever asks for the response by its id, again and again (``GET /v1/responses/{id}``), streams it or
cancels it. Each response is told of once: by who asked for it and stayed to its end, else by who fetched it first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aitap.capture.own_ids import answer_id_of
from aitap.capture.their_ids import kept_id

if TYPE_CHECKING:
    from aitap.capture.facts import ResponseFacts
    from aitap.record import Interception

__all__ = ["Told"]

_MOST = 16_384


class Told:
    """Remembers which responses in background this process has told of; bounded. The database knows the others."""

    def __init__(self) -> None:
        self._ids: dict[str, None] = {}

    def note(self, record: Interception, facts: ResponseFacts) -> bool:
        """Mark the record of an exchange as one of a response in background, where that is so.

        Whether it is the first that says how the response ended.
        """
        if facts.background is None or not facts.response_id:
            return False
        response = kept_id(facts.response_id)
        own_id = answer_id_of(record.provider_name, response, facts.background)
        record.metadata["background"] = True
        record.lineage.background, record.lineage.answer_id = response, own_id
        if not facts.settled or own_id in self._ids:
            return False
        self._ids[own_id] = None
        if len(self._ids) > _MOST:
            del self._ids[next(iter(self._ids))]
        return True
