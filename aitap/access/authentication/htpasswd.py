"""People of a file of Apache's ``htpasswd``: name and password, as ``HTTPS_PROXY`` and SOCKS5 have a place for them.

A password is checked in a thread, for that takes a tenth of a second, and then known by a keyed hash. The
file is read anew when it changes; who is no longer in it, or has another password, is out within a second.
A file that is away or broken for a moment, as while it is being written, leaves in force what was read.
"""

from __future__ import annotations

import logging
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from aitap.access.authentication.directory import Person
from aitap.access.authentication.password_hashes import can_check, matches
from aitap.access.authentication.remembered import Remembered
from aitap.access.authentication.sources import Answer, Grant, Reason, Refusal
from aitap.access.identity import Identity, user_id
from aitap.settings import SettingsError

if TYPE_CHECKING:
    import asyncio
    from pathlib import Path

    from aitap.access.authentication.credentials import Credentials
    from aitap.access.authentication.directory import Directory

__all__ = ["Htpasswd"]

logger = logging.getLogger(__name__)

WRONG_FOR = 30.0
"""Seconds for which a wrong password is known to be one."""

LOOK_EVERY = 1.0
"""Seconds between two looks at the file's date."""

_SIZE = 10_000


class Htpasswd:
    """A :class:`aitap.access.authentication.sources.Source`."""

    def __init__(self, path: Path, directory: Directory, loop: asyncio.AbstractEventLoop) -> None:
        """Raises :class:`aitap.settings.SettingsError` where the file cannot be used."""
        self._path = path.expanduser()
        self._directory = directory
        self._loop = loop
        self._threads = ThreadPoolExecutor(4, "aitap htpasswd")
        self._right: Remembered[bytes, Grant] = Remembered(_SIZE)
        self._wrong: Remembered[bytes, None] = Remembered(_SIZE)
        self._stamp: tuple[int, int, int] | None = None
        self._looked = time.monotonic()
        try:
            self._stamp = self._stamped()
            self._hashes = _read(self._path)
        except OSError as error:
            raise SettingsError(f"htpasswd = {str(path)!r}: {error.strerror or error}") from None
        except (ValueError, UnicodeDecodeError) as error:
            raise SettingsError(f"htpasswd = {str(path)!r}: {error}") from None

    def known(self, credentials: Credentials) -> Answer | None:
        """Whoever was let in before, with the password that is in the file still."""
        found = self._right.get(credentials.mark)
        if found is not None:
            reason = self.withdrawn(found[0])
            if reason is None:
                return found[0]
            self._right.drop(credentials.mark)
        return None

    def can_look_up(self, credentials: Credentials) -> bool:
        """Whether the user is in the file, and this was not found wrong a moment ago."""
        self._follow()
        wrong = self._wrong.get(credentials.mark)
        return credentials.user in self._hashes and (wrong is None or wrong[1] > WRONG_FOR)

    async def look_up(self, credentials: Credentials) -> Answer | None:
        """Check the password."""
        stored = self._hashes.get(credentials.user)
        if stored is None:
            return None
        if not await self._loop.run_in_executor(self._threads, matches, stored, credentials.secret):
            self._wrong.put(credentials.mark, None)
            return Refusal("wrong")
        own_id = self._directory.ids.get(credentials.user) or user_id(credentials.user)
        if own_id in self._directory.removed:
            return Refusal("revoked")
        await self._directory.enrol(Person(own_id, credentials.user, "htpasswd"))
        grant = Grant(Identity(own_id, credentials.user, "htpasswd"), self, handle=(credentials.user, stored))
        self._right.put(credentials.mark, grant)
        return grant

    def withdrawn(self, grant: Grant) -> Reason | None:
        """Gone from the file, another password, or removed among our own users."""
        self._follow()
        name, stored = grant.handle
        gone = self._hashes.get(name) != stored or grant.identity.user_id in self._directory.removed
        return "revoked" if gone else None

    def close(self) -> None:
        """The proxy ends."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _follow(self) -> None:
        now = time.monotonic()
        if now - self._looked < LOOK_EVERY:
            return
        self._looked = now
        try:
            stamp = self._stamped()
            if stamp == self._stamp:
                return
            self._hashes, self._stamp = _read(self._path), stamp
            self._wrong.clear()
            logger.info("aitap: %s was read anew", self._path)
        except (OSError, ValueError) as error:
            if self._stamp is not None:
                self._stamp = None
                logger.warning("aitap: %s: %s; what was read before stays in force", self._path, error)

    def _stamped(self) -> tuple[int, int, int]:
        status = self._path.stat()
        return status.st_mtime_ns, status.st_size, status.st_ino


def _read(path: Path) -> dict[str, str]:
    """Hash by user. Raises ``ValueError`` with a line's number, never with what stands there."""
    hashes = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        user, colon, stored = text.partition(":")
        stored = stored.partition(":")[0]
        if not colon or not user:
            raise ValueError(f"line {number} is not user:hash")
        if not can_check(stored):
            raise ValueError(
                f"line {number}: the password of {user!r} is stored in a way that cannot be checked; "
                "set it anew with `htpasswd -B`"
            )
        hashes[user] = stored
    return hashes
