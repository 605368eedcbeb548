"""Users, keys and rules for hosts as the database has them, in memory and never more than seconds old.

Theory of operation. Lookups are made on the event loop and must not wait, so all there is to know is in
memory. A thread asks the database once a second whether its change counter moved, and reads all anew where
it did; the new snapshot is handed to the loop. Who misses something there calls :meth:`Directory.refresh`,
which brings the next question forward. While the database is away the last snapshot stays in force.

Others who follow the database, such as budgets, may have their questions asked in the same thread
(:meth:`Directory.follow`): a proxy that is idle then has one connection to it.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import threading
import time
from typing import TYPE_CHECKING, NamedTuple, Protocol

import peewee

from aitap.storage.database import AwayError, StorageError, open_database
from aitap.storage.directory import directory_version, read_directory
from aitap.storage.homes import home_of_database
from aitap.storage.users import ensure_user

if TYPE_CHECKING:
    from collections.abc import Callable

    from peewee import Database

    from aitap.storage.directory import Snapshot, UsableKey

__all__ = ["Directory", "Follower", "Person"]

logger = logging.getLogger(__name__)

POLL = 1.0
"""Seconds between two questions whether anything changed."""

PAUSE = 0.1
"""The fewest seconds between two questions, however many ask."""

PATIENCE = 3.0
"""Seconds that :meth:`Directory.refresh` waits for a database that does not answer."""

_REMEMBERED = 10_000


class Person(NamedTuple):
    """A user as another directory knows them; None where it does not say."""

    user_id: str
    username: str
    source: str
    name: str | None = None
    email: str | None = None
    avatar_url: str | None = None


class Follower(Protocol):
    """Somebody else who follows the database."""

    def poll(self, database: Database) -> Callable[[], None] | None:
        """Asked about once a second in the directory's thread; what is returned is called on the event loop.

        Errors may be Peewee's: then the database is away, and the question comes again.
        """
        ...


class Directory:
    """A snapshot that follows the database. Lookups are in memory; a thread reads what changed.

    Attributes are written on the event loop alone.
    """

    def __init__(self, database_url: str) -> None:
        self._url = database_url
        self.host_modes: dict[str, str] = {}
        """What the operator said of a host (lower-case name or ``*`` pattern): ``observe`` or ``decrypt``."""
        self.keys: dict[str, UsableKey] = {}
        """Keys that nobody revoked, by digest. Each may have expired."""
        self.users: dict[str, str] = {}
        """Usernames by id, without users who were removed."""
        self.ids: dict[str, str] = {}
        """The other way round."""
        self.roles: dict[str, str] = {}
        """Roles by id, of users who are more than a ``user``."""
        self.removed: frozenset[str] = frozenset()
        """Ids of users who were removed: nothing lets them in."""
        self.gone: dict[str, None] = {}
        """Digests of keys that were good once and were revoked since the proxy started."""
        self.on_change: list[Callable[[], None]] = []
        """Called on the event loop after each change."""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._wake = threading.Event()
        self._ended = False
        self._waiting: list[asyncio.Future[None]] = []
        self._followers: list[Follower] = []
        self._failing = False
        self._lock = threading.Lock()  # around the list above, and nothing that takes time
        self._version: int | None = None

    def start(self) -> None:
        """Read once, now, and follow from then on; call it on the event loop.

        Of a database that is away nobody and nothing is known until it is back. Raises
        :class:`aitap.storage.database.StorageError` where it cannot be read for another reason.
        """
        self._loop = asyncio.get_running_loop()
        try:
            snapshot = self._first()
        except AwayError as error:
            logger.warning("aitap: no users and keys are known until the database is back: %s", error)
        else:
            self._version = snapshot.version
            self._take(snapshot)
        self._thread = threading.Thread(target=self._follow, name="aitap directory", daemon=True)
        self._thread.start()

    def _first(self) -> Snapshot:
        database = open_database(self._url)
        try:
            return read_directory(database)
        except peewee.PeeweeException as error:
            raise StorageError(f"cannot read users and keys: {error}; run `aitap db check`") from None
        finally:
            database.close()

    def follow(self, follower: Follower) -> None:
        """Ask this one's questions too, the first of them now; call it on the event loop, after :meth:`start`.

        Raises :class:`aitap.storage.database.StorageError` where the database cannot be read.
        """
        try:
            database = open_database(self._url)
        except AwayError:
            self._followers.append(follower)
            return
        try:
            take = follower.poll(database)
        except peewee.PeeweeException as error:
            raise StorageError(f"cannot read budgets: {error}; run `aitap db check`") from None
        finally:
            database.close()
        if take is not None:
            take()
        self._followers.append(follower)

    def stop(self) -> None:
        """Follow no longer."""
        self._ended = True
        self._wake.set()
        if self._thread is not None:
            self._thread.join(PATIENCE)
            self._thread = None

    async def refresh(self) -> None:
        """Return when what was in the database at the time of the call is here; or when it takes too long."""
        if self._loop is None or self._ended:
            return
        future: asyncio.Future[None] = self._loop.create_future()
        with self._lock:
            self._waiting.append(future)
        self._wake.set()
        try:
            await asyncio.wait_for(future, PATIENCE)
        except TimeoutError:
            logger.warning("aitap: the database does not answer; users and keys are as they were")

    async def enrol(self, person: Person) -> None:
        """Have a row for somebody whom another directory vouches for. A database that is away is logged, no more."""
        try:
            await asyncio.to_thread(self._enrol, person)
        except (StorageError, peewee.PeeweeException) as error:
            logger.warning("aitap: user %r is not in the database: %s", person.username, error)

    def _enrol(self, person: Person) -> None:
        database = open_database(self._url)
        try:
            ensure_user(
                database,
                person.user_id,
                person.username,
                source=person.source,
                name=person.name,
                email=person.email,
                avatar_url=person.avatar_url,
            )
        finally:
            database.close()

    # The event loop's side

    def _take(self, snapshot: Snapshot) -> None:
        for digest in self.keys.keys() - snapshot.keys.keys():
            self.gone[digest] = None
        for digest in list(self.gone)[: max(0, len(self.gone) - _REMEMBERED)]:
            del self.gone[digest]
        self.keys, self.users, self.removed = snapshot.keys, snapshot.users, snapshot.removed
        self.roles = snapshot.roles
        self.ids = {username: user_id for user_id, username in snapshot.users.items()}
        self.host_modes = snapshot.host_modes
        for callback in self.on_change:
            try:
                callback()
            except Exception:
                logger.exception("aitap: a part did not take the change of users, keys or hosts")

    def _asked(self, waiting: list[asyncio.Future[None]], snapshot: Snapshot | None) -> None:
        if snapshot is not None:
            self._take(snapshot)
        for future in waiting:
            if not future.done():
                future.set_result(None)

    # The thread's side

    def _follow(self) -> None:
        database: Database | None = None
        away = False
        while not self._ended:
            self._wake.wait(POLL)
            self._wake.clear()
            # All who wait by now are answered by the question that comes.
            with self._lock:
                waiting, self._waiting = self._waiting, []
            snapshot = None
            try:
                if database is None:
                    database = open_database(self._url)
                home_of_database(database).make_sure(database)
                if directory_version(database) != self._version:
                    snapshot = read_directory(database)
                    self._version = snapshot.version
                if away:
                    away = False
                    logger.warning("aitap: the database is back")
            except (StorageError, peewee.PeeweeException, OSError, IndexError) as error:
                if not away:
                    away = True
                    logger.warning("aitap: users and keys are as they were, the database is away: %s", error)
                database = self._dropped(database)
                self._version = None  # it may be another when it is back
            if waiting or snapshot is not None:
                self._on_loop(functools.partial(self._asked, waiting, snapshot))
            # Nobody who waits to be let in waits for these.
            if database is not None and not self._poll(database):
                database = self._dropped(database)
            time.sleep(PAUSE)
        self._dropped(database)

    def _poll(self, database: Database) -> bool:
        """Ask the questions of others. False where the database did not answer."""
        try:
            for follower in self._followers:
                if (take := follower.poll(database)) is not None:
                    self._on_loop(take)
        except Exception as error:
            if not self._failing:
                self._failing = True
                trouble = isinstance(error, peewee.PeeweeException)
                logger.warning("aitap: budgets are as they were: %s", error, exc_info=None if trouble else error)
            return not isinstance(error, peewee.PeeweeException)
        self._failing = False
        return True

    @staticmethod
    def _dropped(database: Database | None) -> None:
        if database is not None and not database.is_closed():
            database.close()

    def _on_loop(self, call: Callable[[], None]) -> None:
        if self._loop is not None:
            try:
                self._loop.call_soon_threadsafe(call)
            except RuntimeError:
                self._ended = True  # the loop is closed: the proxy has ended
