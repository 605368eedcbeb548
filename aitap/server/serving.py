"""Serving until somebody says stop: uvicorn on sockets that are bound already."""

from __future__ import annotations

import signal
import threading
from typing import TYPE_CHECKING

import uvicorn

from aitap.access.authentication.directory import Directory
from aitap.server.app import make_app
from aitap.server.connections import HEAD, Connection
from aitap.server.workers import Workers
from aitap.storage.database import open_database

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from peewee import Database

__all__ = ["make_server", "serve"]

_CONNECTIONS = 512
_IDLE_SECONDS = 30
_LAST_SECONDS = 5


def make_server(
    database_url: str, *, keys_needed: bool, confdir: Path, prepare: Callable[[Database], None] | None = None
) -> uvicorn.Server:
    """A server on this database, which must be there. Raises :class:`aitap.storage.homes.StorageError`.

    ``prepare`` is called with what readings are noted in.
    """
    reading = open_database(database_url, read_only=True)
    reading.close()
    writing = open_database(database_url)
    if prepare is not None:
        prepare(writing)
    writing.close()
    app = make_app(Workers(reading, writing), Directory(database_url), keys_needed=keys_needed, confdir=confdir)
    config = uvicorn.Config(
        app,
        http=Connection,
        ws="none",
        lifespan="on",
        interface="asgi3",
        access_log=False,
        log_config=None,
        log_level="warning",
        server_header=False,
        # Whoever is in front may say anything of where a request came from.
        proxy_headers=False,
        limit_concurrency=_CONNECTIONS,
        h11_max_incomplete_event_size=HEAD,
        timeout_keep_alive=_IDLE_SECONDS,
        timeout_graceful_shutdown=_LAST_SECONDS,
    )
    return uvicorn.Server(config)


def serve(server: uvicorn.Server, sockets: Sequence[socket.socket], announce: Callable[[], None]) -> None:
    """Answer on these sockets until SIGINT or SIGTERM; ``announce`` is called before the first request.

    Requests under way are ended. That is how it is meant to stop: no exception, no traceback.
    """
    # uvicorn sends itself again what it was stopped with: whoever asked is told by our ending well.
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: None)
    announce()
    server.run(sockets=list(sockets))
