"""Where the server listens, and whether keys are needed there."""

from __future__ import annotations

import socket

import pytest

from aitap.server.listening import ListenError, is_local, keys_needed, listen


def test_every_address_of_a_name_is_bound_to_one_port() -> None:
    sockets = listen("localhost", 0)
    try:
        assert len({one.getsockname()[1] for one in sockets}) == 1
        assert is_local(sockets)
    finally:
        for one in sockets:
            one.close()


def test_an_address_for_everybody_is_not_local() -> None:
    (bound,) = listen("0.0.0.0", 0)
    assert not is_local([bound])
    bound.close()


def test_a_port_that_is_taken_is_told_in_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ListenError, match=rf"^cannot listen on 127.0.0.1:{port}: .* with --port$"):
            listen("127.0.0.1", port)


def test_an_address_that_is_none_is_told_in_one_line() -> None:
    with pytest.raises(ListenError, match=r"--host 'no\.such\.host\.invalid'"):
        listen("no.such.host.invalid", 0)


@pytest.mark.parametrize(
    ("auth", "local", "needed"),
    [
        ("auto", True, False),
        ("auto", False, True),
        ("none", True, False),
        ("required", True, True),
        ("required", False, True),
    ],
)
def test_the_setting_means_what_it_means_for_the_proxy(auth: str, local: bool, needed: bool) -> None:
    assert keys_needed(auth, local=local) is needed  # type: ignore[arg-type]


def test_no_keys_where_others_can_reach_it_is_refused() -> None:
    with pytest.raises(ListenError, match="auth = none would show all records"):
        keys_needed("none", local=False)
