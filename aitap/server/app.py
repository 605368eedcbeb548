"""The ASGI application: routes, who may ask, what is kept of it, and what every response says of itself.

Each question is read here and answered in a worker thread: the endpoint's answer, the note of whose records were
read, the JSON and its compression. An answer whose note cannot be kept is not given.
"""

from __future__ import annotations

import contextlib
import functools
import logging
from typing import TYPE_CHECKING, Any

import peewee
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from aitap.certs.authority import PUBLIC, certificates
from aitap.server.answers import Answer, Question, json_response, packed
from aitap.server.callers import Callers
from aitap.server.endpoints import CERTIFICATE, ENDPOINTS, HEALTH, OPENAPI, PREFIXES
from aitap.server.headers import Headers
from aitap.server.openapi import document
from aitap.server.pages.routes import page_routes, problem_page
from aitap.server.parameters import read_parameters
from aitap.server.problems import Problem
from aitap.server.workers import TooLongError
from aitap.storage.audit import Reader, note_reading
from aitap.storage.database import rows_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from peewee import Database
    from starlette.requests import Request
    from starlette.types import ASGIApp

    from aitap.access.authentication.directory import Directory
    from aitap.server.endpoints import Endpoint
    from aitap.server.workers import Workers

__all__ = ["make_app"]

logger = logging.getLogger(__name__)

_MESSAGES = {404: "Route not found.", 405: "Method not allowed."}


def make_app(workers: Workers, directory: Directory, *, keys_needed: bool, confdir: Path) -> ASGIApp:
    """The application. It starts the directory with the event loop, and stops it and the workers at the end."""
    callers = Callers(directory, keys_needed=keys_needed)

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        directory.start()
        try:
            yield
        finally:
            directory.stop()
            workers.close()

    routes = [
        Route(HEALTH, functools.partial(_health, workers), methods=["GET"]),
        Route(OPENAPI, functools.partial(_openapi, document()), methods=["GET"]),
    ]
    for prefix in PREFIXES:
        routes.append(Route(prefix + CERTIFICATE, functools.partial(_certificate, confdir), methods=["GET"]))
        for endpoint in ENDPOINTS:
            # Clients choose the ids of sessions: a slash in one is as good as any other character.
            path = prefix + endpoint.path.replace("{session_id}", "{session_id:path}")
            routes.append(Route(path, functools.partial(_endpoint, endpoint, callers, workers), methods=["GET"]))
    routes += page_routes(callers, functools.partial(_asked, workers))
    handlers: Any = {Problem: _refusal, HTTPException: _http_error, Exception: _failure}
    app = Starlette(routes=routes, exception_handlers=handlers, lifespan=lifespan)
    app.router.redirect_slashes = False
    return Headers(app)


async def _endpoint(endpoint: Endpoint, callers: Callers, workers: Workers, request: Request) -> Response:
    caller = await callers.of(request)
    parameters = read_parameters(request.scope["query_string"], endpoint.parameters)
    question = Question(caller, parameters, dict(request.path_params))
    reader = Reader(
        user_id=caller.identity.user_id,
        api_key_id=caller.identity.api_key_id,
        address=caller.address,
        path=_raw_path(request),
        query=request.scope["query_string"].decode("latin-1"),
    )
    accepts_gzip = "gzip" in request.headers.get("accept-encoding", "")

    def ask(reading: Database, writing: Database) -> tuple[bytes, bool, str]:
        answer: Answer = endpoint.answer(reading, question)
        note_reading(writing, reader, answer.subjects)
        return *packed(answer.body, accepts_gzip=accepts_gzip), answer.media_type

    data, is_packed, media_type = await _asked(workers, ask)
    return json_response(data, is_packed=is_packed, media_type=media_type)


async def _asked(workers: Workers, ask: Any) -> Any:
    """What a worker gives. Trouble of the database is a :class:`Problem`."""
    try:
        return await workers.run(ask)
    except TooLongError:
        raise Problem(503, "The question takes too long.", "Narrow it with started_after, or ask for less.") from None
    except peewee.PeeweeException as error:
        logger.warning("aitap: a question cannot be answered: %s", " ".join(str(error).split())[:300])
        raise Problem(503, "The database does not answer.", headers={"Retry-After": "5"}) from None


async def _health(workers: Workers, _: Request) -> Response:
    try:
        await _asked(workers, lambda reading, _: rows_of(reading, "SELECT 1"))
    except Problem:
        return json_response({"status": "unavailable"}, 503)
    return json_response({"status": "ok"})


async def _openapi(found: dict[str, Any], _: Request) -> Response:
    return json_response(found)


async def _certificate(confdir: Path, _: Request) -> Response:
    """The first certificate of the file that clients trust; never a key."""
    try:
        ders = certificates(confdir.expanduser().joinpath(PUBLIC).read_bytes())
    except OSError:
        ders = []
    if not ders:
        raise Problem(404, "There is no CA certificate here.", "`aitap ca init` on this machine makes one.")
    from ssl import DER_cert_to_PEM_cert  # noqa: PLC0415 - asked for seldom

    headers = {"Content-Disposition": 'attachment; filename="ca-cert.pem"'}
    return PlainTextResponse(DER_cert_to_PEM_cert(ders[0]), headers=headers, media_type="application/x-pem-file")


async def _refusal(_: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)  # noqa: S101 - registered for it
    return json_response(error.body, error.status, error.headers)


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for it
    if "text/html" in request.headers.get("accept", "") and not request.url.path.startswith("/api/"):
        problem = Problem(error.status_code, "There is no such page.", headers=dict(error.headers or {}))
        return problem_page(request, problem)
    return json_response({"message": _MESSAGES.get(error.status_code, error.detail)}, error.status_code, error.headers)


async def _failure(_: Request, error: Exception) -> Response:
    logger.error("aitap: a request failed", exc_info=error)
    return json_response({"message": "Internal error."}, 500)


def _raw_path(request: Request) -> str:
    raw = request.scope.get("raw_path")
    return raw.decode("latin-1") if raw else ""
