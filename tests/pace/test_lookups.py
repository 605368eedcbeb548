"""Headers, options and messages say what they say with mitmproxy's own methods, whatever they are asked."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mitmproxy import http
from mitmproxy.options import Options
from mitmproxy.proxy.context import Context
from mitmproxy.test import tflow

from aitap.access.grafts import Grafts
from aitap.pace import lookups

NAMES = ("Content-Type", "content-type", "X-ÿ", "x-Ÿ", "\u212aey", "key", "", "set-cookie", "\udc80", b"HOST", b"\xff")
ODD = (None, 1, ("a",), bytearray(b"host"))

names = st.sampled_from(
    [name if isinstance(name, bytes) else name.encode("utf-8", "surrogateescape") for name in NAMES]
)
headers = st.lists(st.tuples(names, st.binary(max_size=4)), max_size=6)


@pytest.fixture(scope="module")
def grafts() -> Iterator[Grafts]:
    found = Grafts()
    yield found
    found.remove()


def outcome(function: Callable[[], Any]) -> Any:
    """What comes of it: a value with its type, or an exception with its words."""
    try:
        found = function()
    except Exception as error:  # noqa: BLE001 - that is what is compared
        return type(error), str(error)
    return type(found), found


def questions(fields: Any, kind: type[http.Headers] = http.Headers) -> list[Any]:
    asked: Any = kind(())
    asked.fields = fields
    return [
        outcome(question)
        for name in (*NAMES, *ODD)
        for question in (
            functools.partial(asked.get, name),
            functools.partial(asked.get, name, "none"),
            functools.partial(asked.get, key=name, default=b""),
            functools.partial(asked.__getitem__, name),
            functools.partial(asked.__contains__, name),
        )
    ]


class Own(http.Headers):
    """A script's, with names of its own."""

    @staticmethod
    def _kconv(key: Any) -> Any:
        return key[:1]


@settings(max_examples=60, deadline=None)
@given(headers)
def test_a_header_is_found_as_mitmproxy_finds_it(fields: list[tuple[bytes, bytes]]) -> None:
    odd = [tuple(fields), fields, [*fields, (b"broken",)]]
    before = [questions(each, kind) for each in odd for kind in (http.Headers, Own)]
    grafts = Grafts()
    lookups.look_up_headers(grafts)
    try:
        assert "get" in vars(http.Headers)
        assert [questions(each, kind) for each in odd for kind in (http.Headers, Own)] == before
    finally:
        grafts.remove()


def test_an_option_is_what_it_is_and_what_can_be_changed_is_a_copy(grafts: Grafts) -> None:
    options = Options(mode=["regular"], listen_port=8081)
    names = sorted(options.keys())  # type: ignore[no-untyped-call]
    before = [outcome(functools.partial(getattr, options, name)) for name in (*names, "no_such_option")]
    lookups.read_options(grafts)
    assert [outcome(functools.partial(getattr, options, name)) for name in (*names, "no_such_option")] == before
    options.mode.append("socks5")
    assert options.mode == ["regular"]
    options.update(listen_port=None)  # type: ignore[no-untyped-call]
    assert options.listen_port is None


REQUEST: dict[str, Any] = {
    "http_version": b"HTTP/1.1",
    "headers": http.Headers(),
    "content": b"",
    "trailers": None,
    "timestamp_start": 1.0,
    "timestamp_end": None,
    "host": "a",
    "port": 1,
    "method": b"GET",
    "scheme": b"https",
    "authority": b"",
    "path": b"/",
}


def method_of(values: dict[str, Any]) -> bytes:
    return http.RequestData(**values).method


def test_a_message_is_refused_where_mitmproxy_refuses_it_and_in_its_words(grafts: Grafts) -> None:
    values = (None, 1, 1.0, True, "text", b"bytes", bytearray(), http.Headers(), Own(), ())

    def made() -> list[Any]:
        return [outcome(functools.partial(method_of, {**REQUEST, name: value})) for name in REQUEST for value in values]

    before = made()
    assert len({kind for kind, _ in before}) > 1
    lookups.make_messages(grafts)
    assert made() == before


def test_a_forked_context_has_layers_of_its_own_and_shares_the_rest(grafts: Grafts) -> None:
    context = Context(tflow.tclient_conn(), Options())
    context.layers.append("layer")  # type: ignore[arg-type]
    before = context.fork()
    lookups.fork_contexts(grafts)
    forked = context.fork()
    assert vars(forked) == vars(before)
    assert forked.server is context.server
    assert forked.layers is not context.layers
