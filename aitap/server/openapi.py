"""The OpenAPI 3.1 document: the table of endpoints in the words of that standard."""

from __future__ import annotations

from typing import Any

from aitap import __version__
from aitap.server.callers import TOKEN_HEADER
from aitap.server.endpoints import CERTIFICATE, ENDPOINTS, HEALTH, OPENAPI, PREFIXES, Endpoint
from aitap.server.parameters import LARGEST_OFFSET, LARGEST_PAGE, LONGEST, MOST_THREADS, PAGE, THREADS
from aitap.server.schemas import SCHEMAS, ref
from aitap.storage.audit import READ
from aitap.storage.usage import BY

__all__ = ["document"]

Json = dict[str, Any]

_TEXT: Json = {"type": "string", "maxLength": LONGEST}
_MOMENT = "RFC 3339, such as 2026-01-31T09:00:00Z, or an age, such as 24h or 7d. Inclusive."
_PARAMETERS: dict[str, tuple[Json, str]] = {
    "q": (_TEXT, 'A search: key:value between spaces, values with spaces or colons in double quotes. "" is no filter.'),
    "initiator": (_TEXT, "A username, a user's id, or me."),
    "provider": (_TEXT, "The type of provider, such as anthropic."),
    "provider_name": (_TEXT, "One provider of a type, such as together."),
    "model": (_TEXT, "The model, as it was asked for."),
    "client": (_TEXT, "The client, such as Claude Code; Unknown for none."),
    "session_id": (_TEXT, "The session."),
    "started_after": (_TEXT, f"Not before this: {_MOMENT}"),
    "started_before": (_TEXT, f"Not after this: {_MOMENT}"),
    "limit": (
        {"type": "integer", "minimum": 1, "maximum": LARGEST_PAGE, "default": PAGE},
        "The most that one answer has.",
    ),
    "offset": (
        {"type": "integer", "minimum": 0, "maximum": LARGEST_OFFSET, "default": 0},
        "How many to leave out. A cursor costs less, and misses nothing that comes meanwhile.",
    ),
    "after_id": ({"type": "string", "format": "uuid"}, "Go on after this one, the last of the page before."),
    "before_id": ({"type": "string", "format": "uuid"}, "The page that ends before this one."),
    "by": (
        _TEXT | {"default": "model"},
        f"What to tell apart, with commas between: {', '.join(BY)}. Days, weeks (ISO 8601), months, years are UTC's.",
    ),
    "format": ({"enum": ["json", "csv"], "default": "json"}, "csv is without the line for all."),
    "reader": (_TEXT, "Who was shown records or changed something: a username, a user's id, or me."),
    "subject": (_TEXT, "Whose records were shown, or to whom it was done."),
    "action": (_TEXT, f"{READ}, an act such as key.create, or all acts of a kind, such as key."),
    "read_after": (_TEXT, f"Not before this: {_MOMENT}"),
    "read_before": (_TEXT, f"Not after this: {_MOMENT}"),
    "after_session_id": (_TEXT, "Go on after this session, the last of the page before."),
}
_THREADS_LIMIT: Json = {"type": "integer", "minimum": 1, "maximum": MOST_THREADS, "default": THREADS}
_REASONS = {
    400: "The question cannot be understood.",
    403: "It is not for the caller.",
    404: "There is none, or none that the caller may see.",
}


def document() -> Json:
    """The document, ready for JSON."""
    paths: Json = {}
    for prefix in PREFIXES:
        older = prefix != PREFIXES[0]
        for endpoint in ENDPOINTS:
            paths[prefix + endpoint.path] = {"get": _operation(endpoint, prefix, older=older)}
        paths[prefix + CERTIFICATE] = {"get": _certificate(prefix, older=older)}
    paths[HEALTH] = {"get": _open("health", "Whether the database answers", _json("Health", "It does."), 503)}
    paths[OPENAPI] = {"get": _open("openapi", "This document", _content("application/json", {"type": "object"}, "It."))}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "aitap",
            "version": __version__,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": paths,
        "components": {
            "schemas": SCHEMAS,
            "securitySchemes": {
                "token": {"type": "apiKey", "in": "header", "name": TOKEN_HEADER},
                "bearer": {"type": "http", "scheme": "bearer"},
                "basic": {"type": "http", "scheme": "basic", "description": "The key is the password."},
            },
        },
        "security": [{"token": []}, {"bearer": []}, {"basic": []}],
    }


def _operation(endpoint: Endpoint, prefix: str, *, older: bool) -> Json:
    parameters = [_parameter(name, endpoint) for name in endpoint.parameters]
    if "{session_id}" in endpoint.path:
        about = "A session's id, or the id of one of its interceptions."
        parameters.insert(
            0, {"name": "session_id", "in": "path", "required": True, "schema": _TEXT, "description": about}
        )
    ok = _json(endpoint.schema, endpoint.summary)
    if endpoint.csv:
        ok["content"]["text/csv"] = {"schema": {"type": "string"}}
    found = {
        "operationId": _id(endpoint.path, prefix),
        "summary": endpoint.summary,
        "parameters": parameters,
        "responses": {
            "200": ok,
            **{str(status): _json("Error", _REASONS[status]) for status in endpoint.errors},
            "401": _json("Error", "No key, or one that is not good."),
            "503": _json("Error", "The database does not answer, or not in time."),
        },
    }
    return found | ({"deprecated": True} if older else {})


def _parameter(name: str, endpoint: Endpoint) -> Json:
    schema, about = _PARAMETERS[name]
    if name == "limit" and endpoint.schema == "SessionThreads":
        schema = _THREADS_LIMIT
    return {"name": name, "in": "query", "schema": schema, "description": about}


def _certificate(prefix: str, *, older: bool) -> Json:
    found = _open(
        _id(CERTIFICATE, prefix),
        "The CA that clients of the proxy trust",
        _content("application/x-pem-file", {"type": "string"}, "The certificate, as PEM."),
        404,
    )
    return found | ({"deprecated": True} if older else {})


def _open(name: str, summary: str, ok: Json, *errors: int) -> Json:
    """An operation that needs no key."""
    schema = "Health" if errors == (503,) else "Error"
    wrong = {str(status): _json(schema, "It is not there.") for status in errors}
    return {"operationId": name, "summary": summary, "security": [], "responses": {"200": ok} | wrong}


def _json(schema: str, about: str) -> Json:
    return _content("application/json", ref(schema), about)


def _content(kind: str, schema: Json, about: str) -> Json:
    return {"description": about, "content": {kind: {"schema": schema}}}


def _id(path: str, prefix: str) -> str:
    words = [word for word in path.replace("{session_id}", "one").replace(".", "-").split("/") if word]
    return "-".join([prefix.rpartition("/")[2], *words])
