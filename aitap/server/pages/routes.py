"""The routes of the pages: who asks, what is asked in a worker thread, what is kept of it, and the way it is answered.

A page is made in the thread that asks the database, and the note of whose records were read is kept before it is sent.
Trouble is told on a page, too. Who is not known is sent to where they can sign in, and comes back from there.
"""

from __future__ import annotations

import functools
import logging
from typing import TYPE_CHECKING, Any

from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from aitap.server.pages.asking import Asked, Moved, View
from aitap.server.pages.forms import read_form
from aitap.server.pages.rendering import asset_response, html_response, rendered
from aitap.server.pages.table import ACTIONS, DOWNLOADS, PAGES, Action, Download, Page
from aitap.server.pages.visitors import Visitor, Visitors, drop_visit, set_door, set_visit
from aitap.server.pages.words import address
from aitap.server.parameters import read_parameters
from aitap.server.problems import Problem, not_found
from aitap.storage.audit import Reader, note_reading
from aitap.storage.queries import snapshot

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from peewee import Database
    from starlette.requests import Request

    from aitap.server.callers import Callers
    from aitap.server.pages.downloads import Run

    Handler = Callable[[Request], Awaitable[Response]]

__all__ = ["SIGN_IN", "page_routes", "problem_page"]

logger = logging.getLogger(__name__)

SIGN_IN = "/login"
SIGN_OUT = "/logout"
_LONGEST_ADDRESS = 4096


def page_routes(callers: Callers, run: Run) -> list[Route]:
    """All routes. ``run`` asks the database in a worker thread and raises :class:`Problem`."""
    visitors = Visitors(callers)
    routes = [
        Route("/static/{mark}", _asset, methods=["GET"]),
        Route(SIGN_IN, _told(functools.partial(_door, visitors)), methods=["GET"]),
        Route(SIGN_IN, _told(functools.partial(_sign_in, visitors)), methods=["POST"]),
        Route(SIGN_OUT, _told(functools.partial(_sign_out, visitors)), methods=["POST"]),
    ]
    made: list[tuple[str, Any, str]] = [
        *((download.path, functools.partial(_download, download), "GET") for download in DOWNLOADS),
        *((page.path, functools.partial(_page, page), "GET") for page in PAGES),
        *((action.path, functools.partial(_action, action), "POST") for action in ACTIONS),
    ]
    routes += [
        Route(path, _told(functools.partial(handler, visitors, run)), methods=[method])
        for path, handler, method in made
    ]
    return routes


def problem_page(request: Request, problem: Problem) -> Response:
    """A page that says why the answer is no."""
    values = {**_common(None, request.url.path), "problem": problem}
    data, is_packed = rendered("problem.html", values, accepts_gzip=_accepts_gzip(request))
    return html_response(data, problem.status, problem.headers, is_packed=is_packed)


def _told(handler: Handler) -> Handler:
    """The same handler, whose problems are told on a page, or by way of signing in."""

    async def told(request: Request) -> Response:
        try:
            return await handler(request)
        except Problem as problem:
            if problem.status == 401 and request.url.path != SIGN_IN:
                if request.method not in ("GET", "HEAD"):
                    return RedirectResponse(SIGN_IN, 303)
                return RedirectResponse(_sign_in_address(request), 303)
            return problem_page(request, problem)

    return told


async def _asset(request: Request) -> Response:
    found = asset_response(request.path_params["mark"], accepts_gzip=_accepts_gzip(request))
    return found or problem_page(request, not_found("There is no such page."))


async def _page(page: Page, visitors: Visitors, run: Run, request: Request) -> Response:
    visitor = await _visitor(visitors, request, for_admins=page.for_admins)
    asked = _asked(visitor, request, read_parameters(request.scope["query_string"], page.parameters), {})
    reader = _reader(visitor, request)
    known, accepts_gzip = request.headers.get("if-none-match", ""), _accepts_gzip(request)

    def ask(reading: Database, writing: Database) -> tuple[View, tuple[bytes, bool]] | None:
        with snapshot(reading):
            view = page.view(reading, asked)
        if view.mark and known == f'"{view.mark}"':
            return None  # it is on the visitor's screen already: nothing is read once more
        note_reading(writing, reader, view.subjects)
        return view, _rendered(view, asked, accepts_gzip=accepts_gzip)

    answer = await run(ask)
    if answer is None:
        return Response(status_code=304)
    view, (data, is_packed) = answer
    mark = {"ETag": f'"{view.mark}"'} if view.mark else {}
    return html_response(data, view.status, mark, is_packed=is_packed)


