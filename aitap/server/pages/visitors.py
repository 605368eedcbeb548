"""Who looks at a page: whoever signed in, shows a key with the request, or is at this machine and needs none."""

from __future__ import annotations

import dataclasses
import secrets
from hashlib import sha256
from typing import TYPE_CHECKING

from aitap.server.pages.forms import TOKEN, Tokens
from aitap.server.pages.visits import LONGEST_SECONDS, Visits
from aitap.server.problems import Problem
from aitap.storage.keys import key_digest

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from aitap.server.callers import Caller, Callers

__all__ = ["Visitor", "Visitors", "drop_visit", "set_door", "set_visit"]

_VISIT = "aitap_visit"
_DOOR = "aitap_door"
_BY_ADDRESS = "no visit"


@dataclasses.dataclass(frozen=True, slots=True)
class Visitor:
    """Somebody who may look."""

    caller: Caller
    token: str
    """For the forms of one page."""
    signed_in: bool
    """Whether there is a visit to be ended."""


class Visitors:
    """Tells visitors by their cookie, else as the REST API tells its callers."""

    def __init__(self, callers: Callers) -> None:
        self._callers = callers
        self._visits = Visits()
        self._tokens = Tokens()

    async def of(self, request: Request) -> Visitor:
        """Who asks. Raises :class:`Problem` (401) where nobody vouches for them: then they may sign in."""
        address = request.client.host if request.client else ""
        if (number := request.cookies.get(_VISIT)) and (digest := self._visits.key_digest(number)):
            caller = self._callers.with_digest(digest, address)
            if caller is not None:
                return Visitor(caller, self._tokens.make(_anchor(request)), signed_in=True)
            self._visits.end(number)
        caller = await self._callers.of(request)
        return Visitor(caller, self._tokens.make(_anchor(request)), signed_in=False)

    def check(self, request: Request, form: dict[str, str]) -> None:
        """Raises :class:`Problem` where a form does not come from a page of ours that this visitor was given."""
        if request.headers.get("sec-fetch-site") not in (None, "none", "same-origin") or not self._tokens.holds(
            form[TOKEN], _anchor(request)
        ):
            raise Problem(403, "This form is not valid any more.", "Go back, load the page anew and try again.")

    def door(self, request: Request) -> tuple[str, str]:
        """Before anybody is signed in: the cookie's value and the token for the form."""
        value = request.cookies.get(_DOOR) or secrets.token_urlsafe(16)
        return value, self._tokens.make(f"{_DOOR} {value}")

    async def sign_in(self, request: Request, form: dict[str, str], key: str) -> str:
        """Begin a visit of who has this key; gives the cookie's value. Raises :class:`Problem`."""
        door = request.cookies.get(_DOOR, "")
        if request.headers.get("sec-fetch-site") not in (None, "none", "same-origin") or not (
            door and self._tokens.holds(form[TOKEN], f"{_DOOR} {door}")
        ):
            raise Problem(
                403, "This form is not valid any more.", "Your browser must take cookies from here. Try again."
            )
        await self._callers.with_key(key, request.client.host if request.client else "")
        if old := request.cookies.get(_VISIT):
            self._visits.end(old)
        return self._visits.begin(key_digest(key))

    def sign_out(self, request: Request) -> None:
        """End the visit."""
        if number := request.cookies.get(_VISIT):
            self._visits.end(number)


def _anchor(request: Request) -> str:
    """What is the same for all pages of one visitor and unknown to others."""
    number = request.cookies.get(_VISIT)
    return sha256(number.encode("utf-8", "surrogatepass")).hexdigest() if number else _BY_ADDRESS


def set_door(response: Response, request: Request, value: str) -> None:
    """Keep the value of :meth:`Visitors.door` in the browser."""
    _set(response, request, _DOOR, value, 3600)


def set_visit(response: Response, request: Request, value: str) -> None:
    """Keep the value of :meth:`Visitors.sign_in` in the browser."""
    _set(response, request, _VISIT, value, int(LONGEST_SECONDS))


def drop_visit(response: Response) -> None:
    """Have the browser forget."""
    response.delete_cookie(_VISIT, path="/", httponly=True, samesite="lax")


def _set(response: Response, request: Request, name: str, value: str, seconds: int) -> None:
    # Behind a reverse proxy with TLS the cookie is for TLS alone. Whoever says so without being one harms themselves.
    secure = request.url.scheme == "https" or request.headers.get("x-forwarded-proto", "").lower() == "https"
    response.set_cookie(name, value, max_age=seconds, path="/", httponly=True, samesite="lax", secure=secure)
