"""A request that came without a length goes to a provider of HTTP/1.1 with one.

HTTP/2 and 3 need no ``content-length``; HTTP/1.1 has a body only where a field announces it (RFC 9112, 6.3). mitmproxy
sends the fields as they came, and the provider takes the body for the next request. Where it connects to the provider
before it answers the client the two speak the same version; here it connects lazily, and they may not.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from mitmproxy.proxy.layers.http._events import RequestHeaders
from mitmproxy.proxy.layers.http._http1 import Http1Client

if TYPE_CHECKING:
    from mitmproxy.proxy import layer

    from aitap.access.grafts import Grafts

__all__ = ["tell_lengths"]


def tell_lengths(grafts: Grafts) -> None:
    """Have the length told, or that the body comes in chunks where nobody knows it yet; the flow stays as it is."""

    def telling(original: Any) -> Any:
        def send(self: Http1Client, event: Any) -> layer.CommandGenerator[None]:
            if isinstance(event, RequestHeaders) and not event.end_stream:
                fields = event.request.headers
                if "content-length" not in fields and "transfer-encoding" not in fields:
                    event = replace(event, request=event.request.copy())
                    whole = event.request.raw_content
                    if whole is None:
                        event.request.headers["transfer-encoding"] = "chunked"
                    else:
                        event.request.headers["content-length"] = str(len(whole))
            found: layer.CommandGenerator[None] = original(self, event)
            return found

        return send

    grafts.put(Http1Client, "send", telling)
