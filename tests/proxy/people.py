"""Users and proxy keys in the database of a running proxy, made and ended as the command line does."""

from __future__ import annotations

import base64
import contextlib
import time
from collections.abc import Iterator
from typing import Any

from aitap.access.identity import user_id
from aitap.storage.database import open_database
from aitap.storage.keys import create_key, end_key
from aitap.storage.users import add_user, find_user, remove_user
from tests.proxy.mitmdump import Mitmdump

__all__ = ["People", "basic"]


def basic(user: str, password: str) -> str:
    """The value of ``Proxy-Authorization`` for these."""
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


class People:
    """Those of one proxy's database."""

    def __init__(self, proxy: Mitmdump) -> None:
        self._url = proxy.database_url
        self._ids: dict[str, str] = {}

    @contextlib.contextmanager
    def _database(self) -> Iterator[Any]:
        # Anew each time: whoever opens a database last has the models bound to it.
        database = open_database(self._url)
        try:
            yield database
        finally:
            database.close()

    def key(self, user: str = "alice", *, expires_in: float | None = None) -> str:
        """A new key, of a user who is made where there is none, or brought back."""
        with self._database() as database:
            known = find_user(database, user)
            if known is None or known["deleted"]:
                add_user(database, user_id(user), user)
            expires_at = None if expires_in is None else time.time() + expires_in
            key, row = create_key(database, user_id(user), expires_at=expires_at)
        self._ids[key] = row["id"]
        return key

    def key_id(self, key: str) -> str:
        return self._ids[key]

    def revoke(self, key: str) -> None:
        with self._database() as database:
            assert end_key(database, self._ids[key])

    def remove(self, user: str) -> None:
        with self._database() as database:
            remove_user(database, user_id(user))

    def user(self, who: str) -> dict[str, Any] | None:
        """The row of a user, by id or name."""
        with self._database() as database:
            return find_user(database, who)
