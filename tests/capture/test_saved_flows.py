"""Flow files of mitmproxy."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mitmproxy import flow
from mitmproxy.test import tflow

from aitap.capture.saved import SavedExchange, SavedFileError
from aitap.capture.saved_file import SavedFile
from aitap.capture.saved_flows import read_flows
from tests.capture.saving import T0, body, call, chat_answer, flows, socket_flow


def read(data: bytes) -> Iterator[SavedExchange | None]:
    return read_flows(SavedFile(io.BytesIO(data)))


def only(found: flow.Flow) -> SavedExchange:
    (saved,) = read(flows(found))
    assert saved is not None
    return saved


def test_a_flow_is_told_as_it_was_with_its_own_times() -> None:
    saved = only(call(path="/v1/chat/completions?key=x", **{"X-Request-Id": "r"}))
    assert (saved.method, saved.path, saved.query, saved.port) == ("POST", "/v1/chat/completions", "key=x", 443)
    assert saved.hosts == ("api.openai.com",)
    assert (saved.body, saved.response, saved.status) == (body(), chat_answer(), 200)
    assert (b"X-Request-Id", b"r") in saved.headers
    assert (saved.started_at, saved.asked_at, saved.responded_at, saved.ended_at) == (T0, T0 + 1, T0 + 2, T0 + 3)
    assert (saved.ending, saved.messages) == ("whole", None)


def test_every_name_of_a_redirected_host_is_told_the_one_the_client_used_last() -> None:
    found = call()
    found.request.host = "127.0.0.1"
    found.request.headers["host"] = "named.example.com"
    assert only(found).hosts == ("127.0.0.1", "api.openai.com", "named.example.com")


@pytest.mark.parametrize(
    ("message", "ending"),
    [("Client disconnected.", "cancelled"), ("server closed connection", "broken"), (None, "interrupted")],
)
def test_a_flow_without_its_end_says_why(message: str | None, ending: str) -> None:
    found = call()
    assert found.response is not None
    found.response.timestamp_end = None
    found.error = flow.Error(message, timestamp=T0 + 9) if message else None
    saved = only(found)
    assert (saved.ending, saved.failure) == (ending, message)
    assert saved.ended_at == (T0 + 9 if message else T0 + 2)
    found.response = None
    assert (only(found).ending, only(found).status) == (ending, None)


def test_a_body_that_was_streamed_past_is_not_there() -> None:
    assert only(call(answer=None)).response is None


@pytest.mark.parametrize(
    ("end", "by_client", "ending"),
    [(T0 + 9, True, "cancelled"), (T0 + 9, None, "cancelled"), (T0 + 9, False, "broken"), (None, None, "interrupted")],
)
def test_a_socket_is_told_with_its_text_messages_and_how_it_was_closed(
    end: float | None, by_client: bool | None, ending: str
) -> None:
    found = socket_flow([(True, b"one"), (False, b"two")])
    assert found.websocket is not None
    found.websocket.timestamp_end, found.websocket.closed_by_client = end, by_client
    saved = only(found)
    assert [(m.from_client, m.content, m.at) for m in saved.messages or ()] == [
        (True, b"one", T0 + 1),
        (False, b"two", T0 + 2),
    ]
    assert (saved.ending, saved.ended_at) == (ending, end or T0 + 2)


def test_other_kinds_of_flows_are_passed_over() -> None:
    found = list(read(flows(tflow.ttcpflow(), call(), tflow.tdnsflow())))
    assert [saved is None for saved in found] == [True, False, True]


def test_a_file_that_is_cut_off_gives_its_whole_flows_and_says_where_it_stopped() -> None:
    whole = flows(call(), call(T0 + 10))
    size = len(flows(call()))
    for cut in (size + 1, size + 5, len(whole) - 1):
        found: list[Any] = []
        with pytest.raises(SavedFileError) as caught:
            found.extend(read(whole[:cut]))
        assert len(found) == 1
        assert str(caught.value).startswith(f"cannot be read beyond flow 1, byte {size}: ")
        assert "\n" not in str(caught.value)


@given(st.data())
def test_broken_bytes_raise_nothing_but_their_own_error(data: st.DataObject) -> None:
    whole = bytearray(flows(call(), socket_flow([(True, b"x")])))
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    found: list[Any] = []
    with contextlib.suppress(SavedFileError):
        found.extend(read(bytes(whole)))
    assert len(found) <= 2
