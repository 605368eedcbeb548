"""No key, password or token that a client shows to the proxy is found anywhere afterwards, let in or not."""

from __future__ import annotations

import base64
import hashlib
import signal
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.proxy.coder import Deployment
from tests.proxy.gate import gated, knock, own_address, rest
from tests.proxy.mitmdump import Mitmdump, aitap, until
from tests.proxy.people import basic
from tests.proxy.upstream import Upstream, answer
from tests.proxy.wire import CHAT, ask_chat, chat_json

PASSWORD = "Pa55:w0rd-9f8Zq3vK7rWm2T"
TOKEN = "aBcDeFgHiJ-9f8Zq3vK7rWm2TxLp6YdQe"
WRONG = "wr0ng-9f8Zq3vK7rWm2TxLp6Yd-cr3d"
BODY = ask_chat("hi")
CONNECT = b"CONNECT api.openai.com:443 HTTP/1.1\r\nHost: api.openai.com:443\r\n"
PLAIN = (
    f"POST https://api.openai.com{CHAT} HTTP/1.1\r\nHost: api.openai.com\r\nContent-Type: application/json\r\n"
    f"Content-Length: {len(BODY)}\r\n"
).encode()
OUTPUTS = ["export --contents", "export --format csv", "interceptions list --json", "hosts --json", "users list --json"]


def test_planted_keys_passwords_and_tokens_are_found_nowhere(
    tmp_path: Path, start_proxy: Callable[..., Mitmdump], upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    upstream.serve(answer(chat_json("c1", text="Hi")))
    deployment = Deployment()
    deployment.users[TOKEN] = {
        "id": "3f1c2a52-0b3f-4c80-9a34-3a6d9b4d8f10",
        "username": "grace",
        "name": "Grace",
        "email": "grace@example.com",
    }
    (tmp_path / "proxy").mkdir()
    (tmp_path / "htpasswd").write_text(
        "erin:{SHA}" + base64.b64encode(hashlib.sha1(PASSWORD.encode()).digest()).decode() + "\n"
    )
    monkeypatch.setenv("AITAP_HTPASSWD", str(tmp_path / "htpasswd"))
    monkeypatch.setenv("AITAP_CODER_URL", deployment.url)
    monkeypatch.setenv("COLUMNS", "1000")
    with socket.create_server(("127.0.0.1", 0)) as probe:
        socks = probe.getsockname()[1]
    flows = tmp_path / "flows.mitm"
    arguments = ("--mode", "regular", "--mode", f"socks5@127.0.0.1:{socks}", "--set", "termlog_verbosity=debug")
    arguments += ("--set", f"save_stream_file={flows}", "--set", "flow_detail=3", "--set", "aitap_capture=full")
    with gated(start_proxy, arguments=arguments, visible=True) as place:
        good, ended, gone = place.people.key(), place.people.key("frank"), place.people.key(expires_in=-1)
        assert knock(place, CONNECT + shown(basic("frank", ended)), own_address()).status == 200
        place.people.revoke(ended)
        shows = [
            (200, good),
            (407, ended),
            (407, gone),
            (200, TOKEN),
            (407, WRONG),
            (407, f"aitap_{WRONG:x<43}"),
        ]
        until(lambda: knock(place, CONNECT + shown(basic("frank", ended)), own_address()).status == 407, "revocation")
        values = [(status, value) for status, it in shows for value in (basic("user", it), f"Bearer {it}")]
        values += [(200, basic("erin", PASSWORD)), (407, basic("erin", WRONG)), (407, basic(WRONG, WRONG))]
        for status, value in values:
            assert knock(place, CONNECT + shown(value), own_address()).status == status
            assert knock(place, PLAIN + shown(value) + BODY, own_address()).status == status
            # Broken off in the middle, cut in the wrong place, or no HTTP at all.
            for broken in (CONNECT + shown(value)[:-4], b"Proxy-Authorization " + value.encode() + b"\r\n\r\n"):
                with place.dial(own_address()) as connection:
                    connection.sendall(broken)
                    connection.shutdown(socket.SHUT_WR)
                    rest(connection)
        for password in (good, PASSWORD, TOKEN, WRONG):
            for name in ("erin", WRONG):
                sign_in(socks, name, password)
        place.proxy.records(5)

        table = subprocess.run(["ps", "-A", "-ww", "-o", "args="], capture_output=True, text=True, check=True).stdout
        environ = place.proxy.database_url
        said = {words: aitap(*words.split(), AITAP_DATABASE_URL=environ) for words in OUTPUTS}
        assert {words: done.returncode for words, done in said.items()} == dict.fromkeys(OUTPUTS, 0), said
        place.proxy.process.send_signal(signal.SIGUSR1)  # mitmproxy tells of its tasks and connections
        place.proxy.process.send_signal(signal.SIGUSR2)  # and where each thread is
        until(lambda: "Thread" in place.proxy.said() or "Tasks" in place.proxy.said(), "what mitmproxy tells of itself")
        place.proxy.stop()
        files = {path.name: path.read_bytes() for path in place.proxy.folder.iterdir() if path.is_file()}
    deployment.close()
    files["flows"] = flows.read_bytes()
    del files["htpasswd"]
    places = files | {words: (done.stdout + done.stderr).encode() for words, done in said.items()}
    places["process list"] = table.encode()
    assert {"aitap.db", "mitmdump.log", "flows"} <= places.keys()

    for secret in (good, ended, gone, PASSWORD, TOKEN, WRONG):
        for form in forms(secret):
            assert [place for place, text in places.items() if form in text] == [], secret
    assert b"client disconnect" in places["mitmdump.log"]


def shown(value: str) -> bytes:
    return f"Proxy-Authorization: {value}\r\n\r\n".encode()


def forms(secret: str) -> list[bytes]:
    """The core of a secret as it is, and in base64 wherever it may begin."""
    core = secret.encode()
    return [core, core.hex().encode(), *(base64.b64encode(b"." * shift + core)[4:-4] for shift in (0, 1, 2))]


def sign_in(port: int, name: str, password: str) -> None:
    """Show user and password by SOCKS5, whole and cut."""
    message = b"\x01" + bytes([len(name)]) + name.encode() + bytes([len(password)]) + password.encode()
    for data in (message, message[:-1]):
        with socket.create_connection(("127.0.0.1", port), 60, source_address=(own_address(), 0)) as connection:
            connection.sendall(b"\x05\x01\x02" + data)
            connection.shutdown(socket.SHUT_WR)
            rest(connection)
