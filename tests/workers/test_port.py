"""One port for several processes."""

from __future__ import annotations

import errno
import socket

import pytest

from aitap.workers.port import BALANCED, Port


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


@pytest.mark.parametrize(
    "balanced", [pytest.param(True, marks=pytest.mark.skipif(not BALANCED, reason="Linux")), False]
)
def test_all_sockets_are_of_one_port_and_what_is_closed_leaves_the_others(balanced: bool) -> None:
    number = free_port()
    port = Port("127.0.0.1", number, balanced=balanced)
    first, second = (bound for _ in range(2) for bound in port.open())
    assert first.getsockname() == second.getsockname() == ("127.0.0.1", number)
    first.close()
    for _ in range(8):
        with socket.create_connection(("127.0.0.1", number), 60):
            second.settimeout(60)
            second.accept()[0].close()
    second.close()
    port.close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", number), 60)


@pytest.mark.skipif(not BALANCED, reason="of systems that spread connections")
def test_many_connections_are_spread() -> None:
    port = Port("127.0.0.1", free_port())
    sockets = [bound for _ in range(2) for bound in port.open()]
    clients = [socket.create_connection(("127.0.0.1", port.port), 60) for _ in range(64)]
    waiting = []
    for bound in sockets:
        bound.setblocking(False)
        count = 0
        while True:
            try:
                bound.accept()[0].close()
            except BlockingIOError:
                break
            count += 1
        waiting.append(count)
    assert sum(waiting) == 64
    assert min(waiting) > 8
    for one in (*clients, *sockets):
        one.close()


def test_what_somebody_else_has_is_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        with pytest.raises(OSError, match=r".") as raised:
            Port("127.0.0.1", other.getsockname()[1]).open()
        assert raised.value.errno == errno.EADDRINUSE
