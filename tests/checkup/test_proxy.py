"""What is told of whoever listens where the proxy should; a real one is in tests/proxy/test_doctor.py."""

from __future__ import annotations

import base64
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from aitap.certs.proxy_address import parse
from aitap.checkup import proxy as checked
from aitap.checkup.finding import Finding
from aitap.checkup.proxy import check_proxy
from tests.checkup.making import situation

Listener = Callable[[bytes | None], int]


class Listening:
    """Somebody who answers every connection with the same bytes, None for silence."""

    def __init__(self, answer: bytes | None) -> None:
        self.heard: list[bytes] = []
        self._answer = answer
        self._open: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._open.append(connection)
            threading.Thread(target=self._speak, args=(connection,), daemon=True).start()

    def _speak(self, connection: socket.socket) -> None:
        try:
            self.heard.append(connection.recv(65536))
            if self._answer is not None:
                connection.sendall(self._answer)
                connection.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def close(self) -> None:
        for connection in (self._listener, *self._open):
            connection.close()


@pytest.fixture
def listening() -> Iterator[Callable[[bytes | None], Listening]]:
    started: list[Listening] = []

    def start(answer: bytes | None) -> Listening:
        started.append(Listening(answer))
        return started[-1]

    yield start
    for one in started:
        one.close()


def look(folder: Path, port: int, credentials: str = "") -> list[Finding]:
    return list(check_proxy(situation(folder, proxy=parse(f"http://{credentials}127.0.0.1:{port}"))))


def test_nobody_there_is_a_problem(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    (finding,) = look(tmp_path, port)
    assert (finding.check, finding.status) == ("proxy.answers", "problem")
    assert "aitap run" in str(finding.fix)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"SSH-2.0-OpenSSH_9.2\r\n", "no proxy: it does not speak HTTP"),
        (b"", "no proxy: it closes the connection"),
        (b"HTTP/1.0 501 Unsupported method ('CONNECT')\r\n\r\n", "an HTTP server that is no proxy: it answers 501"),
        (b"HTTP/1.1 404 Not Found\r\n\r\n", "an HTTP server that is no proxy: it answers 404"),
        (b"HTTP/1.1 200" + b"x" * 200_000, "no proxy: it does not speak HTTP"),
    ],
)
def test_a_port_that_something_else_has_is_a_problem(
    answer: bytes, words: str, listening: Callable[[bytes | None], Listening], tmp_path: Path
) -> None:
    (finding,) = look(tmp_path, listening(answer).port)
    assert (finding.check, finding.status) == ("proxy.answers", "problem")
    assert words in finding.what
    assert "--port" in str(finding.fix)


def test_somebody_who_never_answers_is_not_waited_for(
    listening: Callable[[bytes | None], Listening], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checked, "_SECONDS", 0.3)
    started = time.monotonic()
    (finding,) = look(tmp_path, listening(None).port)
    assert time.monotonic() - started < 2
    assert "it does not answer in time" in finding.what


DENIED = b"HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm=x\r\nContent-Length: 0\r\n\r\n"


def test_a_key_that_is_missing_is_told_from_one_that_is_wrong(
    listening: Callable[[bytes | None], Listening], tmp_path: Path
) -> None:
    proxy = listening(DENIED)
    answers, missing = look(tmp_path, proxy.port)
    assert (answers.status, missing.check, missing.status) == ("ok", "proxy.key", "problem")
    assert missing.what.startswith("it wants a key")
    _, wrong = look(tmp_path, proxy.port, "alice:aitap_planted%2Fsecret@")
    assert wrong.what.startswith("it refuses the key of alice")
    assert "planted" not in str(wrong)
    sent = base64.b64encode(b"alice:aitap_planted/secret")
    assert b"Proxy-Authorization: Basic " + sent in proxy.heard[-1]


def test_a_provider_out_of_the_proxys_reach_is_not_the_proxys_absence(
    listening: Callable[[bytes | None], Listening], tmp_path: Path
) -> None:
    (finding,) = look(tmp_path, listening(b"HTTP/1.1 502 Bad Gateway\r\n\r\n").port)
    assert (finding.check, finding.status) == ("proxy.upstream", "problem")
    assert "AITAP_UPSTREAM" in str(finding.fix)
