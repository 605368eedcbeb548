"""Who is asked for a key depends on who can reach the proxy, and in which mode; and it may change while it runs."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.proxy.gate import Gated, gated, knock, own_address, rest
from tests.proxy.mitmdump import Mitmdump, until
from tests.proxy.people import basic
from tests.proxy.upstream import Upstream, answer

CONNECT = b"CONNECT api.openai.com:443 HTTP/1.1\r\nHost: api.openai.com:443\r\n"
PLAIN = b"GET https://api.openai.com/v1/models HTTP/1.1\r\nHost: api.openai.com\r\n"


def shown(value: str) -> bytes:
    return f"Proxy-Authorization: {value}\r\n\r\n".encode()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


@pytest.mark.parametrize("auth", ["auto", "none"])
def test_on_loopback_nobody_is_asked(auth: str, start_proxy: Callable[..., Mitmdump], upstream: Upstream) -> None:
    upstream.serve(answer(b"{}"))
    with gated(start_proxy, auth=auth) as place:
        assert knock(place, CONNECT + b"\r\n").status == 200
        assert knock(place, PLAIN + b"\r\n").status == 200
        assert knock(place, PLAIN + shown(basic("a", "wrong"))).status == 200


def test_one_public_listener_is_enough_for_a_key_to_be_needed_everywhere(
    start_proxy: Callable[..., Mitmdump], upstream: Upstream
) -> None:
    modes = ("--mode", "regular", "--mode", f"regular@0.0.0.0:{free_port()}")
    with gated(start_proxy, auth="auto", arguments=modes) as place:
        assert knock(place, CONNECT + b"\r\n").status == 407
        assert knock(place, CONNECT + shown(basic("alice", place.people.key()))).status == 200
    assert upstream.exchanges == []


def test_a_listener_that_is_opened_later_counts_from_then_on(
    start_proxy: Callable[..., Mitmdump], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sign = tmp_path / "sign"
    monkeypatch.setenv("TEST_WIDEN", str(sign))
    with gated(lambda **how: start_proxy("widen.py", **how), auth="auto") as place:
        assert knock(place, CONNECT + b"\r\n").status == 200
        port = free_port()
        sign.with_suffix(".new").write_text(str(port))
        sign.with_suffix(".new").rename(sign)
        until(lambda: knock(place, CONNECT + b"\r\n").status == 407, "a key is needed")
        assert knock(place, CONNECT + shown(basic("alice", place.people.key()))).status == 200

        def there() -> bool:
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", port)) == 0

        until(there, "the other listener")
        with socket.create_connection(("127.0.0.1", port), 60) as other:
            other.sendall(CONNECT + b"\r\n")
            assert other.recv(65536).startswith(b"HTTP/1.1 407 ")


def test_where_there_is_no_place_for_a_key_a_connection_is_closed(
    start_proxy: Callable[..., Mitmdump], upstream: Upstream
) -> None:
    mode = ("--mode", "reverse:tcp://api.openai.com:443")
    with gated(start_proxy, arguments=mode) as place, place.dial(own_address()) as connection:
        assert closed(connection)
    assert upstream.exchanges == []


def closed(connection: socket.socket) -> bool:
    try:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: api.openai.com\r\n\r\n")
    except OSError:
        return True
    return rest(connection) == b""


def test_mitmproxys_own_authentication_beside_ours_is_refused_in_one_line(start_proxy: Callable[..., Mitmdump]) -> None:
    with pytest.raises(AssertionError) as caught, gated(start_proxy, arguments=("--set", "proxyauth=alice:secret")):
        pass
    assert "aitap: mitmproxy's proxyauth and aitap's auth exclude each other: leave out --proxyauth" in str(
        caught.value
    )
    assert "Traceback" not in str(caught.value)


def test_mitmproxys_own_authentication_is_let_be_where_ours_is_off(
    start_proxy: Callable[..., Mitmdump], upstream: Upstream
) -> None:
    upstream.serve(answer(b"{}"))
    with gated(
        lambda **how: start_proxy("spy.py", **how), auth="none", arguments=("--set", "proxyauth=alice:secret")
    ) as place:
        assert knock(place, CONNECT + b"\r\n").status == 407
        assert knock(place, PLAIN + shown(basic("alice", "secret"))).status == 200
        assert "spy: CREDENTIALS" not in place.proxy.said()


def test_a_replay_is_the_operators_and_is_not_asked(
    start_proxy: Callable[..., Mitmdump], upstream: Upstream, tmp_path: Path
) -> None:
    upstream.serve(answer(b"{}"))
    flows = tmp_path / "flows.mitm"
    with gated(start_proxy, arguments=("--set", f"save_stream_file={flows}")) as place:
        assert knock(place, PLAIN + shown(basic("alice", place.people.key()))).status == 200
        place.proxy.stop()
    assert len(upstream.exchanges) == 1
    with gated(start_proxy, arguments=("--set", f"client_replay={flows}", "--set", "keepserving=true")) as place:
        until(lambda: len(upstream.exchanges) == 2, "the replay")
        assert knock_still_refused(place)


def knock_still_refused(place: Gated) -> bool:
    return knock(place, CONNECT + b"\r\n").status == 407
