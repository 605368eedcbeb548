"""Chat Completions where Azure and Mistral speak it in a way of their own."""

from __future__ import annotations

import pytest

from aitap.capture.dialects import DIALECTS
from tests.capture.framing import exchange
from tests.capture.making import CHAT, chat_events, dump, read, sse, user


@pytest.mark.parametrize(
    ("body", "model"), [({}, "my gpt"), ({"model": ""}, "my gpt"), ({"model": "gpt-test-1"}, "gpt-test-1")]
)
def test_azure_names_the_model_in_the_path_where_the_body_does_not(body: dict[str, str], model: str) -> None:
    path = "/openai/deployments/my%20gpt/chat/completions"
    record = exchange("mine.openai.azure.com", path, {**body, "messages": [user("Say hi")]})
    assert (record.model, record.provider, record.provider_name) == (model, "openai", "azure")


def test_azures_first_chunk_without_a_choice_is_no_end() -> None:
    first = {"choices": [], "prompt_filter_results": [{"prompt_index": 0, "content_filter_results": {}}]}
    usage = {"prompt_tokens": 11, "completion_tokens": 7}
    wire = sse(CHAT, [first, *chat_events([{"content": "Hi"}], usage=usage)])
    body = {"model": "m", "stream": True, "messages": [user("Say hi")]}
    record = exchange(
        "mine.openai.azure.com",
        "/openai/v1/chat/completions",
        body,
        wire,
        "text/event-stream",
        headers={"api-key": "0123456789abcdef0123456789abcdef"},
    )
    assert (record.outcome, record.token_usages[0].input_tokens) == ("completed", 11)
    assert (record.credential_kind, record.credential_hint) == ("byok_api_key", "0123...cdef")


THINKING = [
    {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "Let me"}]}]},
    {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": " see é"}]}]},
    {"content": [{"type": "text", "text": "It is"}]},
    {"content": " so"},
]


def test_what_a_model_of_mistrals_thinks_is_a_thought() -> None:
    facts = read(CHAT, chat_events(THINKING))
    assert [(thought.source, thought.content) for thought in facts.thoughts] == [("reasoning_content", "Let me see é")]
    assert facts.first_output_at == 1.0


def test_thinking_of_a_whole_answer_is_a_thought() -> None:
    content = [part for delta in THINKING[:3] for part in delta["content"]]
    call = {"id": "D681PevKs", "function": {"name": "read", "arguments": '{"a": 1}'}, "index": 0}
    message = {"role": "assistant", "content": content, "tool_calls": [call]}
    body = {"id": "m1", "model": "magistral-test", "choices": [{"message": message, "finish_reason": "tool_calls"}]}
    ask = {"model": "magistral-test", "messages": [user("Say hi")]}
    record = exchange("api.mistral.ai", "/v1/chat/completions", ask, dump(body))
    assert [thought.content for thought in record.model_thoughts] == ["Let me see é"]
    assert [(tool.provider_tool_call_id, tool.input) for tool in record.tool_usages] == [("D681PevKs", '{"a": 1}')]
    assert (record.provider_name, record.outcome) == ("mistral", "completed")


def test_documents_of_mistrals_are_attachments() -> None:
    parts = [
        {"type": "text", "text": "What is it?"},
        {"type": "document_url", "document_url": "https://a.example/b.pdf"},
    ]
    [message] = DIALECTS[CHAT].request(dump({"messages": [user(parts)]}), "/").newest
    assert [(item.type, item.uri) for item in message.attachments] == [("file", "https://a.example/b.pdf")]


def test_filling_in_a_gap_is_no_conversation() -> None:
    body = {"model": "codestral-test", "prompt": "def f(", "suffix": "return a"}
    answer = {"choices": [{"message": {"content": "a):"}, "finish_reason": "stop"}], "usage": {"prompt_tokens": 3}}
    record = exchange("codestral.mistral.ai", "/v1/fim/completions", body, dump(answer))
    assert (record.purpose, record.outcome, record.token_usages[0].input_tokens) == ("auxiliary", "completed", 3)
