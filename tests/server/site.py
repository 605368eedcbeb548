"""A server on a real socket of this machine, in a thread, and a client that asks it."""

from __future__ import annotations

import contextlib
import http.client
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import msgspec

from aitap.access.identity import user_id
from aitap.server.listening import listen
from aitap.server.serving import make_server, serve
from aitap.storage.database import open_database
from aitap.storage.keys import create_key, end_key
from aitap.storage.users import Role, add_user, set_role

LISTS = "/api/v2/ai-gateway"


class Reply(msgspec.Struct, frozen=True):
    status: int
    headers: dict[str, str]
    data: bytes

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.data)


class Site:
    """One running server and its database."""

    def __init__(self, url: str, port: int) -> None:
        self.url = url
        self.port = port
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)

    def get(
        self,
        path: str,
        key: str | None = None,
        *,
        headers: dict[str, str] | None = None,
        method: str = "GET",
        **query: Any,
    ) -> Reply:
        sent = dict(headers or {})
        if key is not None:
            sent["Coder-Session-Token"] = key
        target = path + (f"?{urlencode(query)}" if query else "")
        try:
            self._connection.request(method, target, headers=sent)
            answer = self._connection.getresponse()
        except ConnectionError:
            # It was idle for too long.
            self._connection.close()
            self._connection.request(method, target, headers=sent)
            answer = self._connection.getresponse()
        return Reply(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())

    def list(self, what: str, key: str | None = None, **query: Any) -> Any:
        """The body of one of the reference's lists, which must be there."""
        reply = self.get(f"{LISTS}/{what}", key, **query)
        assert reply.status == 200, reply.data
        return reply.json

    def session(self, session_id: str, key: str | None = None, **query: Any) -> Any:
        return self.list(f"sessions/{quote(session_id, safe='')}", key, **query)

    def user(self, name: str, role: Role = "user", *, expires_at: float | None = None) -> str:
        """A key of a user, who is added."""
        return self.keyed(name, role, expires_at=expires_at)[0]

    def keyed(self, name: str, role: Role = "user", *, expires_at: float | None = None) -> tuple[str, str]:
        """The same, and the id of the key."""
        with self.database() as database:
            add_user(database, user_id(name), name, role=role)
            key, row = create_key(database, user_id(name), expires_at=expires_at)
        return key, row["id"]

    def revoke(self, key_id: str) -> None:
        with self.database() as database:
            assert end_key(database, key_id)

    def set_role(self, name: str, role: Role) -> None:
        with self.database() as database:
            set_role(database, user_id(name), role)

    @contextlib.contextmanager
    def database(self) -> Iterator[Any]:
        """The database, as another process would open it."""
        database = open_database(self.url)
        try:
            yield database
        finally:
            database.close()

    def close(self) -> None:
        self._connection.close()


@contextlib.contextmanager
def served(url: str, confdir: Path, *, keys_needed: bool = False) -> Iterator[Site]:
    sockets = listen("127.0.0.1", 0)
    server = make_server(url, keys_needed=keys_needed, confdir=confdir)
    thread = threading.Thread(target=serve, args=(server, sockets, lambda: None))
    thread.start()
    site = Site(url, sockets[0].getsockname()[1])
    try:
        deadline = time.monotonic() + 60
        while not server.started and thread.is_alive() and time.monotonic() < deadline:
            time.sleep(0.01)
        assert server.started
        yield site
    finally:
        site.close()
        server.should_exit = True
        thread.join(60)
        assert not thread.is_alive()
