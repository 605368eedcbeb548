"""mitmproxy listens on sockets that it is given.

mitmproxy takes an address and a port and binds them itself: no option of it lets several processes share a port.
Where it does that is one method, ``AsyncioServerInstance.listen(host, port)``, which gives the list of servers that
it started; all TCP modes have it from there. It is replaced by one that starts a server on each socket given. That
the method is what we take it for, as in mitmproxy 11.0 to 12.2, is checked first: where it is not, a worker says so
and ends.
"""

from __future__ import annotations

import asyncio
import errno
import inspect
from typing import TYPE_CHECKING, Any

from mitmproxy import version
from mitmproxy.proxy import mode_servers

if TYPE_CHECKING:
    import socket
    from collections.abc import Sequence

    from aitap.access.grafts import Grafts

__all__ = ["SeamError", "listen_on"]

_PARAMETERS = ["self", "host", "port"]


class SeamError(Exception):
    """The mitmproxy that is installed listens in a way that we do not know. One line says what to do."""


def listen_on(sockets: Sequence[socket.socket], grafts: Grafts) -> None:
    """Have mitmproxy listen on these (bound to one port) instead of binding that port itself.

    A mode that wants another port, or UDP, cannot be had: mitmproxy then says so and ends. Raises
    :class:`SeamError`.
    """
    instance = _checked()
    [port] = {bound.getsockname()[1] for bound in sockets}

    def make(_: Any) -> Any:
        async def listen(self: Any, host: str, wanted: int) -> list[asyncio.Server]:  # noqa: ARG001 - as it is called
            if self.mode.transport_protocol != "tcp" or wanted != port:
                raise OSError(
                    errno.EADDRNOTAVAIL,
                    f"the workers share TCP port {port} alone: start another `aitap run` for this mode",
                )
            # Copies: mitmproxy closes what it listens on when its options change, and comes again.
            return [await asyncio.start_server(self.handle_stream, sock=bound.dup()) for bound in sockets]

        return listen

    grafts.put(instance, "listen", make)


def _checked() -> Any:
    instance: Any = getattr(mode_servers, "AsyncioServerInstance", None)
    listen = getattr(instance, "listen", None)
    if (
        not inspect.iscoroutinefunction(listen)
        or list(inspect.signature(listen).parameters) != _PARAMETERS
        or not inspect.iscoroutinefunction(getattr(instance, "handle_stream", None))
    ):
        raise SeamError(
            f"aitap: mitmproxy {version.VERSION} cannot be made to share a port: leave out --workers, "
            "or start several `aitap run` behind a load balancer"
        )
    return instance
