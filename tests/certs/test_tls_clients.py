"""Every TLS stack at hand holds the intermediate to its constraints, whoever has its key."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from aitap.certs.authority import ensure_authority
from tests.certs.chains import server_context, signer_of
from tests.certs.tls_clients import CLIENTS, Client

Serve = Callable[..., int]


@pytest.fixture(scope="module")
def confdir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("conf")
    ensure_authority(folder)
    return folder


@pytest.fixture
def serve(confdir: Path, tmp_path: Path) -> Iterator[Serve]:
    """A TLS server with a leaf for these names, which the proxy's own key signed; gives its port."""
    listeners: list[socket.socket] = []

    def start(*names: str) -> int:
        context = server_context(signer_of(confdir).served(tmp_path, *names))
        listener = socket.create_server(("127.0.0.1", 0))
        listeners.append(listener)
        threading.Thread(target=_accept, args=(listener, context), daemon=True).start()
        return int(listener.getsockname()[1])

    yield start
    for listener in listeners:
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()


def _accept(listener: socket.socket, context: ssl.SSLContext) -> None:
    while True:
        try:
            plain, _ = listener.accept()
        except OSError:
            return
        with suppress(OSError), context.wrap_socket(plain, server_side=True) as connection:
            connection.recv(65536)


@pytest.mark.parametrize("client", CLIENTS)
def test_a_leaf_for_a_host_of_the_table_is_accepted(
    client: Client, serve: Serve, confdir: Path, tmp_path: Path
) -> None:
    accepted, said = client(
        serve("api.anthropic.com"), "api.anthropic.com", confdir / "mitmproxy-ca-cert.pem", tmp_path
    )
    assert accepted, said


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("names", [("example.com",), ("example.com", "api.anthropic.com")], ids=["alone", "beside"])
def test_a_leaf_for_another_host_is_refused(
    client: Client, names: tuple[str, ...], serve: Serve, confdir: Path, tmp_path: Path
) -> None:
    accepted, said = client(serve(*names), "example.com", confdir / "mitmproxy-ca-cert.pem", tmp_path)
    assert not accepted, said
