"""Which of some sessions have a prompt or a tool call with all of some words: found by whichever way is quicker.

What was said in one session lies here and there; what was said at one time lies together, as ids begin with the time.
So of many sessions of about one time all texts between their first and their last id are read, whoever wrote them, and
a session is looked at for itself only where one was found. Nothing is taken for granted of ids: the first and the last
of each session are asked for, and where too much of others lies between, each session is looked at for itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from peewee import SqliteDatabase

from aitap.storage.database import among, question_marks, rows_of, slices
from aitap.storage.text_matching import like_condition, like_values

if TYPE_CHECKING:
    from collections.abc import Sequence

    from peewee import Database

__all__ = ["sessions_in_question", "texts_found"]

_AT_ONCE = 100
_FEW = 500
"""Of so many calls with such a text their sessions are asked for; of more, most sessions have one."""
_TIMES = 2
"""Reading so many texts side by side, and knowing where to begin and end, costs less than looking one up."""

# The order of a CROSS JOIN is kept: SQLite would begin with all prompts there are.
_FOUND = (
    "SELECT i.session_id, i.initiator_id, max({text}) FROM aibridge_interceptions i CROSS JOIN {table} c "
    "WHERE c.interception_id = i.id AND i.session_id IN {those} AND {condition} GROUP BY i.session_id, i.initiator_id"
)
# PostgreSQL would too, as it thinks that hardly any has a long word; what has an OFFSET it does for itself.
_OF_ONE = "LATERAL (SELECT * FROM {table} WHERE interception_id = i.id OFFSET 0)"
_TEXTS = (("aibridge_user_prompts", "c.prompt"), ("aibridge_tool_usages", "c.tool || ' ' || c.input"))

# As text: PostgreSQL before 18 knows no least UUID. In any language digits come before letters.
_SPANS = (
    "SELECT session_id, min(CAST(id AS TEXT)), max(CAST(id AS TEXT)), count(*) FROM aibridge_interceptions "
    "WHERE session_id IN {those} GROUP BY session_id"
)
_WITHIN = "SELECT count(*) FROM (SELECT 1 FROM aibridge_interceptions WHERE id BETWEEN ? AND ? LIMIT ?) AS these"
_CALLS = (
    "SELECT DISTINCT c.interception_id FROM {table} c WHERE c.interception_id BETWEEN ? AND ? AND {condition} LIMIT ?"
)
_THEIRS = "SELECT DISTINCT session_id FROM aibridge_interceptions WHERE id {those}"


class _Span(NamedTuple):
    """The ids between which a session's interceptions lie, and how many it has."""

    session_id: str
    first: str
    last: str
    calls: int


def texts_found(database: Database, session_ids: Sequence[str], words: Sequence[str]) -> dict[tuple[str, str], str]:
    """A text with all words, by session id and initiator, of each of these sessions that has one.

    It is a prompt where a tool call has them too.
    """
    found: dict[tuple[str, str], str] = {}
    for some in slices(session_ids, _AT_ONCE):
        for table, text in reversed(_TEXTS):
            sql = _FOUND.format(
                table=table if isinstance(database, SqliteDatabase) else _OF_ONE.format(table=table),
                text=text,
                those=question_marks(len(some)),
                condition=like_condition(database, text, len(words)),
            )
            for session_id, initiator_id, excerpt in rows_of(database, sql, (*some, *like_values(words))):
                found[session_id, str(initiator_id)] = excerpt
    return found


def sessions_in_question(database: Database, session_ids: Sequence[str], words: Sequence[str]) -> set[str] | None:
    """Those of these sessions that may have a text with all words: all that have one, and some more.

    None where finding that out would not be quicker than to look at each.
    """
    spans: list[_Span] = []
    for some in slices(list(dict.fromkeys(session_ids)), _AT_ONCE):
        spans += (_Span(*row) for row in rows_of(database, _SPANS.format(those=question_marks(len(some))), some))
    near = _near(database, spans)
    if not near:
        return None if spans else set()
    calls = _calls_found(database, near, words)
    if len(calls) >= _FEW:
        return set(session_ids)
    found = {span.session_id for span in spans} - {span.session_id for span in near}
    for some in slices(calls, _AT_ONCE):
        those, parameters = among(database, some)
        found.update(str(row[0]) for row in rows_of(database, _THEIRS.format(those=those), parameters))
    return found


def _near(database: Database, spans: list[_Span]) -> list[_Span]:
    """Those of the sessions among whose interceptions not too many of others lie; none where that is so of most."""
    # Some that were taken up again after a long time shall not spoil it for all others.
    begun_last = sorted(spans, key=lambda span: span.first)[len(spans) // 4 :]
    ended_first = sorted(begun_last, key=lambda span: span.last)[: -(len(begun_last) // 4) or None]
    for some in (spans, begun_last, ended_first):
        most = _TIMES * sum(span.calls for span in some)
        if some and rows_of(database, _WITHIN, (*_ends(some), most + 1))[0][0] <= most:
            return some
    return []


def _calls_found(database: Database, spans: list[_Span], words: Sequence[str]) -> list[str]:
    """Ids of the interceptions from the first to the last of these that have such a text, all where they are few."""
    found: list[str] = []
    for table, text in _TEXTS:
        sql = _CALLS.format(table=table, condition=like_condition(database, text, len(words)))
        found += (str(row[0]) for row in rows_of(database, sql, (*_ends(spans), *like_values(words), _FEW)))
        if len(found) >= _FEW:
            break
    return found


def _ends(spans: list[_Span]) -> tuple[str, str]:
    return min(span.first for span in spans), max(span.last for span in spans)
