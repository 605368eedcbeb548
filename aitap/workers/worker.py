"""A worker: mitmdump with the recorder, on sockets of its parent's, for as long as the parent lives.

The parent starts it with the descriptors that it inherits and mitmdump's own arguments. Over the line to the parent
it says one byte once it records and listens; the line's end tells it that the parent is gone.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import sys
from typing import Any

from mitmproxy import ctx

from aitap.access.grafts import Grafts
from aitap.observe.proxy_lines import tell_what_matters
from aitap.workers.member import UP
from aitap.workers.seam import SeamError, listen_on

__all__ = ["Membership", "main", "membership"]

logger = logging.getLogger(__name__)

WRONG = 2
"""The exit status of a worker that could not even begin."""


class Membership:
    """The mitmproxy addon that keeps the line to the parent; loaded after all others."""

    def __init__(self, line: socket.socket) -> None:
        self._line = line

    def running(self) -> None:
        """Say that this worker is up, unless mitmproxy is about to end for an error that an addon told of."""
        check: Any = ctx.master.addons.get("errorcheck")  # type: ignore[no-untyped-call]
        if check is not None and check.logger.has_errored:
            return
        self._line.setblocking(False)  # noqa: FBT003
        with contextlib.suppress(OSError):
            self._line.send(UP)
        asyncio.get_running_loop().add_reader(self._line, self._heard)

    def done(self) -> None:
        """The worker ends."""
        with contextlib.suppress(RuntimeError):
            asyncio.get_running_loop().remove_reader(self._line)

    def _heard(self) -> None:
        with contextlib.suppress(BlockingIOError, ConnectionError):
            if self._line.recv(1):
                return
        asyncio.get_running_loop().remove_reader(self._line)
        logger.warning("aitap: the process that started this worker is gone; it ends, too")
        ctx.master.shutdown()  # type: ignore[no-untyped-call]


membership: Membership
"""That of this process, for :mod:`aitap.workers.script`."""


def main() -> int:
    """Run: the line's descriptor, those of the sockets with commas between them, then mitmdump's arguments."""
    from mitmproxy.tools.main import mitmdump  # noqa: PLC0415 - the seam comes first

    arguments = sys.argv[3:]
    tell_what_matters(arguments)
    global membership  # noqa: PLW0603 - scripts are loaded by mitmproxy, which hands them nothing
    membership = Membership(socket.socket(fileno=int(sys.argv[1])))
    sockets = [socket.socket(fileno=int(word)) for word in sys.argv[2].split(",")]
    try:
        listen_on(sockets, Grafts())
    except SeamError as error:
        print(error, file=sys.stderr)  # noqa: T201
        return WRONG
    sys.argv = ["mitmdump", *arguments]
    mitmdump(arguments)
    return 0
