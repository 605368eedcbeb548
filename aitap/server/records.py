"""The endpoints: what each answers to a question. They run in a thread of :mod:`aitap.server.workers`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aitap.server import shapes
from aitap.server.answers import Answer, Question, whose
from aitap.server.filters import own_or, values_of, wanted
from aitap.server.parameters import page_of, threads_limit, uuid_of
from aitap.server.problems import Problem, invalid_parameters, not_found
from aitap.storage import queries
from aitap.storage.search import SearchError
from aitap.storage.session_page import CursorError, find_sessions, session_token_usages, thread_page

if TYPE_CHECKING:
    from peewee import Database

    from aitap.storage.search import Kind

__all__ = ["clients", "interceptions", "models", "providers", "session", "sessions"]


def interceptions(database: Database, question: Question) -> Answer:
    """``GET /interceptions``: those that ended, the newest first."""
    page = page_of(question.parameters, "after_id")
    if page.cursor is not None and uuid_of(page.cursor) is None:
        raise invalid_parameters({"after_id": f"{page.cursor[:60]!r} is not a UUID"})
    found = wanted(database, question.caller, "interceptions", values_of("interceptions", question.parameters))
    with queries.snapshot(database):
        try:
            records = queries.list_interceptions(
                database, found, limit=page.limit, after_id=page.cursor, offset=page.offset
            )
        except queries.QueryError:
            raise _unknown_cursor("after_id", "interception", page.cursor) from None
        count = queries.count_interceptions(database, found)
    results = [shapes.interception(record) for record in records]
    return Answer({"count": count, "results": results}, whose(results))


def sessions(database: Database, question: Question) -> Answer:
    """``GET /sessions``: last active first."""
    page = page_of(question.parameters, "after_session_id")
    found = wanted(database, question.caller, "sessions", values_of("sessions", question.parameters))
    with queries.snapshot(database):
        try:
            records = queries.list_sessions(database, found, limit=page.limit, after_id=page.cursor, offset=page.offset)
        except queries.QueryError:
            raise _session_cursor(database, page.cursor, found.initiator_id) from None
        count = queries.count_sessions(database, found)
    results = [shapes.session(record) for record in records]
    return Answer({"count": count, "sessions": results}, whose(results))


def session(database: Database, question: Question) -> Answer:
    """``GET /sessions/{session_id}``: one session and a page of its threads."""
    parameters = question.parameters
    limit = threads_limit(parameters)
    cursors = {name: parameters[name] for name in ("after_id", "before_id") if name in parameters}
    if len(cursors) > 1:
        raise Problem(400, "Cannot use both after_id and before_id in the same request.")
    for name, value in cursors.items():
        if uuid_of(value) is None:
            raise Problem(400, f"Invalid {name} query parameter.")
    try:
        owner = own_or(database, question.caller, parameters.get("initiator"))
    except SearchError as error:
        raise invalid_parameters({error.field: error.detail}) from None
    text = question.path["session_id"]
    with queries.snapshot(database):
        found = [] if "\0" in text else find_sessions(database, text, owner)
        if not found:
            raise not_found("Session not found.")
        if len(found) > 1:
            raise invalid_parameters({"initiator": f'several users have a session "{text}": say whose'})
        try:
            threads = thread_page(
                database, found[0], limit=limit, **{name: uuid_of(value) for name, value in cursors.items()}
            )
        except CursorError:
            raise Problem(400, "Invalid pagination cursor.") from None
        usages = session_token_usages(database, found[0])
    return Answer(shapes.session_detail(found[0], threads, usages), whose(found))


def models(database: Database, question: Question) -> Answer:
    """``GET /models``: the names of the models that were asked for."""
    return _values(database, question, "models", "model", queries.distinct_models)


def clients(database: Database, question: Question) -> Answer:
    """``GET /clients``: the names of the clients that called; ``Unknown`` stands for those without one."""
    return _values(database, question, "clients", "client", queries.distinct_clients)


def providers(database: Database, question: Question) -> Answer:
    """``GET /providers``: the names of the providers called, of which there may be several of one type."""
    return _values(database, question, "provider_names", "provider_name", queries.distinct_provider_names)


def _values(database: Database, question: Question, kind: Kind, field: str, ask: Any) -> Answer:
    page = page_of(question.parameters, None)
    values = values_of(kind, question.parameters)
    # A beginning here, a whole value everywhere else.
    prefix = values.pop(field, None)
    found = ask(database, wanted(database, question.caller, kind, values), prefix=prefix)
    return Answer(found[page.offset : page.offset + page.limit])


def _unknown_cursor(name: str, thing: str, value: str | None) -> Problem:
    return Problem(400, "Query parameter has invalid value.", f'{name}: {thing} "{value}" not found')


def _session_cursor(database: Database, cursor: str | None, owner: str | None) -> Problem:
    if cursor is not None and len(find_sessions(database, cursor, owner)) > 1:
        return Problem(
            400,
            "Query parameter has invalid value.",
            f'after_session_id: several users have a session "{cursor}": go on with offset, or say whose (initiator)',
        )
    return _unknown_cursor("after_session_id", "session", cursor)
