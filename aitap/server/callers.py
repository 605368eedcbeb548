"""Who asks, and what they may see.

A proxy key says who, as ``Coder-Session-Token``, as ``Authorization: Bearer`` or as the password of ``Basic``;
never in a URL. Where no key is asked for (on loopback, see :mod:`aitap.server.listening`), who shows none is the
person this process runs for, who could read the database anyway. That holds for requests of this machine's own
programs alone: one that names another host, came through a proxy or was sent by another site's page needs a key.
"""

from __future__ import annotations

import dataclasses
import ipaddress
import logging
import time
from typing import TYPE_CHECKING

from aitap.access.authentication.backoff import Backoff
from aitap.access.authentication.credentials import LONGEST, Credentials, read_header
from aitap.access.authentication.proxy_keys import ProxyKeys
from aitap.access.authentication.sources import Grant, Refusal
from aitap.access.identity import Identity, local_identity
from aitap.server.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Iterator

    from starlette.requests import Request

    from aitap.access.authentication.directory import Directory
    from aitap.storage.users import Role

__all__ = ["TOKEN_HEADER", "Caller", "Callers"]

logger = logging.getLogger(__name__)

TOKEN_HEADER = "Coder-Session-Token"  # noqa: S105 - a header's name
_CHALLENGE = 'Bearer realm="aitap"'
_FORWARDED = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-real-ip", "via")
_OWN_SITE = {None, "none", "same-origin"}
_REASONS = {
    "wrong": "Nobody has this key.",
    "expired": "This key has expired.",
    "revoked": "This key was revoked.",
    "backoff": "Too many wrong keys came from this address.",
}


@dataclasses.dataclass(frozen=True, slots=True)
class Caller:
    """Somebody who may ask."""

    identity: Identity
    role: Role
    address: str
    """Where the request came from; empty where that is not known."""

    @property
    def me(self) -> tuple[str, str]:
        """Id and username."""
        return self.identity.user_id, self.identity.username

    @property
    def sees_all(self) -> bool:
        """Whether records of others may be shown."""
        return self.role in ("auditor", "admin")


class Callers:
    """Tells callers by what their requests show."""

    def __init__(self, directory: Directory, *, keys_needed: bool) -> None:
        self._directory = directory
        self._keys = ProxyKeys(directory)
        self._keys_needed = keys_needed
        self._backoff = Backoff()

    async def of(self, request: Request) -> Caller:
        """Who sends this request. Raises :class:`Problem` (401) where nobody vouches for them."""
        address = request.client.host if request.client else ""
        shown = list(_shown(request))
        if not shown:
            if self._keys_needed or not _from_this_machine(request):
                raise _unauthorized(f"Send a proxy key as {TOKEN_HEADER}; `aitap keys create` makes one.")
            return Caller(local_identity(), "admin", address)
        if None in shown or len({credentials.mark for credentials in shown if credentials}) != 1:
            raise _unauthorized("The credentials cannot be read, or contradict each other.")
        return await self._granted(shown[0], address)

    async def with_key(self, key: str, address: str) -> Caller:
        """Who has this key. Raises :class:`Problem` (401) where nobody has, or too many wrong ones came from here."""
        return await self._granted(Credentials("", key) if key and len(key) <= LONGEST else None, address)

    def with_digest(self, digest: str, address: str) -> Caller | None:
        """Who has the key of this digest, while it is good; for who showed the key itself before."""
        key = self._directory.keys.get(digest)
        if key is None or (key.expires_at is not None and key.expires_at <= time.time()):
            return None
        return Caller(Identity(key.user_id, key.username, "key", key.id), self._role(key.user_id), address)

    async def _granted(self, credentials: Credentials | None, address: str) -> Caller:
        answer = await self._answer(credentials, address)
        if isinstance(answer, Refusal):
            raise _unauthorized(_REASONS.get(answer.reason, ""), retry_after=answer.retry_after)
        return Caller(answer.identity, self._role(answer.identity.user_id), address)

    def _role(self, user_id: str) -> Role:
        role = self._directory.roles.get(user_id)
        if role == "admin":
            return "admin"
        return "auditor" if role == "auditor" else "user"

    async def _answer(self, credentials: Credentials | None, address: str) -> Grant | Refusal:
        if credentials is None:
            return Refusal("wrong")
        answer = self._keys.known(credentials)
        if answer is None:
            if (wait := self._backoff.wait(address)) > 0:
                return Refusal("backoff", int(wait) + 1)
            if self._keys.can_look_up(credentials):
                answer = await self._keys.look_up(credentials)
        if not isinstance(answer, Grant):
            self._backoff.mistake(address)
            logger.warning("aitap: a wrong key from %s", address or "an unknown address")
        return Refusal("wrong") if answer is None else answer


def _unauthorized(detail: str, *, retry_after: int = 0) -> Problem:
    headers = {"WWW-Authenticate": _CHALLENGE}
    if retry_after:
        headers["Retry-After"] = str(retry_after)
    message = "You are signed out or your session has expired. Please sign in again to continue."
    return Problem(401, message, detail, headers=headers)


def _shown(request: Request) -> Iterator[Credentials | None]:
    """What the request shows of itself, however it does; None where that cannot be read."""
    tokens = {value.strip() for value in request.headers.getlist(TOKEN_HEADER)}
    for token in tokens:
        yield Credentials("", token) if token and len(token) <= LONGEST else None
    if values := [value.encode("latin-1") for value in request.headers.getlist("authorization")]:
        found = read_header(values)
        # Any name goes with a key, so the same key with and without one is no contradiction.
        yield None if found is None else Credentials("", found.secret)


def _from_this_machine(request: Request) -> bool:
    """Whether a program of this machine asks for itself, as far as the request tells.

    A page of another site can have a name of its own resolve to 127.0.0.1 (DNS rebinding), and a reverse proxy
    makes everybody's requests come from here.
    """
    headers = request.headers
    return (
        _names_loopback(headers.get("host", ""))
        and not any(name in headers for name in _FORWARDED)
        and headers.get("sec-fetch-site") in _OWN_SITE
        and request.client is not None
        and _names_loopback(request.client.host)
    )


def _names_loopback(host: str) -> bool:
    name = host.rpartition("]")[0].removeprefix("[") if host.startswith("[") else host
    if name.count(":") == 1:
        name = name.partition(":")[0]
    if name.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
