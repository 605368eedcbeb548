"""mitmproxy in this process, with and without the shorter ways, and what goes through it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from mitmproxy import http, options
from mitmproxy.tools.dump import DumpMaster

from aitap.pace.pace import Pace

__all__ = ["PATIENCE", "STARTUP", "Provider", "Trace", "proxying"]

PATIENCE = 60.0

STARTUP: Any = SimpleNamespace(settings=SimpleNamespace(shortcuts=True))


class Trace:
    """An addon that notes the events of flows, and does what a test has put under their names."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.doing: dict[str, Callable[[http.HTTPFlow], Any]] = {}

    def _note(self, name: str, flow: http.HTTPFlow) -> Any:
        self.heard.append(f"{name} {flow.request.path}")
        return self.doing[name](flow) if name in self.doing else None

    def requestheaders(self, flow: http.HTTPFlow) -> Any:
        return self._note("requestheaders", flow)

    def request(self, flow: http.HTTPFlow) -> Any:
        return self._note("request", flow)

    def responseheaders(self, flow: http.HTTPFlow) -> Any:
        return self._note("responseheaders", flow)

    def response(self, flow: http.HTTPFlow) -> Any:
        return self._note("response", flow)

    def error(self, flow: http.HTTPFlow) -> Any:
        assert flow.error
        self.heard.append(f"error {flow.error.msg}")

    def update(self, flows: list[http.HTTPFlow]) -> None:
        self.heard.append("update")


class Provider:
    """Answers requests that it reads whole; knows what it was sent."""

    def __init__(self) -> None:
        self.got = b""
        self.answers: dict[str, bytes] = {}

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
                self.got += head + await reader.readexactly(int(length or 0))
                path = head.split()[1].decode()
                writer.write(self.answers[path])
                if path.startswith("/broken"):
                    break
        writer.close()


@contextlib.asynccontextmanager
async def proxying(confdir: Path, *addons: object, pace: bool) -> AsyncIterator[tuple[int, Provider, int]]:
    """The proxy's port, the provider and its port."""
    provider = Provider()
    listening = await asyncio.start_server(provider.serve, "127.0.0.1", 0)
    settings = options.Options(listen_host="127.0.0.1", listen_port=0, confdir=str(confdir), upstream_cert=False)
    master = DumpMaster(settings, with_termlog=False, with_dumper=False)
    master.options.update(connection_strategy="lazy")  # type: ignore[no-untyped-call]
    master.addons.add(*addons)  # type: ignore[no-untyped-call]
    part = Pace()
    if pace:
        part.start(STARTUP)
    running = asyncio.create_task(master.run())
    try:
        server = master.addons.get("proxyserver")  # type: ignore[no-untyped-call]
        async with asyncio.timeout(PATIENCE):
            while not server.listen_addrs():
                await asyncio.sleep(0.01)
        yield server.listen_addrs()[0][1], provider, listening.sockets[0].getsockname()[1]
    finally:
        master.shutdown()  # type: ignore[no-untyped-call]
        await running
        part.stop()
        listening.close()
