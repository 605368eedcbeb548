"""HTTP archives."""

from __future__ import annotations

import base64
import io
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mitmproxy.addons.savehar import SaveHar

from aitap.capture.har import read_har
from aitap.capture.routes import Router
from aitap.capture.saved import Replay, SavedExchange, SavedFileError
from aitap.capture.saved_file import SavedFile
from tests.capture.making import dump, response_events, user
from tests.capture.saving import T0, archive, body, call, chat_answer, entry, socket_flow


class Slowly(io.BytesIO):
    """Gives a few bytes at a time, as a pipe may."""

    def read(self, size: int | None = -1) -> bytes:
        return super().read(min(7, size) if size and size > 0 else 7)


def read(data: bytes) -> list[SavedExchange | None]:
    found = list(read_har(SavedFile(io.BytesIO(data))))
    assert found == list(read_har(SavedFile(Slowly(data))))
    return found


def only(one: dict[str, Any]) -> SavedExchange:
    (saved,) = read(archive(one))
    assert saved is not None
    return saved


def test_an_entry_is_told_with_the_times_of_its_phases() -> None:
    saved = only(entry(url="https://API.openai.com/v1/chat/completions?a=b#c"))
    assert (saved.method, saved.hosts, saved.port) == ("POST", ("api.openai.com",), 443)
    assert (saved.path, saved.query, saved.http_version) == ("/v1/chat/completions", "a=b", "HTTP/2.0")
    assert (saved.body, saved.response, saved.status) == (body(), chat_answer(), 200)
    assert (saved.started_at, saved.asked_at, saved.responded_at, saved.ended_at) == (T0, T0 + 0.5, T0 + 2, T0 + 3)
    assert saved.ending == "whole"


def test_a_body_is_decompressed_already_whatever_the_headers_say() -> None:
    saved = only(entry())
    names = [name.lower() for name, _ in saved.response_headers]
    assert b"content-encoding" not in names
    assert (b"content-type", b"application/json") in saved.response_headers


def test_a_body_may_be_in_base64() -> None:
    one = entry()
    one["response"]["content"] |= {"text": base64.b64encode(b"\0\xff").decode(), "encoding": "base64"}
    assert only(one).response == b"\0\xff"


def test_a_body_that_the_browser_let_go_of_is_not_there() -> None:
    assert only(entry(answer=None)).response is None
    one = entry()
    del one["request"]["postData"]
    assert only(one).body is None
    one = entry(answer=None)
    one["response"]["content"]["size"] = 0
    assert only(one).response == b""


@pytest.mark.parametrize(
    ("error", "ending"),
    [("net::ERR_ABORTED", "cancelled"), ("net::ERR_CONNECTION_RESET", "broken"), (None, "interrupted")],
)
def test_an_entry_without_a_response_says_why(error: str | None, ending: str) -> None:
    one = entry()
    one["response"] = {"status": 0, "content": {}, "_error": error}
    assert (only(one).ending, only(one).status, only(one).failure) == (ending, None, error)


def test_what_comes_after_the_entries_is_none() -> None:
    assert len(read(archive(entry(), entry(T0 + 1), pages=[{"id": "page_1"}, {"id": "page_2"}]))) == 2
    assert read(archive()) == []


def test_a_byte_order_mark_and_white_space_do_no_harm() -> None:
    pretty = json.dumps(json.loads(archive(entry())), indent=4).encode()
    assert read(b"\xef\xbb\xbf" + pretty) == read(archive(entry()))


@pytest.mark.parametrize(
    "one",
    [{}, 5, [], entry(url=""), entry(url="http://[::1"), entry(startedDateTime="soon"), entry(startedDateTime=None)],
    ids=str,
)
def test_an_entry_that_tells_of_no_exchange_is_passed_over(one: Any) -> None:
    others = [saved for saved in read(archive(one, entry())) if saved is not None]
    assert len(others) == 1


def test_chromes_messages_of_a_socket_are_told() -> None:
    messages = [
        {"type": "send", "time": T0 + 1, "opcode": 1, "data": "one"},
        {"type": "receive", "time": T0 + 9, "opcode": 1, "data": "two"},
        {"type": "receive", "time": T0 + 3, "opcode": 2, "data": "AAAA"},
        {"type": "receive", "time": "x", "opcode": 1, "data": 5},
    ]
    one = entry(url="wss://api.openai.com/v1/responses", _webSocketMessages=messages)
    one["request"]["method"] = "GET"
    saved = only(one)
    assert [(m.from_client, m.content) for m in saved.messages or ()] == [(True, b"one"), (False, b"two")]
    assert (saved.ending, saved.ended_at) == ("interrupted", T0 + 9)


def test_an_archive_that_is_cut_off_gives_its_whole_entries_and_says_where_it_stopped() -> None:
    whole = archive(entry(), entry(T0 + 10))
    found: list[Any] = []
    with pytest.raises(SavedFileError, match=rf"ends at byte {len(whole) - 200}, within its entries: 1 were read"):
        found.extend(read_har(SavedFile(io.BytesIO(whole[:-200]))))
    assert len(found) == 1


@pytest.mark.parametrize("data", [b"{", b"{}", b'{"log":{"entries":5}}', b'{"log":'])
def test_what_is_no_archive_says_so(data: bytes) -> None:
    with pytest.raises(SavedFileError, match=r"no HTTP archive"):
        read(data)


def test_what_mitmproxy_exports_gives_the_records_of_its_own_flows() -> None:
    create = dump({"type": "response.create", "model": "m", "input": [user("over a socket")]})
    answered = [(False, dump(event)) for event in response_events()]
    json_type = {"Content-Type": "application/json"}
    found = [call(), call(T0 + 10, sent=body("caf\u00e9"), **json_type), call(T0 + 15, sent=body("\u4f60\u597d"))]
    found.append(socket_flow([(True, create), *answered], T0 + 20))
    har = json.dumps(SaveHar().make_har(found), indent=4).encode()
    replay = Replay(Router(), "me", "metadata+prompt")
    records = [record for saved in read(har) if saved for record in replay.records(saved)]
    assert [record.outcome for record in records] == ["completed"] * 4
    assert [record.user_prompts[0].prompt for record in records] == [
        "Say hi",
        "caf\u00e9",
        "\u4f60\u597d",
        "over a socket",
    ]
    assert [record.started_at for record in records] == [T0, T0 + 10, T0 + 15, T0 + 21]


_values = st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=5), st.lists, max_leaves=5)


@given(st.data())
def test_an_entry_of_any_shape_raises_nothing(data: st.DataObject) -> None:
    one = entry(_webSocketMessages=[{"type": "send", "time": 1, "opcode": 1, "data": "x"}])
    for _ in range(data.draw(st.integers(1, 3))):
        holder: Any = one
        while True:
            key = data.draw(st.sampled_from(sorted(holder)) if isinstance(holder, dict) else st.just(0))
            inner = holder[key] if isinstance(holder, dict) or holder else None
            if not isinstance(inner, dict) or not inner or data.draw(st.booleans()):
                break
            holder = inner
        if isinstance(holder, dict):
            holder[key] = data.draw(_values)
    replay = Replay(Router(), "me", "metadata+prompt")
    for saved in read(archive(one)):
        if saved is not None:
            replay.records(saved)
    assert replay.decode_errors == 0
