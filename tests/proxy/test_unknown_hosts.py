"""Model servers that no table names, through a real proxy that decrypts them all the same."""

from __future__ import annotations

import json
import os
import threading

from tests.proxy.client import ANTHROPIC, connect, exchange, post
from tests.proxy.mitmdump import Mitmdump, aitap, until
from tests.proxy.upstream import Reply, Request, Upstream, answer
from tests.proxy.wire import CHAT, MESSAGES, ask_chat, ask_messages, chat_json, chat_sse, message_json

HOST = "llm.example.com"


def test_a_host_that_no_table_names_is_recorded_by_what_it_is_asked(decrypting: Mitmdump, upstream: Upstream) -> None:
    told = chat_sse("c1", text="Hi")
    upstream.serve(answer(told, "text/event-stream"))
    assert exchange(decrypting, HOST, f"/serve{CHAT}", ask_chat("Say hi", stream=True)) == (200, told)
    record = decrypting.record()
    assert (record["provider"], record["provider_name"], record["host"]) == ("unknown", HOST, HOST)
    assert (record["outcome"], record["user_prompts"][0]["prompt"]) == ("completed", "Say hi")
    assert record["api"] == "openai.chat_completions"


def test_what_only_looks_like_a_call_passes_unrecorded_and_unchanged(decrypting: Mitmdump, upstream: Upstream) -> None:
    upstream.serve(answer(b'{"ok": true}'))
    asked = os.urandom(50)
    for path in (CHAT, MESSAGES, "/forms/1/responses"):
        assert exchange(decrypting, HOST, path, asked) == (200, b'{"ok": true}')
    assert [request.body for request, _ in upstream.exchanges] == [asked] * 3
    upstream.serve(answer(message_json("msg_1", text="Hello")))
    exchange(decrypting, ANTHROPIC, MESSAGES, ask_messages("hi"))
    assert decrypting.record()["host"] == ANTHROPIC


def test_its_answer_is_streamed_also_before_anyone_knows_what_it_is(decrypting: Mitmdump, upstream: Upstream) -> None:
    released = threading.Event()

    def handler(_: Request, reply: Reply) -> None:
        reply.head(200, {"content-type": "application/json"})
        reply.send(b'{"first": ')
        released.wait(60)
        reply.send(b"1}")
        reply.end()

    upstream.serve(handler)
    connection = connect(decrypting, HOST)
    response = post(connection, CHAT, b"{}")
    assert response.read(10) == b'{"first": '
    released.set()
    assert response.read() == b"1}"
    connection.close()


def test_unknown_hosts_come_first_in_the_list(decrypting: Mitmdump, upstream: Upstream) -> None:
    upstream.serve(answer(chat_json("c1", text="Hi")))
    exchange(decrypting, "later.example.com", CHAT, ask_chat("Say hi"))
    decrypting.record()
    upstream.serve(answer(message_json("msg_1", text="Hello")))
    exchange(decrypting, ANTHROPIC, MESSAGES, ask_messages("hi"))
    decrypting.record()
    listed = until(lambda: aitap("hosts", "--database-url", decrypting.database_url), "the list")
    found = json.loads(listed.stdout)
    assert found[0]["provider"] == "unknown"
    names = [host["host"] for host in found]
    assert names.index("later.example.com") < names.index(ANTHROPIC)
