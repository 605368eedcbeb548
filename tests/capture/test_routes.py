"""From host and path to provider and dialect."""

from __future__ import annotations

import pytest

from aitap.capture.dialects import DIALECTS
from aitap.capture.provider_rows import ProviderRow, builtin_table
from aitap.capture.routes import Route, Router
from tests.capture.making import CHAT, MESSAGES, RESPONSES

ROUTER = Router()


@pytest.mark.parametrize(
    ("host", "path", "route"),
    [
        ("api.anthropic.com", "/v1/messages", Route("anthropic", "anthropic", MESSAGES)),
        ("api.anthropic.com", "/v1/messages/count_tokens", Route("anthropic", "anthropic", MESSAGES, "auxiliary")),
        ("api.openai.com", "/v1/chat/completions", Route("openai", "openai", CHAT)),
        ("eu.api.openai.com", "/v1/responses", Route("openai", "openai", RESPONSES)),
        ("api.openai.com", "/v1/responses/compact", Route("openai", "openai", RESPONSES, "auxiliary")),
        ("api.openai.com", "/v1/responses/input_tokens", Route("openai", "openai", RESPONSES, "auxiliary")),
        ("chatgpt.com", "/backend-api/codex/responses", Route("openai", "chatgpt", RESPONSES)),
        ("api.githubcopilot.com", "/chat/completions", Route("copilot", "copilot", CHAT)),
        ("api.individual.githubcopilot.com", "/v1/messages", Route("copilot", "copilot", MESSAGES)),
        ("api.business.githubcopilot.com", "/responses", Route("copilot", "copilot", RESPONSES)),
        ("openrouter.ai", "/api/v1/chat/completions", Route("openai", "openrouter", CHAT)),
        ("api.deepseek.com", "/chat/completions", Route("openai", "deepseek", CHAT)),
        ("api.groq.com", "/openai/v1/chat/completions", Route("openai", "groq", CHAT)),
    ],
)
def test_a_call_of_a_model_is_known_by_host_and_path(host: str, path: str, route: Route) -> None:
    assert ROUTER.route(host, path) == route


@pytest.mark.parametrize(
    ("host", "path"),
    [
        ("api.openai.com", "/v1/chat/completions/"),
        ("api.openai.com", "//v1//chat/completions"),
        ("api.openai.com", "/v1/%63hat/completions"),
        ("api.openai.com", "/v1/chat%2Fcompletions"),
        ("api.openai.com", "/v1/./x/../chat/completions"),
        ("api.openai.com", "/../v1/chat/completions"),
        ("api.openai.com", "/V1/Chat/Completions"),
        ("api.openai.com", "/v1/chat;x=1/completions;y"),
        ("api.openai.com", "/v1/chat/completions#x"),
        ("api.openai.com", "/v1\\chat\\completions"),
        ("api.openai.com.", "/v1/chat/completions"),
    ],
)
def test_a_path_that_is_spelt_in_another_way_leads_to_the_same(host: str, path: str) -> None:
    assert ROUTER.route(host, path) == Route("openai", "openai", CHAT)


def test_the_method_of_a_path_may_be_escaped() -> None:
    for path in ("/v1beta/models/g-1%3AgenerateContent", "/v1beta/models/g-1:generate%43ontent"):
        found = ROUTER.route("generativelanguage.googleapis.com", path)
        assert found is not None
        assert found.api == "google.generate_content"


@pytest.mark.parametrize(
    ("host", "path"),
    [
        ("api.anthropic.com", "/v1/models"),
        ("api.anthropic.com", "/api/event_logging/v2/batch"),
        ("api.anthropic.com", "/v1/messages/batches"),
        ("api.anthropic.com", "/x/v1/messages"),
        ("api.openai.com", "/v1/embeddings"),
        ("api.openai.com", "/v1/responses/resp_1/cancel"),
        ("chatgpt.com", "/backend-api/codex/models"),
        ("chatgpt.com", "/v1/responses"),
        ("api.individual.githubcopilot.com", "/models"),
        ("example.com", "/v1/messages"),
        ("api.anthropic.com.example.com", "/v1/messages"),
        ("notgithubcopilot.com", "/chat/completions"),
        ("127.0.0.1", "/mcp"),
        ("", ""),
    ],
)
def test_everything_else_is_no_call_of_a_model(host: str, path: str) -> None:
    assert ROUTER.route(host, path) is None


def test_every_row_of_the_table_leads_to_a_dialect() -> None:
    table = builtin_table()
    names = [row["name"] for row in table["provider"]]
    assert len(names) == len(set(names))
    assert {row["routes"] for row in table["provider"]} <= set(table["routes"])
    assert {route["api"] for routes in table["routes"].values() for route in routes} <= set(DIALECTS)


def test_the_memory_of_strangers_is_bounded() -> None:
    router = Router()
    for number in range(10_000):
        router.route(f"{number}.example.com", "/")
    assert router.route.cache_info().currsize < 10_000
    before = router.route.cache_info().currsize
    assert router.route("api.anthropic.com", "/v1/messages/" + "x" * 60_000) is None
    assert router.route("x" * 60_000, "/") is None
    assert router.route.cache_info().currsize == before


def test_a_host_of_the_table_is_known_by_type_and_name_and_any_other_is_not() -> None:
    router = Router([ProviderRow("ours", "openai", ("llm.example.com", "*.gpu.example.com:8443"), "compatible")])
    assert router.knows("api.groq.com", 443) == ("openai", "groq")
    assert router.knows("llm.example.com", 8080) == ("openai", "ours")
    assert router.knows("one.gpu.example.com", 8443) == ("openai", "ours")
    assert router.knows("one.gpu.example.com", 443) is None
    assert router.knows("example.com", 443) is None
