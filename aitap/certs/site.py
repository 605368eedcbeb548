"""The proxy answers for itself: who calls it like a web server gets its certificate, and is never forwarded.

That is a request in origin form (``GET /``, RFC 9112, 3.2.1) on a connection that is a proxy's, a request
for the very address the client is connected to, and one for ``http://aitap.internal/`` through the proxy.
Forwarded, the first two would come back to the proxy for ever.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import re
from pathlib import Path
from typing import TYPE_CHECKING

from mitmproxy import ctx, http
from mitmproxy.net.tls import starts_like_tls_record
from mitmproxy.proxy.layers import modes
from mitmproxy.proxy.mode_specs import ReverseMode

from aitap.certs.authority import AuthorityError, ensure_authority, facts
from aitap.certs.page import MAGIC_HOST, Answer, answer, failure

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from mitmproxy.connection import Client
    from mitmproxy.proxy.layer import NextLayer

    from aitap.access.startup import Startup

__all__ = ["CertificateSite"]

logger = logging.getLogger(__name__)

_ORIGIN_FORM = re.compile(rb"[A-Z]+ /")


class CertificateSite:
    """A part of the proxy (see :class:`aitap.access.startup.Part`); it comes after the gate, which may refuse."""

    def __init__(self) -> None:
        # Ids of open connections; most proxies never have one in either.
        self._origin_form: set[str] = set()
        self._tls: set[str] = set()

    def start(self, startup: Startup) -> None:
        """Begin."""

    def stop(self) -> None:
        """The proxy ends."""

    def next_layer(self, nextlayer: NextLayer) -> None:
        """The first bytes of a connection tell what mitmproxy later hides: whether a request is in origin form."""
        layers = nextlayer.context.layers
        if len(layers) == 1 and isinstance(layers[0], (modes.HttpProxy, modes.HttpUpstreamProxy)):
            data = nextlayer.data_client()  # type: ignore[no-untyped-call]
            if _ORIGIN_FORM.match(data):
                self._origin_form.add(nextlayer.context.client.id)
            elif starts_like_tls_record(data):
                self._tls.add(nextlayer.context.client.id)

    def http_connect(self, flow: http.HTTPFlow) -> None:
        """What comes after CONNECT is for somebody else."""
        self._tls.discard(flow.client_conn.id)

    def client_disconnected(self, client: Client) -> None:
        """What was known of it is not needed any more."""
        self._origin_form.discard(client.id)
        self._tls.discard(client.id)

    def requestheaders(self, flow: http.HTTPFlow) -> Awaitable[None] | None:
        """Answer what is for the proxy itself."""
        if flow.request.data.scheme == b"https" and not self._tls and not self._origin_form:
            return None  # nearly all there is
        if flow.response is not None or flow.error is not None or not self._for_us(flow):
            return None
        return self._serve(flow)

    async def _serve(self, flow: http.HTTPFlow) -> None:
        """Set the answer. No exception leaves: unanswered, the request would be forwarded."""
        try:
            found = await asyncio.get_running_loop().run_in_executor(
                None, _answer, flow.request, str(ctx.options.confdir)
            )
        except Exception:
            logger.exception("aitap: the certificate page failed")
            found = failure(500, "aitap: the certificate page failed; the proxy's log says why")
        flow.response = _response(found, flow.request.method)

    def _for_us(self, flow: http.HTTPFlow) -> bool:
        client, request = flow.client_conn, flow.request
        if isinstance(client.proxy_mode, ReverseMode):
            return False
        https = request.data.scheme == b"https"  # as it came: the properties of a request decode it anew each time
        if client.id in self._origin_form or (https and client.id in self._tls):
            return True
        host = request.data.host.lower().rstrip(".")
        if host == MAGIC_HOST:
            return not https
        # Traffic that was redirected to us names an address; the host is in its header.
        if not https and _address(host) and request.pretty_host.lower() == MAGIC_HOST:
            return True
        return _is_here(host, request.data.port, client)


def _is_here(host: str, port: int, client: Client) -> bool:
    """Whether this is the address at which the client is connected to us."""
    if not client.sockname or port != client.sockname[1]:
        return False
    here, named = _address(str(client.sockname[0])), _address(host)
    if here is None:
        return False
    if host == "localhost" or (named is not None and named.is_loopback):
        return here.is_loopback
    return named == here


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        found = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None
    return getattr(found, "ipv4_mapped", None) or found


def _answer(request: http.Request, confdir: str) -> Answer:
    base = f"{request.scheme}://{request.host_header or MAGIC_HOST}"
    try:
        authority = ensure_authority(Path(confdir))
        return answer(request.method, request.path, base, authority, facts)
    except AuthorityError as error:
        logger.error("aitap: %s", error)  # noqa: TRY400 - one line for a person
        return failure(500, "aitap: the certificate cannot be read; the proxy's log says why")


def _response(found: Answer, method: str) -> http.Response:
    fields = http.Headers([(name.title().encode(), value.encode()) for name, value in found.headers.items()])
    response = http.Response.make(found.status, b"" if method == "HEAD" else found.body, fields)
    # To HEAD the length is that of the answer to GET (RFC 9110, 8.6).
    response.headers["content-length"] = found.headers["content-length"]
    return response
