"""Hosts that are in no table, and speak a language that we know."""

from __future__ import annotations

import gzip
from typing import Any

import pytest

from aitap.capture.dialects import DIALECTS
from aitap.capture.environment import Environment
from aitap.capture.exchange import Exchange
from aitap.capture.pipeline import Pipeline
from aitap.capture.provider_rows import builtin_table, own_rows
from aitap.capture.recording import RequestHead
from aitap.capture.routes import Route, Router
from aitap.record import Interception
from tests.capture.making import CHAT, MESSAGES, RESPONSES, Records, dump, user

ROUTER = Router()
HOST = "llm.example.com"
GEMINI = {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}
CONVERSE = {"messages": [{"role": "user", "content": [{"text": "hi"}]}]}
ASKED = {"model": "m", "messages": [user("hi")]}


def requested(path: str, body: bytes, headers: dict[str, str] | None = None) -> list[Interception]:
    """A POST to a host that is in no table, never answered; nothing may be announced before its body was seen."""
    route = ROUTER.guess(HOST, path)
    if route is None:
        return []
    records = Records()
    pipeline = Pipeline(Environment("me", "metadata+prompt"), records, announce_after=0.0)
    head = RequestHead(route, "POST", HOST, path, "", "HTTP/1.1", headers or {}, 1.0)
    exchange = Exchange(pipeline, lambda: head)
    exchange.begin(body, 1.0)
    exchange.respond(200, ((b"content-type", b"text/plain"),), 2.0)
    exchange.feed(b"hello", 1.0)
    pipeline.drain()
    pipeline.announce()
    announced = list(records.all)
    exchange.end(3.0)
    pipeline.drain()
    assert not pipeline._open
    assert pipeline.decode_errors == 0
    assert len(announced) == len(records.all[len(announced) :])
    return records.all[len(announced) :]


@pytest.mark.parametrize(
    ("path", "body", "api"),
    [
        ("/chat/completions", ASKED, CHAT),
        ("/serve/v1/chat/completions", ASKED, CHAT),
        ("/v1/messages", ASKED, MESSAGES),
        ("/v1/messages", {"model": "m", "messages": [user("hi"), {"role": "assistant", "content": "{"}]}, MESSAGES),
        ("/v1/messages/count_tokens", ASKED, MESSAGES),
        ("/v1/responses", {"model": "m", "input": "hi"}, RESPONSES),
        ("/v1/responses", {"model": "m", "input": [user("hi")]}, RESPONSES),
        ("/v1beta/models/m:generateContent", GEMINI, "google.generate_content"),
        ("/v1/projects/p/locations/l/models/m:streamGenerateContent", GEMINI, "google.generate_content"),
        ("/v1internal:generateContent", {"model": "m", "request": GEMINI}, "google.generate_content"),
        ("/v1/publishers/anthropic/models/m:rawPredict", {"messages": [user("hi")]}, MESSAGES),
        ("/model/m/converse", CONVERSE, "bedrock.converse"),
        ("/model/arn%3Aaws%3Am/converse-stream", CONVERSE, "bedrock.converse"),
        ("/model/anthropic.m/invoke", {"messages": [user("hi")]}, "bedrock.invoke"),
        ("/api/chat", ASKED, "ollama.chat"),
        ("/api/generate", {"model": "m", "prompt": "hi"}, "ollama.generate"),
        ("/v2/chat", ASKED, "cohere.chat"),
        ("/openai/deployments/d/completions", {"prompt": "hi"}, "openai.completions"),
        ("/serving-endpoints/e/invocations", {"messages": [user("hi")]}, CHAT),
        ("/v1/text/chatcompletion_v2", ASKED, CHAT),
        (
            "/api/v1/services/aigc/text-generation/generation",
            {"model": "m", "input": {"messages": [user("hi")]}},
            "dashscope.generation",
        ),
    ],
)
def test_a_call_of_a_model_is_recorded_under_the_name_of_its_host(path: str, body: Any, api: str) -> None:
    (record,) = requested(path, dump(body))
    assert (record.provider, record.provider_name, record.host, record.api) == ("unknown", HOST, HOST, api)
    assert record.model
    assert record.response_bytes == 5


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"hello",
        b"[1, 2]",
        b"\0\xff",
        dump({"model": "m"}),
        dump({"messages": [user("hi")]}),
        dump({"model": "", "messages": [user("hi")]}),
        dump({"model": "m", "messages": []}),
        dump({"model": "m", "messages": ["hi"]}),
        dump({"model": "m", "messages": "hi"}),
        dump({"model": "m", "messages": [{"from": "ann", "text": "hi"}]}),
        dump({"answers": {"q1": "yes"}, "model": "Tesla"}),
    ],
)
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages", "/forms/1/responses", "/api/chat"])
def test_what_only_looks_like_one_leaves_no_trace(path: str, body: bytes) -> None:
    assert requested(path, body) == []


