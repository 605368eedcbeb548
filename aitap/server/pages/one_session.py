"""One session as a time line: its threads, of each the steps, sub-agents where they began.

A page shows so many steps and no more; what is left is a link to a page of its own, which a browser with our script
puts in its place. So a session of ten thousand interceptions opens as fast as one of ten.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from aitap.server.answers import whose
from aitap.server.filters import own_or
from aitap.server.pages.asking import Asked, View
from aitap.server.pages.words import address
from aitap.server.problems import invalid_parameters, not_found
from aitap.storage.search import SearchError
from aitap.storage.session_page import find_sessions
from aitap.storage.session_story import Outline, Thread, find_steps, outline, steps, thread_sums
from aitap.storage.step_contents import step_contents
from aitap.storage.text_matching import words_of

if TYPE_CHECKING:
    from peewee import Database

__all__ = ["PARAMETERS", "PATH", "one_session"]

PATH = "/session"
PARAMETERS = ("id", "of", "thread", "own", "after", "find")

_STEPS = 60
"""Steps on one page."""
_THREADS = 50
"""Heads of threads on one page."""
_DEEPEST = 4
_OWN = "calls"

Record = dict[str, Any]


@dataclasses.dataclass(slots=True)
class Piece:
    """A thread as far as it is on the page."""

    thread: Thread
    depth: int
    items: list[str | Piece]
    """Ids of steps, and sub-agents between them."""
    address: str
    """Where the whole of it is."""
    more: str | None = None
    """Where it goes on."""
    left: int = 0
    """How many steps are there."""
    last: str | None = None
    """Where its last steps are, when that is another page."""

    @property
    def is_open(self) -> bool:
        """Whether its steps are here; else they are at its address."""
        return bool(self.items)


def one_session(database: Database, asked: Asked) -> View:
    """``GET /session``: all of it, one of its threads, the client's own calls, or what a search finds."""
    session = _session(database, asked)
    key = {"id": session["id"], "of": session["initiator"]["id"]}
    found = outline(database, session)
    after = asked.parameters.get("after")
    values: Record = {"session": session, "here": key, "outline": found, "find": asked.parameters.get("find", "")}
    if words := words_of(asked.parameters.get("find", "")):
        values |= _search(database, asked, session, found, words)
    elif "own" in asked.parameters:
        ids, more, left = _slice(found.auxiliary, after, asked)
        values |= {"kind": "own", "ids": ids, "more": more, "left": left}
    elif (root := asked.parameters.get("thread")) is not None:
        thread = found.threads.get(root)
        if thread is None:
            raise not_found("This session has no such thread.")
        values |= {"kind": "thread", "piece": _piece(thread, key, 0, [_STEPS], after), "is_start": after is None}
    else:
        values |= {"kind": "all"} | _threads(found, key, after, asked)
    pieces = _all_pieces([*values.get("pieces", ()), *filter(None, [values.get("piece")])])
    ids = [*values.get("ids", ()), *(item for piece in pieces for item in piece.items if isinstance(item, str))]
    records = steps(database, ids)
    # The head of a thread stands where it begins.
    told = [piece.thread for piece in pieces if piece.depth or values.get("is_start", True)]
    values |= {
        "steps": {record["id"]: record for record in records},
        "contents": step_contents(database, [*records, *steps(database, _following(pieces))]),
        "sums": thread_sums(database, session, told) if told else {},
    }
    return View("session.html", values, whose([session]))


def _session(database: Database, asked: Asked) -> Record:
    text, whose_session = asked.parameters.get("id", ""), asked.parameters.get("of")
    try:
        owner = own_or(database, asked.caller, whose_session)
    except SearchError:
        raise not_found("There is no such session.") from None
    found = find_sessions(database, text, owner) if text else []
    if not found:
        raise not_found("There is no such session.")
    if len(found) > 1:
        raise invalid_parameters({"of": "several users have a session of this id: say whose"})
    return found[0]


