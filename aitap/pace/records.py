"""What TLS has to send is fetched until there is no more, and not once more to be told so.

OpenSSL hands out what it has encrypted from memory; less than was asked for is all that there is. mitmproxy asks again,
and gets an exception that pyOpenSSL takes long to make, at every piece that is sent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mitmproxy.proxy.commands import SendData
from mitmproxy.proxy.layers.tls import TLSLayer
from OpenSSL import SSL

if TYPE_CHECKING:
    from collections.abc import Generator

    from aitap.access.grafts import Grafts

__all__ = ["RELIES_ON", "fetch_once"]

RELIES_ON = (TLSLayer.tls_interact,)

_MOST = 65535
"""Bytes that mitmproxy fetches at a time."""


def fetch_once(grafts: Grafts) -> None:
    """Fetch what is to be sent until a piece is shorter than it could be."""

    def interact(original: Any) -> Any:  # noqa: ARG001 - as every graft
        def fetched(self: TLSLayer) -> Generator[SendData, None, None]:
            size = _MOST
            while size == _MOST:
                try:
                    data = self.tls.bio_read(_MOST)
                except SSL.WantReadError:
                    return
                size = len(data)
                yield SendData(self.conn, data)

        return fetched

    grafts.put(TLSLayer, "tls_interact", interact)
