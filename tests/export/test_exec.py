"""``exec`` gives one process tree the proxy, and its exit code back."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

posix = pytest.mark.skipif(os.name != "posix", reason="signals as POSIX has them")


@contextlib.contextmanager
def listening(answer: bytes = b"") -> Iterator[str]:
    """``host:port`` of somebody who gives every connection this answer."""

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                with server.accept()[0] as connection:
                    connection.recv(65536)
                    connection.sendall(answer)

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=serve, daemon=True).start()
        yield f"127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def proxy() -> Iterator[str]:
    """Somebody who listens, and has nothing to say."""
    with listening() as place:
        yield f"http://{place}"


def start(proxy: str, confdir: Path, *command: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "aitap", "exec", "--proxy", proxy, "--confdir", str(confdir), "--", *command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def done(proxy: str, confdir: Path, *command: str) -> tuple[int, str, str]:
    process = start(proxy, confdir, *command)
    out, err = process.communicate(timeout=60)
    return process.returncode, out, err


def test_the_command_gets_the_variables_and_arguments_untouched(proxy: str, tmp_path: Path) -> None:
    code = "import json, os, sys; print(json.dumps([dict(os.environ), sys.argv[1:]]))"
    arguments = ["$HOME *", "--help", "--", "-x", ""]
    status, out, err = done(proxy, tmp_path, sys.executable, "-c", code, *arguments)
    assert (status, err) == (0, "")
    environment, received = json.loads(out)
    assert received == arguments
    assert environment["HTTPS_PROXY"] == environment["https_proxy"] == proxy
    assert environment["NODE_EXTRA_CA_CERTS"] == str(tmp_path / "mitmproxy-ca-cert.pem")
    assert Path(environment["SSL_CERT_FILE"]).read_bytes().count(b"BEGIN CERTIFICATE") > 20
    assert environment["PATH"] == os.environ["PATH"]
    assert "HTTPS_PROXY" not in os.environ


@pytest.mark.parametrize("status", [0, 1, 3, 77])
def test_its_exit_code_is_ours(status: int, proxy: str, tmp_path: Path) -> None:
    assert done(proxy, tmp_path, sys.executable, "-c", f"raise SystemExit({status})") == (status, "", "")


@posix
def test_a_signal_that_ends_it_is_128_and_its_number(proxy: str, tmp_path: Path) -> None:
    code = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    assert done(proxy, tmp_path, sys.executable, "-c", code)[0] == 128 + signal.SIGKILL


@posix
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_to_us_is_the_commands(number: signal.Signals, proxy: str, tmp_path: Path) -> None:
    code = (
        "import signal, sys\n"
        f"signal.pthread_sigmask(signal.SIG_BLOCK, {{{int(number)}}})\n"  # so that it cannot come too early
        "print('ready', flush=True)\n"
        f"signal.sigwait({{{int(number)}}})\n"
        "sys.exit(42)"
    )
    process = start(proxy, tmp_path, sys.executable, "-c", code)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (42, "", "")


def test_a_command_that_is_not_there_is_127(proxy: str, tmp_path: Path) -> None:
    assert done(proxy, tmp_path, "no-such-command") == (127, "", "aitap: no-such-command: command not found\n")


@posix
def test_a_file_that_cannot_be_run_is_126(proxy: str, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("")
    assert done(proxy, tmp_path, str(path))[0] == 126


@pytest.mark.parametrize(("credentials", "words"), [("", "wants a key"), ("alice:planted@", "refuses this key")])
def test_a_proxy_that_lets_nobody_in_is_one_line_and_nothing_runs(credentials: str, words: str, tmp_path: Path) -> None:
    with listening(b"HTTP/1.1 407 No\r\nContent-Length: 0\r\n\r\n") as place:
        status, out, err = done(f"http://{credentials}{place}", tmp_path, sys.executable, "-c", "print('ran')")
    assert (status, out) == (1, "")
    assert err.startswith(f"aitap: the proxy at {place} {words}")
    assert "planted" not in err


def test_nobody_at_the_address_is_one_line_and_nothing_runs(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    status, out, err = done(f"127.0.0.1:{port}", tmp_path / "conf", sys.executable, "-c", "print('ran')")
    assert (status, out) == (1, "")
    assert err.startswith(f"aitap: no proxy answers at 127.0.0.1:{port}: start it with `aitap run`")
    assert err.count("\n") == 1
    assert not (tmp_path / "conf").exists()
