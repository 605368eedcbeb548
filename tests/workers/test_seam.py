"""mitmproxy on sockets that it is given."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest
from mitmproxy.proxy import mode_servers, mode_specs

from aitap.access.grafts import Grafts
from aitap.workers.seam import SeamError, listen_on


class Manager:
    connections: dict[Any, Any] = {}  # noqa: RUF012 - as mitmproxy's


def instance(spec: str) -> Any:
    return mode_servers.ServerInstance.make(mode_specs.ProxyMode.parse(spec), Manager())  # type: ignore[arg-type]


def test_every_tcp_mode_listens_on_what_it_is_given_and_again_after_it_stopped() -> None:
    grafts = Grafts()
    with socket.create_server(("127.0.0.1", 0)) as bound:
        listen_on([bound], grafts)

        async def twice(mode: str) -> None:
            for _ in range(2):
                [server] = await instance(mode).listen("", bound.getsockname()[1])
                assert server.sockets[0].getsockname() == bound.getsockname()
                server.close()

        for mode in ("regular", "socks5", "upstream:http://proxy.example:3128", "reverse:http://example.com"):
            asyncio.run(twice(mode))
    grafts.remove()


def test_another_port_and_udp_are_refused_in_words() -> None:
    grafts = Grafts()
    with socket.create_server(("127.0.0.1", 0)) as bound:
        listen_on([bound], grafts)
        port = bound.getsockname()[1]
        for mode, wanted in (("regular", port % 60000 + 1), ("dns", port)):
            with pytest.raises(OSError, match=f"the workers share TCP port {port} alone"):
                asyncio.run(instance(mode).listen("", wanted))
    grafts.remove()


def test_a_mitmproxy_that_listens_otherwise_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    async def listen(self: Any, place: str) -> None: ...

    monkeypatch.setattr(mode_servers.AsyncioServerInstance, "listen", listen)
    with socket.create_server(("127.0.0.1", 0)) as bound, pytest.raises(SeamError, match="leave out --workers"):
        listen_on([bound], Grafts())
