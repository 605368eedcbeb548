"""People of a Coder deployment: a session token of theirs is as good as a proxy key.

``GET /api/v2/users/me`` with the header ``Coder-Session-Token`` tells whose a token is (Coder's REST API:
``id``, ``username``, ``name``, ``email``, ``avatar_url``, ``status``). It is asked in a thread and rarely:
answers are kept by a keyed hash of the token. While the deployment cannot be reached, whoever was verified
lately goes on for a grace time; anybody else is refused. Our own keys are never sent there.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import logging
import re
import ssl
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from aitap.access.authentication.credentials import Credentials
from aitap.access.authentication.directory import Person
from aitap.access.authentication.proxy_keys import PREFIX
from aitap.access.authentication.remembered import Remembered
from aitap.access.authentication.sources import Answer, Grant, Reason, Refusal
from aitap.access.gate.listeners import is_loopback
from aitap.access.identity import Identity
from aitap.settings import SettingsError

if TYPE_CHECKING:
    from aitap.access.authentication.directory import Directory

__all__ = ["Coder"]

logger = logging.getLogger(__name__)

FRESH = 60.0
"""Seconds for which an answer of the deployment is taken as it was."""

GRACE = 900.0
"""Seconds since its last good answer for which a token is good while the deployment cannot be reached."""

WRONG_FOR = 30.0
"""Seconds for which a token that was refused is not asked about again."""

TIMEOUT = 10.0
_LONGEST = 64 * 1024
_SIZE = 50_000

_TOKEN = re.compile(r"[!-~]{8,4096}")
# Coder: the part before the dash is the id of the token, which its own records carry as api_key_id.
_KEY_ID = re.compile(r"([A-Za-z0-9]{10})-[A-Za-z0-9]{22}")
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class _UnreachableError(Exception):
    """The deployment gave no answer that says anything about the token."""


class _Verified(NamedTuple):
    grant: Grant
    token: str  # in memory alone, to ask again


class Coder:
    """A :class:`aitap.access.authentication.sources.Source`."""

    def __init__(self, url: str, directory: Directory, loop: asyncio.AbstractEventLoop, extra_ca: str = "") -> None:
        """Raises :class:`aitap.settings.SettingsError` where tokens could not be sent there safely."""
        address = urlsplit(url)
        self._host = address.hostname or ""
        self._port = address.port
        self._path = f"{address.path.rstrip('/')}/api/v2/users/me"
        self._tls: ssl.SSLContext | None = None
        if address.scheme == "https":
            self._tls = ssl.create_default_context()
            if extra_ca:
                try:
                    self._tls.load_verify_locations(extra_ca)
                except OSError as error:  # ssl.SSLError is one
                    raise SettingsError(f"upstream_ca = {extra_ca!r}: {error.strerror or error}") from None
        elif not is_loopback(self._host):
            raise SettingsError(f"coder_url = {url!r}: write https://, for tokens are sent there")
        self._directory = directory
        self._loop = loop
        self._threads = ThreadPoolExecutor(8, "aitap coder")
        self._right: Remembered[bytes, _Verified] = Remembered(_SIZE)
        self._wrong: Remembered[bytes, None] = Remembered(_SIZE)
        self._asking: dict[bytes, asyncio.Task[None]] = {}
        self._away = False

    def known(self, credentials: Credentials) -> Answer | None:
        """Whoever was verified lately."""
        found = self._right.get(credentials.mark)
        if found is None or found[1] > FRESH:
            return None
        return Refusal("revoked") if self._removed(found[0].grant) else found[0].grant

    def can_look_up(self, credentials: Credentials) -> bool:
        """Whether this can be a token and was not refused a moment ago."""
        secret = credentials.secret
        if secret.startswith(PREFIX) or not _TOKEN.fullmatch(secret):
            return False
        wrong = self._wrong.get(credentials.mark)
        return wrong is None or wrong[1] > WRONG_FOR

    async def look_up(self, credentials: Credentials) -> Answer | None:
        """Ask the deployment."""
        mark = credentials.mark
        try:
            person = await self._loop.run_in_executor(self._threads, self._ask, credentials.secret)
        except _UnreachableError as error:
            self._say_away(error)
            found = self._right.get(mark)
            if found is not None and found[1] <= GRACE and not self._removed(found[0].grant):
                return found[0].grant
            return Refusal("unreachable", 5)
        if self._away:
            self._away = False
            logger.warning("aitap: Coder answers again")
        if person is None:
            self._right.drop(mark)
            self._wrong.put(mark, None)
            return Refusal("wrong")
        before = self._right.get(mark)
        identity = _identity(person, credentials.secret)
        if before is not None and before[0].grant.identity == identity:
            grant = before[0].grant
        else:
            await self._directory.enrol(
                Person(
                    identity.user_id,
                    identity.username,
                    "coder",
                    person.get("name") or None,
                    person.get("email") or None,
                    person.get("avatar_url") or None,
                )
            )
            grant = Grant(identity, self, handle=mark)
        if self._removed(grant):
            return Refusal("revoked")
        self._right.put(mark, _Verified(grant, credentials.secret))
        return grant

    def withdrawn(self, grant: Grant) -> Reason | None:
        """Refused by the deployment since, too long without its word, or removed among our own users."""
        found = self._right.get(grant.handle)
        if found is None or self._removed(grant):
            return "revoked"
        verified, age = found
        if age > FRESH and grant.handle not in self._asking:
            # An open connection shows its token no more: it is asked about in its place.
            task = self._loop.create_task(self._ask_again(grant.handle, verified.token))
            self._asking[grant.handle] = task
        return "unreachable" if age > GRACE else None

    def close(self) -> None:
        """The proxy ends."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _ask_again(self, mark: bytes, token: str) -> None:
        try:
            await self.look_up(Credentials("", token, mark))
            if self._away:
                await asyncio.sleep(5)  # no storm while it is away
        finally:
            del self._asking[mark]

    def _removed(self, grant: Grant) -> bool:
        return grant.identity.user_id in self._directory.removed

    def _say_away(self, error: _UnreachableError) -> None:
        if not self._away:
            self._away = True
            logger.warning("aitap: Coder does not answer: %s; tokens verified lately stay good for a while", error)

    def _ask(self, token: str) -> dict[str, Any] | None:
        """Who has this token; None for nobody. In a thread. Raises ``_UnreachableError``; its text has no token."""
        connection = (
            http.client.HTTPSConnection(self._host, self._port, timeout=TIMEOUT, context=self._tls)
            if self._tls is not None
            else http.client.HTTPConnection(self._host, self._port, timeout=TIMEOUT)
        )
        try:
            connection.request("GET", self._path, headers={"Coder-Session-Token": token, "Accept": "application/json"})
            response = connection.getresponse()
            status, body = response.status, response.read(_LONGEST)
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise _UnreachableError(type(error).__name__ if isinstance(error, ValueError) else str(error)) from None
        finally:
            connection.close()
        if status in {401, 403}:
            return None
        if status != http.client.OK:
            raise _UnreachableError(f"status {status} for {self._path}")
        try:
            person = json.loads(body)
            if not _UUID.fullmatch(person["id"]) or not isinstance(person["username"], str) or not person["username"]:
                person = {}
        except (ValueError, TypeError, KeyError):
            person = {}
        if not person:
            raise _UnreachableError(f"no user in the answer to {self._path}") from None
        return None if person.get("status") == "suspended" else person


def _identity(person: dict[str, Any], token: str) -> Identity:
    key_id = _KEY_ID.fullmatch(token)
    return Identity(person["id"], person["username"], "coder", key_id[1] if key_id else None)
