"""The policy, enforced by a real proxy: what a refused call gets, what goes on, and what the record says."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import zstandard

from aitap.access.identity import local_user
from tests.proxy.client import ANTHROPIC, OPENAI, Http2Client, connect, exchange, post
from tests.proxy.mitmdump import Mitmdump, until
from tests.proxy.upstream import Upstream, answer
from tests.proxy.wire import CHAT, GPT, MESSAGES, MODEL, RESPONSES, ask_chat, ask_messages, ask_responses, message_json

WORDS = "Ask the platform team, Gr\u00fc\u00dfe."
GOOGLE = "generativelanguage.googleapis.com"
BEDROCK = "bedrock-runtime.eu-west-1.amazonaws.com"

Enforce = Callable[..., Mitmdump]


@pytest.fixture
def under(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, start_proxy: Callable[..., Mitmdump]) -> Enforce:
    """Start a proxy with these rules; each is written as TOML."""

    def start(*rules: str, mode: str = "enforce", **how: Any) -> Mitmdump:
        file = tmp_path / "aitap.toml"
        file.write_text(f'policy = "{mode}"\n' + "".join(f"[[rule]]\n{rule}\n" for rule in rules), encoding="utf-8")
        monkeypatch.setenv("AITAP_CONFIG", str(file))
        return start_proxy(**how)

    return start


@pytest.fixture(scope="module")
def _refusing(tmp_path_factory: pytest.TempPathFactory, confdir: Path, _provider: Upstream) -> Iterator[Mitmdump]:
    folder = tmp_path_factory.mktemp("refusing")
    file = folder / "aitap.toml"
    models = '["gpt-*", "claude-*", "gemini-*", "x", "*eu.x", "llama", "command"]'
    file.write_text(f'policy = "enforce"\n[[rule]]\n{deny(f"models = {models}")}\n', encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AITAP_CONFIG", str(file))
        found = Mitmdump(folder, confdir, _provider, arguments=("--set", "aitap_decrypt=all"))
    yield found
    found.stop()


@pytest.fixture
def refusing(_refusing: Mitmdump, upstream: Upstream) -> Mitmdump:
    """A proxy that refuses the models of these tests, by their names."""
    _refusing.forget()
    return _refusing


def deny(condition: str) -> str:
    return f'action = "deny"\n{condition}\nmessage = "{WORDS}"'


def refused(body: bytes) -> str:
    error = json.loads(body)
    error = error.get("error", error)
    return error if isinstance(error, str) else error["message"]


def test_a_refused_call_gets_403_in_the_providers_shape_and_the_provider_hears_nothing(
    under: Enforce, upstream: Upstream
) -> None:
    proxy = under(deny('models = "claude-*"'))
    connection = connect(proxy, ANTHROPIC)
    response = post(connection, MESSAGES, ask_messages("Say hi", stream=True), x_api_key="sk-ant-not-a-key-0123456789")
    body = response.read()
    assert (response.status, response.getheader("content-type")) == (403, "application/json")
    assert response.getheader("x-aitap-policy") == "rule 1"
    assert json.loads(body) == {"type": "error", "error": {"type": "permission_error", "message": WORDS}}
    upstream.serve(answer(message_json("msg_1", text="Hi")))
    assert post(connection, MESSAGES, ask_messages("Say hi", model="other-1")).status == 200, "the connection stays"
    connection.close()

    denied, allowed = proxy.records(2)
    assert (denied["outcome"], denied["status_code"], denied["error_type"]) == ("failed", 403, "unauthorized")
    assert (denied["error_message"], denied["model"], denied["streaming"]) == (WORDS, MODEL, True)
    assert denied["metadata"]["policy"] == {"action": "deny", "rule": 1, "mode": "enforce"}
    assert denied["initiator"]["username"] == local_user()[1]
    assert denied["user_prompts"][0]["prompt"] == "Say hi"
    assert "policy" not in allowed["metadata"]
    assert [request.body for request, _ in upstream.exchanges] != []
    assert len(upstream.exchanges) == 1
    assert f"policy rule 1 refuses '{local_user()[1]}': model '{MODEL}' of anthropic at '{ANTHROPIC}'" in proxy.said()


@pytest.mark.parametrize(
    ("host", "path", "body", "model"),
    [
        (OPENAI, CHAT, ask_chat("Say hi"), GPT),
        (OPENAI, RESPONSES, ask_responses("Say hi", stream=True), GPT),
        ("api.githubcopilot.com", "/chat/completions", ask_chat("Say hi"), GPT),
        ("our.openai.azure.com", "/openai/deployments/x/chat/completions", b'{"messages":[]}', "x"),
        (GOOGLE, "/v1beta/models/gemini-1:streamGenerateContent?alt=sse", b"{}", "gemini-1"),
        ("cloudcode-pa.googleapis.com", "/v1internal:generateContent", b'{"model":"gemini-1"}', "gemini-1"),
        (BEDROCK, "/model/arn%3Aaws%3Abedrock%3A%3A%3Ap%2Feu.x/converse-stream", b"{}", "arn:aws:bedrock:::p/eu.x"),
        (BEDROCK, "/model/eu.x/invoke", b"{}", "eu.x"),
        ("ollama.com", "/api/chat", b'{"model":"llama","messages":[]}', "llama"),
        ("api.cohere.com", "/v2/chat", b'{"model":"command","messages":[]}', "command"),
        ("api.mistral.ai", CHAT, ask_chat("Say hi"), GPT),
        (ANTHROPIC, "/v1/messages/count_tokens", ask_messages("Count"), MODEL),
        ("llm.example.com", "/v1/chat/completions", ask_chat("Say hi"), GPT),
    ],
    ids=lambda value: value if isinstance(value, str) and "." in value else "",
)  # fmt: skip
def test_a_model_is_refused_wherever_the_request_names_it(
    host: str, path: str, body: bytes, model: str, refusing: Mitmdump, upstream: Upstream
) -> None:
    status, said = exchange(refusing, host, path, body)
    assert (status, refused(said)) == (403, WORDS)
    assert upstream.exchanges == []
    record = refusing.record()
    assert (record["model"], record["error_message"], record["error_type"]) == (model, WORDS, "unauthorized")
    assert record["metadata"]["policy"]["rule"] == 1


def test_warn_lets_all_go_on_and_records_what_would_have_been_refused(under: Enforce, upstream: Upstream) -> None:
    proxy = under(deny('users = "nobody"'), deny('models = "claude-*"'), mode="warn")
    upstream.serve(answer(message_json("msg_1", text="Hi")))
    assert exchange(proxy, ANTHROPIC, MESSAGES, ask_messages("Say hi"))[0] == 200
    record = proxy.record()
    assert (record["outcome"], record["status_code"]) == ("completed", 200)
    assert record["metadata"]["policy"] == {"action": "deny", "rule": 2, "mode": "warn"}
    assert "policy rule 2 would refuse" in proxy.said()


def test_switched_off_rules_do_nothing(under: Enforce, upstream: Upstream) -> None:
    proxy = under(deny('users = "*"'), mode="off")
    upstream.serve(answer(message_json("msg_1", text="Hi")))
    assert exchange(proxy, ANTHROPIC, MESSAGES, ask_messages("Say hi"))[0] == 200
    assert "policy" not in proxy.record()["metadata"]


def test_a_list_of_what_is_allowed_refuses_all_else(under: Enforce, upstream: Upstream) -> None:
    proxy = under(
        'action = "allow"\nproviders = "anthropic"\nmodels = "claude-*"\nclients = "Claude Code"', deny('users = "*"')
    )
    upstream.serve(answer(message_json("msg_1", text="Hi")))
    claude = {"user_agent": "claude-cli/2.1.0 (external, cli)"}
    assert exchange(proxy, ANTHROPIC, MESSAGES, ask_messages("Say hi"), **claude)[0] == 200
    assert exchange(proxy, ANTHROPIC, MESSAGES, ask_messages("Say hi"))[0] == 403, "another client"
    assert exchange(proxy, ANTHROPIC, MESSAGES, ask_messages("Say hi", model="x"), **claude)[0] == 403
    assert exchange(proxy, OPENAI, CHAT, ask_chat("Say hi"), **claude)[0] == 403
    assert len(upstream.exchanges) == 1
    rules = [record["metadata"].get("policy", {}).get("rule") for record in proxy.records(4)]
    assert rules == [None, 2, 2, 2]


@pytest.mark.parametrize(
    ("host", "path", "body"),
    [
        (OPENAI, "/v1/embeddings", b'{"model":"gpt-embed","input":"x"}'),
        (OPENAI, "/v1/batches", b'{"input_file_id":"file-1"}'),
        (OPENAI, "/v1/audio/transcriptions", b"--x\r\n"),
        (ANTHROPIC, "/v1/messages/batches", b'{"requests":[{"params":{"model":"claude-1"}}]}'),
        (GOOGLE, "/v1beta/models/gemini-1:batchGenerateContent", b"{}"),
        (BEDROCK, "/model-invocation-job", b'{"modelId":"x"}'),
        ("our.openai.azure.com", "/openai/deployments/x/embeddings", b'{"input":"x"}'),
    ],
)
def test_a_call_that_is_not_recorded_is_held_to_the_rules_too(
    host: str, path: str, body: bytes, refusing: Mitmdump, upstream: Upstream
) -> None:
    status, said = exchange(refusing, host, path, body)
    assert status == 403
    assert refused(said)
    assert upstream.exchanges == []


def test_a_call_that_is_not_recorded_passes_where_its_model_is_allowed(refusing: Mitmdump, upstream: Upstream) -> None:
    upstream.serve(answer(b"{}"))
    assert exchange(refusing, OPENAI, "/v1/embeddings", b'{"model":"other","input":"x"}')[0] == 200
    assert exchange(refusing, GOOGLE, "/v1beta/models/other:embedContent", b"{}")[0] == 200
    assert not any(record["model"] == "other" for record in refusing.all_records())


def test_what_is_no_call_of_a_model_is_left_alone(under: Enforce, upstream: Upstream) -> None:
    proxy = under(deny('users = "*"'), arguments=("--set", "aitap_decrypt=all"))
    upstream.serve(answer(b"{}"))
    assert exchange(proxy, OPENAI, "/v1/files", b"{}")[0] == 200
    assert exchange(proxy, "www.example.com", "/api/chat", b'{"text": "a site of its own"}')[0] == 200
    assert exchange(proxy, "www.example.com", "/api/chat", b"not packed", content_encoding="gzip")[0] == 403
    assert len(upstream.exchanges) == 2


@pytest.mark.parametrize(("coding", "pack"), [("gzip", gzip.compress), ("zstd", zstandard.compress)])
def test_a_model_is_found_in_a_packed_body(
    coding: str, pack: Callable[[bytes], bytes], refusing: Mitmdump, upstream: Upstream
) -> None:
    long = ask_responses("word " * 400_000)
    status, said = exchange(
        refusing, "chatgpt.com", "/backend-api/codex/responses", pack(long), content_encoding=coding
    )
    assert (status, refused(said)) == (403, WORDS)
    assert upstream.exchanges == []
    assert refusing.record()["model"] == GPT


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (b"no json", {}),
        (b"{}", {}),
        (ask_messages("Say hi"), {"content_encoding": "gzip"}),
        (ask_messages("Say hi"), {"content_encoding": "unheard-of"}),
    ],
)
def test_a_call_whose_model_cannot_be_read_is_refused_where_a_rule_may_deny_it(
    body: bytes, headers: dict[str, str], refusing: Mitmdump, upstream: Upstream
) -> None:
    status, said = exchange(refusing, ANTHROPIC, MESSAGES, body, **headers)
    assert (status, refused(said)) == (
        403,
        "This proxy cannot tell which model is asked, and policy rule 1 depends on it.",
    )
    assert upstream.exchanges == []


def test_streams_of_one_http2_connection_are_decided_each_for_itself(under: Enforce, upstream: Upstream) -> None:
    proxy = under(deny('models = "bad"'))
    upstream.serve(answer(message_json("msg_1", text="Hi")))
    client = Http2Client(proxy, ANTHROPIC)
    bad = client.post(MESSAGES, ask_messages("x" * 10_000, model="bad"))
    good = client.post(MESSAGES, ask_messages("Say hi", model="good"))
    client.until(lambda client: {bad, good} <= client.ended)
    client.close()
    assert [client.heads[stream][":status"] for stream in (bad, good)] == ["403", "200"]
    assert len(upstream.exchanges) == 1


def test_requests_that_are_to_be_streamed_past_an_enforced_policy_keep_the_proxy_down(under: Enforce) -> None:
    with pytest.raises(AssertionError) as caught:
        under(deny('users = "*"'), arguments=("--set", "stream_large_bodies=1m"))
    assert "aitap: policy = enforce reads requests before they go on: leave out mitmproxy's option" in str(caught.value)


def test_a_bad_rule_keeps_the_proxy_down_and_is_named(under: Enforce) -> None:
    with pytest.raises(AssertionError) as caught:
        under('action = "deny"\nmodel = "x"')
    assert "aitap.toml: rule 1: unknown key 'model', did you mean 'models'?" in str(caught.value)


def test_the_log_tells_a_rule_once_and_then_is_quiet_for_a_while(under: Enforce, upstream: Upstream) -> None:
    proxy = under(deny('providers = "anthropic"'), deny('providers = "openai"'))
    for _ in range(5):
        assert exchange(proxy, ANTHROPIC, MESSAGES, ask_messages("Say hi"))[0] == 403
    assert exchange(proxy, OPENAI, CHAT, ask_chat("Say hi"))[0] == 403
    proxy.records(6)
    until(lambda: "policy rule 2 refuses" in proxy.said(), "the second rule is told")
    assert proxy.said().count("policy rule 1 refuses") == 1
