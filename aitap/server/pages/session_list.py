"""The list of sessions: filtered, searched, sorted, a page at a time."""

from __future__ import annotations

import base64
import binascii
import hashlib
from typing import TYPE_CHECKING

import msgspec

from aitap.server.answers import whose
from aitap.server.pages.asking import Asked, View
from aitap.server.pages.filtering import DAYS, page_filter, selects
from aitap.server.problems import invalid_parameters
from aitap.storage.search import KEYS
from aitap.storage.session_lists import SORTS, Cursor, SessionPage, read_cursor, session_page
from aitap.storage.text_matching import words_of

if TYPE_CHECKING:
    from typing import Any

    from peewee import Database

__all__ = ["PARAMETERS", "cursor_text", "session_list", "sessions_asked_for"]

PARAMETERS = (*KEYS, *DAYS, "text", "sort", "order", "after", "live")

PAGE = 50

TIMES = {"": "Any time", "24h": "Last 24 hours", "7d": "Last 7 days", "30d": "Last 30 days", "90d": "Last 90 days"}


def session_list(database: Database, asked: Asked) -> View:
    """``GET /sessions``."""
    page = sessions_asked_for(database, asked, asked.parameters.get("after"), PAGE)
    parameters = asked.parameters
    first = "after" not in parameters
    times = dict(TIMES)
    if (chosen := parameters.get("started_after", "")) not in times:
        times[chosen] = f"Since {chosen[:32]}"
    values = {
        "sessions": page.sessions,
        "searched": page.searched,
        "words": words_of(parameters.get("text", "")),
        "next": asked.link(after=cursor_text(page.after)) if page.after else None,
        "is_first": first,
        "sort": parameters.get("sort", "active"),
        "order": parameters.get("order", "desc"),
        "selects": selects(database, asked),
        "times": times,
        "is_live": first and "text" not in parameters and parameters.get("live") != "off",
        "is_filtered": any(name in parameters for name in (*KEYS, *DAYS, "text")),
        # What has a field of its own, and what is carried along.
        "carried": {
            name: parameters[name]
            for name in ("provider_name", "session_id", "started_before", "sort", "order", "live")
            if name in parameters
        },
    }
    return View("sessions.html", values, whose(page.sessions), _mark(page))


def sessions_asked_for(
    database: Database, asked: Asked, after: str | None, limit: int, *, seconds: float | None = None
) -> SessionPage:
    """The sessions that the parameters mean, after a cursor. Raises :class:`aitap.server.problems.Problem`."""
    parameters = asked.parameters
    sort, order = parameters.get("sort", "active"), parameters.get("order", "desc")
    if sort not in SORTS:
        raise invalid_parameters({"sort": f"choose one of {', '.join(SORTS)}"})
    if order not in ("asc", "desc"):
        raise invalid_parameters({"order": "choose asc or desc"})
    bound = {} if seconds is None else {"seconds": seconds}
    return session_page(
        database,
        page_filter(database, asked),
        sort=sort,
        descending=order == "desc",
        limit=limit,
        after=None if after is None else _cursor(after, sort),
        words=words_of(parameters.get("text", "")),
        **bound,
    )


def cursor_text(cursor: Cursor) -> str:
    """A cursor as it stands in an address."""
    return base64.urlsafe_b64encode(msgspec.json.encode(cursor)).decode().rstrip("=")


def _cursor(text: str, sort: str) -> Cursor:
    try:
        data = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        return read_cursor(data.decode(), sort)
    except (ValueError, binascii.Error):
        raise invalid_parameters({"after": "this is no place in this list: begin at its first page"}) from None


def _mark(page: SessionPage) -> str:
    """Another one as soon as any row of the page is another."""
    told: list[Any] = [
        (one["id"], one["initiator"], one["interceptions"], one["last_active_at"], one["ended_at"], one["cost_micros"])
        for one in page.sessions
    ]
    return hashlib.blake2b(msgspec.json.encode(told), digest_size=12).hexdigest()
