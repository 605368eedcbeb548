"""Saved traffic, told by values of its own, on the way that live traffic goes: same sources, same recordings.

Each file format makes :class:`SavedExchange` values; :class:`Replay` makes records of them. Times are those
of the file. Ids are made of what was exchanged, so that the same traffic always gives the same records.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Literal

import msgspec

from aitap.capture.environment import Environment
from aitap.capture.exchange import Exchange
from aitap.capture.fetched import Fetched
from aitap.capture.headers import Headers
from aitap.capture.pipeline import Pipeline
from aitap.capture.recording import RequestHead
from aitap.capture.sockets import socket_type
from aitap.record import CaptureMode, Interception, derived_id

if TYPE_CHECKING:
    from collections.abc import Iterable

    from aitap.capture.routes import Route, Router
    from aitap.redaction.redactor import Redactor

__all__ = ["Replay", "SavedExchange", "SavedFileError", "SavedMessage"]

Fields = tuple[tuple[bytes, bytes], ...]


class SavedFileError(Exception):
    """A file, or the rest of it, cannot be read. One line says where and why."""


class SavedMessage(msgspec.Struct, frozen=True):
    """One text message of a WebSocket."""

    content: bytes
    at: float
    from_client: bool


class SavedExchange(msgspec.Struct, frozen=True, kw_only=True):
    """One request and its response, or one WebSocket, as a file tells it. Times are epoch seconds."""

    hosts: tuple[str, ...]
    """Every name that the server goes by, lower-case; the last is what the client called it."""
    port: int
    method: str
    path: str
    query: str
    http_version: str
    headers: Fields
    started_at: float
    body: bytes | None
    """As ``headers`` say it is coded; None where the file leaves it out. So is ``response``."""
    asked_at: float
    status: int | None = None
    response_headers: Fields = ()
    responded_at: float = 0.0
    response: bytes | None = None
    ended_at: float = 0.0
    ending: Literal["whole", "broken", "cancelled", "interrupted"] = "whole"
    """``interrupted``: it went on when the file was saved."""
    failure: str | None = None
    messages: tuple[SavedMessage, ...] | None = None
    """Of a WebSocket."""

    def digest(self) -> bytes:
        """What tells this exchange from every other."""
        found = hashlib.blake2b(digest_size=16)
        pieces: list[bytes] = [
            *(text.encode() for text in (self.method, self.hosts[-1], str(self.port), self.path, self.query)),
            repr((self.started_at, self.status)).encode(),
            self.body or b"",
            self.response or b"",
            *(b"%d %s" % (message.from_client, message.content) for message in self.messages or ()),
        ]
        for piece in pieces:
            found.update(b"%d\n" % len(piece))
            found.update(piece)
        return found.digest()


class _SavedEnvironment(Environment):
    """Gives ids that depend on what was exchanged."""

    def __init__(self, initiator_id: str, capture: CaptureMode, redactor: Redactor | None) -> None:
        super().__init__(initiator_id, capture, redactor)
        self._digest = b""
        self._count = 0

    def turn_to(self, digest: bytes) -> None:
        """The exchange of this digest comes next."""
        self._digest = digest
        self._count = 0

    def id_for(self, started_at: float) -> str:
        """See :class:`Environment`."""
        self._count += 1
        return derived_id(started_at, _digest(self._digest, self._count))


class _Taken:
    """A sink that holds what one exchange gave."""

    def __init__(self) -> None:
        self.records: list[Interception] = []

    def submit(self, record: Interception) -> bool:
        self.records.append(record)
        return True


class Replay:
    """Makes records of saved exchanges, which come in order of time; it remembers what live recording remembers."""

    def __init__(
        self, router: Router, initiator_id: str, capture: CaptureMode, redactor: Redactor | None = None
    ) -> None:
        self._router = router
        self._environment = _SavedEnvironment(initiator_id, capture, redactor)
        self._taken = _Taken()
        self._pipeline = Pipeline(self._environment, self._taken, announce_after=None)

    @property
    def decode_errors(self) -> int:
        """How many exchanges could not be read by our own mistake."""
        return self._pipeline.decode_errors

    def records(self, saved: SavedExchange) -> list[Interception]:
        """What this exchange asked of models: nothing, one record, or on a socket any number. All have ended."""
        found = self._route(saved)
        if found is None:
            return []
        host, route = found
        head = RequestHead(
            route=route,
            method=saved.method,
            host=host,
            path=saved.path,
            query=saved.query,
            http_version=saved.http_version,
            headers=Headers(saved.headers),
            started_at=saved.started_at,
        )
        self._environment.turn_to(saved.digest())
        if saved.messages is not None:
            self._socket(saved, saved.messages, head)
        elif route.fetched or (saved.method == "POST" and not route.socket_only):
            self._exchange(saved, head)
        records, self._taken.records = self._taken.records, []
        for record in records:
            _identify_children(record)
        return records

    def _route(self, saved: SavedExchange) -> tuple[str, Route] | None:
        for host in saved.hosts:
            if route := self._router.route(host, saved.path, saved.port):
                return host, route
            if saved.method in ("GET", "POST") and (
                route := self._router.fetch(host, saved.path, saved.port, post=saved.method == "POST")
            ):
                return host, route
        if saved.method == "POST" and (route := self._router.guess(saved.hosts[-1], saved.path, saved.port)):
            return saved.hosts[-1], route
        return None

    def _exchange(self, saved: SavedExchange, head: RequestHead) -> None:
        exchange = (Fetched if head.route.fetched else Exchange)(self._pipeline, lambda: head)
        exchange.begin(saved.body or b"", saved.asked_at)
        unsaved = False
        if saved.status is not None:
            exchange.respond(saved.status, saved.response_headers, saved.responded_at)
            if saved.response:
                exchange.feed(saved.response, saved.ended_at)
            unsaved = saved.response is None and saved.status < 400
        if saved.ending == "interrupted" or (unsaved and saved.ending == "whole"):
            self._pipeline.drain()
            exchange.stop(saved.ended_at)
        else:
            exchange.end(saved.ended_at, failure=saved.failure, cancelled=saved.ending == "cancelled")
        self._pipeline.drain()
        for record in self._taken.records:
            # When the pieces of a body came is in no file.
            record.time_to_first_token = None
            if saved.body is None and not head.route.fetched:
                record.metadata["request_unsaved"] = True
            if unsaved:
                record.metadata["response_unsaved"] = True
                if saved.ending == "whole":
                    record.outcome = "completed"

    def _socket(self, saved: SavedExchange, messages: Iterable[SavedMessage], head: RequestHead) -> None:
        socket = socket_type(head.route.api)(self._pipeline, lambda: head)
        for message in messages:
            socket.message(message.content, message.at, from_client=message.from_client)
        if saved.ending != "interrupted":
            socket.close(saved.ended_at, by_client=saved.ending == "cancelled")
        self._pipeline.drain()
        socket.stop(saved.ended_at)


def _digest(*parts: object) -> bytes:
    return hashlib.blake2b(repr(parts).encode(), digest_size=8).digest()


def _identify_children(record: Interception) -> None:
    for name in ("token_usages", "user_prompts", "tool_usages", "model_thoughts"):
        for number, child in enumerate(getattr(record, name)):
            child.id = derived_id(child.created_at, _digest(record.id, name, number), number)
