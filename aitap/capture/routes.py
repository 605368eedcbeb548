"""From a host and a path to a provider and a dialect. The table is data (``data/providers.toml``).

A host that is in no table may speak a language we know all the same: then the path has a shape that we
know too. That is only a guess, which the body has to bear out (:meth:`Router.guess`).
"""

from __future__ import annotations

import fnmatch
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import msgspec

from aitap.capture.provider_rows import ProviderRow, builtin_table
from aitap.record import UNKNOWN, Purpose
from aitap.short_questions import remembering

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["LONGEST_NAME", "Route", "Router", "host_test", "plain_path"]


_ODD = re.compile(r"[%;#\\]|//|/\.|/\Z")
"""In a path that may be spelt in another way than the table has it."""
_FETCHED = "/responses"
LONGEST_NAME = 253
"""Characters of a host's name (RFC 1035, 2.3.4); what is longer leads nowhere, and need not be kept."""


class Route(msgspec.Struct, frozen=True):
    """One kind of model call."""

    provider: str
    provider_name: str
    api: str
    purpose: Purpose = "conversation"
    socket_only: bool = False
    """Model calls go over a WebSocket there, and a POST is something else."""
    fetched: bool = False
    """No call, but the fetching of an answer that one asked for; see :meth:`Router.fetch`."""
    doubtful: bool = False
    """Other things than calls of a model go there, too: the body has to bear it out. Ask :attr:`guessed`."""
    pages: bool = True
    """Whether what a page in a browser asks there may be a call; else it is that page's own business."""
    model_header: str = ""
    """The request's header that names the model, where neither path nor body does; lower-case."""

    @property
    def guessed(self) -> bool:
        """Whether only the path says so far that it is a call of a model."""
        return self.doubtful or self.provider == UNKNOWN


class Router:
    """Answers, from memory, which model call a request is.

    ``own`` are a user's rows. They are asked before those of the table, and the first row of which host
    and path fit counts: a row may add a path to a host, and a host may be of several providers.
    """

    def __init__(self, own: Iterable[ProviderRow] = (), *, table: dict[str, Any] | None = None) -> None:
        table = builtin_table() if table is None else table
        self._rows = [
            (host_test(host), (row.type, row.name), _routes(row, table["routes"]))
            for row in (*own, *(ProviderRow(**row) for row in table["provider"]))
            for host in row.hosts
        ]
        self._shapes: dict[str, list[tuple[re.Pattern[str], dict[str, Any]]]] = {}
        for shape in table.get("unknown", ()):
            pattern = re.compile(fnmatch.translate(shape["path"]))
            self._shapes.setdefault(_last_word(shape["path"]), []).append((pattern, shape))
        # Hosts and paths come from strangers: the memory is bounded.
        self._of_host = remembering(self._find_host, entries=1024)
        self.route = remembering(self._route, entries=4096)
        self.knows = remembering(self._knows, entries=4096)

    def _find_host(self, host: str, port: int) -> list[tuple[re.Pattern[str], Route]]:
        host = host.rstrip(".")  # RFC 1034, 3.1: the root, which most leave out
        return [route for fits, _, routes in self._rows if fits(host, port) for route in routes]

    def _knows(self, host: str, port: int) -> tuple[str, str] | None:
        """Type and name of the provider whose host (lower-case) and port this is; None for a host in no table."""
        return next((provider for fits, provider, _ in self._rows if fits(host, port)), None)

    def _route(self, host: str, path: str, port: int = 0) -> Route | None:
        """What a request to this host (lower-case), path (still percent-encoded) and port is; None: no model call.

        A host that the table names with a port is only found where the port is given. A path that is spelt in
        another way is looked at as :func:`plain_path` has it, too.
        """
        routes = self._of_host(host, port)
        found = next((route for pattern, route in routes if pattern.match(path)), None)
        if found is None and routes and _ODD.search(path):
            plain = plain_path(path)
            found = next((route for pattern, route in routes if pattern.match(plain)), None)
        return found

    def fetch(self, host: str, path: str, port: int = 0, *, post: bool = False) -> Route | None:
        """What a GET (or a ``post``) asks for by whose answer it may bring; None where it brings none.

        A response that a model makes in background is fetched by its id, below the path of the call, or cancelled.
        """
        call, _, own_id = path.removesuffix("/cancel" if post else "").rpartition("/")
        if not call.endswith(_FETCHED) or not own_id or (post and not path.endswith("/cancel")):
            return None
        route = self.route(host, call, port)
        if route is None or route.api != "openai.responses" or route.purpose != "conversation":
            return None
        return msgspec.structs.replace(route, fetched=True)

    def guess(self, host: str, path: str, port: int = 0) -> Route | None:
        """What a POST to a host that is in no table may be, by the shape of its path. Its body must bear it out.

        All other traffic of the world comes by here: what it costs is one look into a dictionary.
        """
        for pattern, shape in self._shapes.get(_last_word(path), ()):
            if pattern.match(path) and not self._of_host(host, port):
                purpose, pages = shape.get("purpose", "conversation"), shape.get("pages", True)
                return Route(UNKNOWN, host[:LONGEST_NAME], shape["api"], purpose, pages=pages)
        return None


def _routes(row: ProviderRow, lists: dict[str, list[dict[str, Any]]]) -> list[tuple[re.Pattern[str], Route]]:
    return [
        (
            # Some servers (Azure's among them) do not tell upper from lower case.
            re.compile(fnmatch.translate(route["path"]), re.IGNORECASE),
            Route(
                route.get("type", row.type),
                row.name,
                route["api"],
                route.get("purpose", "conversation"),
                route.get("socket_only", False),
                doubtful=route.get("doubtful", False),
                model_header=route.get("model_header", ""),
            ),
        )
        for route in lists[row.routes]
    ]


def plain_path(path: str) -> str:
    """A path as a lenient server reads it: percent codes undone, no empty or dotted segments, nothing after ; or #.

    Whoever calls a model by such a path (RFC 3986, 6.2.2, and what servers do beyond it) calls it all the same.
    """
    segments: list[str] = []
    for segment in unquote(path).replace("\\", "/").partition("#")[0].split("/"):
        name = segment.partition(";")[0]
        if name == "..":
            del segments[-1:]
        elif name not in ("", "."):
            segments.append(name)
    return "/" + "/".join(segments)


def _last_word(path: str) -> str:
    return path[max(path.rfind("/"), path.rfind(":")) + 1 :]


def host_test(host: str) -> Callable[[str, int], bool]:
    """A test whether a host and a port are those meant by ``name``, ``*.name`` or either with ``:port``."""
    name, colon, digits = host.rpartition(":")
    wanted = int(digits) if colon else 0
    name = (name if colon else host).strip("[]")
    if "*" not in name:
        return lambda host, port: host == name and wanted in (0, port)
    pattern = re.compile(fnmatch.translate(name))
    return lambda host, port: wanted in (0, port) and pattern.match(host) is not None
