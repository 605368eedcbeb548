"""Which model call a flow is, by where the client wanted it to go: ask before other scripts change that."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from mitmproxy import http

    from aitap.capture.routes import Route, Router

__all__ = ["Called", "called", "fetched"]


class Called(NamedTuple):
    """Where a call goes. The query may hold credentials."""

    route: Route
    host: str
    """Lower-case, without a dot at the end."""
    path: str
    """Still percent-encoded."""
    query: str
    post: bool
    """False is a WebSocket."""


_NAME = "aitap_called"
"""Where a flow keeps the answer: several parts ask at each request, one after the other."""


def called(router: Router, flow: http.HTTPFlow) -> Called | None:
    """The model call that begins with this request's head; None where it is none."""
    data = flow.request.data  # as it came: the properties of a request decode it anew each time
    kept = flow.__dict__.get(_NAME)
    # Whoever replays a flow may have changed it.
    if kept is not None and kept[0] is data.path and kept[1] is data.host and kept[2] is router:
        found: Called | None = kept[3]
        return found
    found = _find(router, flow)
    flow.__dict__[_NAME] = (data.path, data.host, router, found)
    return found


def _find(router: Router, flow: http.HTTPFlow) -> Called | None:
    request, data = flow.request, flow.request.data
    post = data.method == b"POST"
    if not (post or data.method == b"GET"):
        # Methods are case-sensitive (RFC 9110, 9.1); not every server is.
        post = data.method.upper() == b"POST"
        if not post:
            return None
    path, _, query = data.path.decode("utf-8", "replace").partition("?")
    host, port = data.host, data.port
    # The Host header is asked last: it is dear to read, and differs only where traffic was redirected.
    route = router.route(host.lower(), path, port)
    if route is None and (sni := flow.client_conn.sni):
        host, route = sni, router.route(sni.lower(), path, port)
    if route is None and (named := request.pretty_host) != data.host:
        # Bytes that are no text stand in it as halves of characters, which no record can hold.
        host = named if named.isascii() else named.encode("utf-8", "replace").decode()
        route = router.route(host.lower(), path, port)
    if route is None and post:
        route = router.guess(host.lower(), path, port)
    if route is None or (post and route.socket_only):
        return None
    if not post and request.headers.get("upgrade", "").lower() != "websocket":
        return None
    return Called(route, host.lower().rstrip("."), path, query, post)


def fetched(router: Router, flow: http.HTTPFlow) -> Called | None:
    """The fetching of an answer that begins with this request's head; None where it is none, or a call itself."""
    data = flow.request.data
    if b"/responses/" not in data.path or data.method not in (b"GET", b"POST"):
        return None
    path, _, query = data.path.decode("utf-8", "replace").partition("?")
    post = data.method == b"POST"
    for name in (data.host, flow.client_conn.sni or "", flow.request.pretty_host):
        host = name.lower().rstrip(".")
        if route := router.fetch(host, path, data.port, post=post):
            return Called(route, host, path, query, post=True)
    return None