def _threads(found: Outline, key: Record, after: str | None, asked: Asked) -> Record:
    roots = [thread.root for thread in found.top]
    begin = roots.index(after) + 1 if after in roots else 0
    if after is not None and not begin:
        raise invalid_parameters({"after": "no such thread"})
    page = found.top[begin : begin + _THREADS]
    budget = [_STEPS]
    pieces = [_piece(thread, key, 0, budget) for thread in page]
    left = len(found.top) - begin - len(page)
    return {
        "pieces": pieces,
        "more": asked.link(after=page[-1].root) if left else None,
        "left": left,
        "begin": begin,
        "own": address(PATH, {**key, "own": _OWN}) if found.auxiliary and not left else None,
    }


def _piece(thread: Thread, key: Record, depth: int, budget: list[int], after: str | None = None) -> Piece:
    """The steps after ``after`` that the budget, which they use up, still has place for."""
    where = address(PATH, {**key, "thread": thread.root})
    begin = 0
    if after is not None:
        if after not in thread.members:
            raise invalid_parameters({"after": "no such step"})
        begin = thread.members.index(after) + 1
    end = min(len(thread.members), begin + max(0, budget[0]))
    piece = Piece(thread, depth, [], where)
    if begin >= end or depth > _DEEPEST:
        return piece
    budget[0] -= end - begin
    waiting = list(thread.subagents)
    if begin:
        waiting = [agent for agent in waiting if agent.started_at >= thread.starts[begin]]
    for own_id, started_at in zip(thread.members[begin:end], thread.starts[begin:end], strict=True):
        # A sub-agent stands where it began, between the calls of the one that waits for it.
        while waiting and waiting[0].started_at < started_at:
            piece.items.append(_piece(waiting.pop(0), key, depth + 1, budget))
        piece.items.append(own_id)
    if end == len(thread.members):
        piece.items += [_piece(agent, key, depth + 1, budget) for agent in waiting]
    else:
        next_start = thread.starts[end]
        piece.items += [_piece(agent, key, depth + 1, budget) for agent in waiting if agent.started_at < next_start]
        piece.left = len(thread.members) - end
        piece.more = address(PATH, {**key, "thread": thread.root, "after": thread.members[end - 1]})
        if piece.left > _STEPS:
            piece.last = address(PATH, {**key, "thread": thread.root, "after": thread.members[-_STEPS - 1]})
    return piece


def _all_pieces(pieces: list[Piece]) -> list[Piece]:
    found = []
    for piece in pieces:
        found.append(piece)
        found += _all_pieces([item for item in piece.items if isinstance(item, Piece)])
    return found


def _following(pieces: list[Piece]) -> list[str]:
    """The step after the last one shown of each thread: it carries what the tools of that one gave back."""
    return [piece.thread.members[-piece.left] for piece in pieces if piece.left and piece.is_open]


def _search(database: Database, asked: Asked, session: Record, found: Outline, words: list[str]) -> Record:
    ids = find_steps(database, session, words, limit=_STEPS + 1, after_id=asked.parameters.get("after"))
    more = len(ids) > _STEPS
    ids = ids[:_STEPS]
    known = {own_id: thread for thread in found.threads.values() for own_id in thread.members}
    key = {"id": session["id"], "of": session["initiator"]["id"]}
    return {
        "kind": "find",
        "ids": ids,
        "more": asked.link(after=ids[-1]) if more else None,
        "left": 0,
        "places": {own_id: address(PATH, {**key, "thread": known[own_id].root}) for own_id in ids if own_id in known},
    }


def _slice(ids: list[str], after: str | None, asked: Asked) -> tuple[list[str], str | None, int]:
    if after is not None and after not in ids:
        raise invalid_parameters({"after": "no such call"})
    begin = 0 if after is None else ids.index(after) + 1
    page = ids[begin : begin + _STEPS]
    left = len(ids) - begin - len(page)
    return page, asked.link(after=page[-1]) if left else None, left