@pytest.mark.parametrize("path", ["/api/chat", "/api/generate", "/v2/chat"])
def test_the_chat_that_a_web_page_has_with_its_own_server_is_its_own(path: str) -> None:
    body = dump({**ASKED, "prompt": "hi"})
    assert requested(path, body, {"origin": "https://app.example.com"}) == []
    # A program may have an origin, too; a page may speak the language of a model elsewhere.
    assert len(requested(path, body, {"origin": "chrome-extension://abc"})) == 1
    assert len(requested(f"/ollama{path}", body, {"origin": "https://app.example.com"})) == (path != "/v2/chat")
    assert len(requested("/api/chat/completions", body, {"origin": "https://app.example.com"})) == 1


def test_a_body_may_be_coded_and_need_not_be_readable() -> None:
    headers = {"content-encoding": "gzip"}
    assert len(requested("/v1/messages", gzip.compress(dump(ASKED)), headers)) == 1
    assert requested("/v1/messages", dump(ASKED), headers) == []


@pytest.mark.parametrize(
    ("host", "path", "port"),
    [
        (HOST, "/", 443),
        (HOST, "/completions", 443),
        (HOST, "/v1/messages/", 443),
        (HOST, "/v1/chat/completions/x", 443),
        ("api.openai.com", "/v9/chat/completions", 443),
        ("api.anthropic.com", "/x/v1/messages", 443),
        ("localhost", "/v1/v2/chat", 11434),
    ],
)
def test_other_paths_and_hosts_of_the_table_are_never_guessed_at(host: str, path: str, port: int) -> None:
    assert ROUTER.guess(host, path, port) is None


def test_a_host_that_the_table_names_with_a_port_is_unknown_at_others() -> None:
    assert ROUTER.route("localhost", "/api/chat", 11434) == Route("ollama", "ollama", "ollama.chat")
    assert ROUTER.guess("localhost", "/v1/chat/completions", 1234) == Route("unknown", "localhost", CHAT)


def test_a_users_own_row_makes_a_host_known() -> None:
    row = {"name": "ours", "type": "openai", "hosts": [HOST], "routes": "compatible"}
    router = Router(own_rows([row]))
    assert router.route(HOST, "/chat/completions") == Route("openai", "ours", CHAT)
    assert router.guess(HOST, "/api/chat") is None


def test_what_other_models_are_asked_at_a_known_host_leaves_no_trace() -> None:
    """Databricks has one path for models of every kind."""
    host, path = "mine.cloud.databricks.com", "/serving-endpoints/e/invocations"
    for body, found in (({"messages": [user("hi")]}, 1), ({"dataframe_records": [{"a": 1}]}, 0), ({"input": "hi"}, 0)):
        route = ROUTER.route(host, path)
        assert route is not None
        records = Records()
        pipeline = Pipeline(Environment("me", "metadata+prompt"), records, announce_after=0.0)
        head = RequestHead(route, "POST", host, path, "", "HTTP/1.1", {}, 1.0)
        exchange = Exchange(pipeline, lambda head=head: head)
        exchange.begin(dump(body), 1.0)
        exchange.end(3.0)
        pipeline.drain()
        assert len(records.all) == found


def test_every_shape_has_a_plain_last_word_and_leads_to_a_dialect() -> None:
    for shape in builtin_table()["unknown"]:
        assert set(shape) <= {"path", "api", "purpose", "pages"}
        assert shape["api"] in DIALECTS
        assert ROUTER.guess(HOST, shape["path"].replace("*", "/x/y")) is not None


def test_a_fault_of_ours_before_the_body_was_understood_leaves_no_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken:
        name = CHAT

        def request(self, body: bytes, path: str) -> Any:
            raise RuntimeError

    monkeypatch.setitem(DIALECTS, CHAT, Broken())
    records = Records()
    pipeline = Pipeline(Environment("me", "metadata+prompt"), records, announce_after=0.0)
    route = ROUTER.guess(HOST, "/chat/completions")
    assert route is not None
    exchange = Exchange(pipeline, lambda: RequestHead(route, "POST", HOST, "/", "", "HTTP/1.1", {}, 1.0))
    exchange.begin(b"{}", 1.0)
    exchange.end(2.0)
    pipeline.drain()
    assert (records.all, pipeline.decode_errors) == ([], 1)