async def _action(action: Action, visitors: Visitors, run: Run, request: Request) -> Response:
    visitor = await _visitor(visitors, request, for_admins=True)
    form = await read_form(request, action.fields)
    visitors.check(request, form)
    asked = _asked(visitor, request, {}, form)
    accepts_gzip = _accepts_gzip(request)

    def act(_: Database, writing: Database) -> Moved | tuple[View, tuple[bytes, bool]]:
        done = action.act(writing, asked)
        return done if isinstance(done, Moved) else (done, _rendered(done, asked, accepts_gzip=accepts_gzip))

    answer = await run(act)
    logger.info("aitap: %s by %s", request.url.path, visitor.caller.me[0])
    if isinstance(answer, Moved):
        return RedirectResponse(answer.address, 303)
    view, (data, is_packed) = answer
    return html_response(data, view.status, is_packed=is_packed)


async def _download(download: Download, visitors: Visitors, run: Run, request: Request) -> Response:
    visitor = await _visitor(visitors, request)
    parameters = read_parameters(request.scope["query_string"], download.parameters)
    # A download is of all pages.
    parameters.pop("after", None)
    return await download.make(run, _reader(visitor, request), _asked(visitor, request, parameters, {}))


async def _door(visitors: Visitors, request: Request) -> Response:
    value, token = visitors.door(request)
    response = _login_page(request, token, _safe_address(request.query_params.get("next", "")), "")
    set_door(response, request, value)
    return response


async def _sign_in(visitors: Visitors, request: Request) -> Response:
    form = await read_form(request, ("key", "next"))
    back = _safe_address(form["next"])
    try:
        number = await visitors.sign_in(request, form, form["key"].strip())
    except Problem as problem:
        value, token = visitors.door(request)
        response = _login_page(request, token, back, problem.detail or problem.message, problem)
        set_door(response, request, value)
        return response
    response = RedirectResponse(back, 303)
    set_visit(response, request, number)
    return response


async def _sign_out(visitors: Visitors, request: Request) -> Response:
    visitors.check(request, await read_form(request, ()))
    visitors.sign_out(request)
    response = RedirectResponse(SIGN_IN, 303)
    drop_visit(response)
    return response


def _login_page(request: Request, token: str, back: str, wrong: str, problem: Problem | None = None) -> Response:
    values = {**_common(None, SIGN_IN), "token": token, "next": back, "wrong": wrong}
    data, is_packed = rendered("login.html", values, accepts_gzip=_accepts_gzip(request))
    status = problem.status if problem else 200
    # A browser would ask for a password of its own if it were challenged.
    headers = {name: text for name, text in (problem.headers if problem else {}).items() if name != "WWW-Authenticate"}
    return html_response(data, status, headers, is_packed=is_packed)


async def _visitor(visitors: Visitors, request: Request, *, for_admins: bool = False) -> Visitor:
    visitor = await visitors.of(request)
    if for_admins and visitor.caller.role != "admin":
        raise Problem(403, "This page is for admins.", "Ask one of them, or use `aitap users role` where it runs.")
    return visitor


def _asked(visitor: Visitor, request: Request, parameters: dict[str, str], form: dict[str, str]) -> Asked:
    return Asked(
        visitor.caller,
        visitor.token,
        visitor.signed_in,
        request.url.path,
        parameters,
        dict(request.path_params),
        form,
    )


def _reader(visitor: Visitor, request: Request) -> Reader:
    raw = request.scope.get("raw_path")
    return Reader(
        user_id=visitor.caller.identity.user_id,
        api_key_id=visitor.caller.identity.api_key_id,
        address=visitor.caller.address,
        path=raw.decode("latin-1") if raw else "",
        query=request.scope["query_string"].decode("latin-1"),
    )


def _rendered(view: View, asked: Asked, *, accepts_gzip: bool) -> tuple[bytes, bool]:
    values = {**_common(asked, asked.path), **view.values, "mark": view.mark}
    return rendered(view.template, values, accepts_gzip=accepts_gzip)


def _common(asked: Asked | None, path: str) -> dict[str, Any]:
    """What every template may use."""
    return {"asked": asked, "place": path, "mark": ""}


def _sign_in_address(request: Request) -> str:
    query = request.scope["query_string"].decode("latin-1")
    target = request.url.path + (f"?{query}" if query else "")
    return address(SIGN_IN, {"next": target if target != "/" and len(target) <= _LONGEST_ADDRESS else ""})


def _safe_address(text: str) -> str:
    """An address on this server, else the first page."""
    plain = text.isascii() and text.isprintable() and "\\" not in text and len(text) <= _LONGEST_ADDRESS
    return text if plain and text.startswith("/") and not text.startswith("//") else "/"


def _accepts_gzip(request: Request) -> bool:
    return "gzip" in request.headers.get("accept-encoding", "")
