"""Which hosts and paths the provider table knows, and a user's own beside them."""

from __future__ import annotations

import pytest

from aitap.capture.provider_rows import own_rows
from aitap.capture.routes import Route, Router

ROUTER = Router()
ARN = "arn%3Aaws%3Abedrock%3Aeu-west-1%3A123456789012%3Ainference-profile%2Feu.x"
CHAT, RESPONSES, MESSAGES = "openai.chat_completions", "openai.responses", "anthropic.messages"


def found(host: str, path: str, port: int = 443) -> tuple[str, str, str] | None:
    route = ROUTER.route(host, path, port)
    return None if route is None else (route.provider, route.provider_name, route.api)


@pytest.mark.parametrize(
    ("host", "path", "expected"),
    [
        ("api.anthropic.com", "/v1/messages", ("anthropic", "anthropic", MESSAGES)),
        ("api.openai.com", "/v1/responses", ("openai", "openai", RESPONSES)),
        ("chatgpt.com", "/backend-api/codex/responses", ("openai", "chatgpt", RESPONSES)),
        ("api.individual.githubcopilot.com", "/responses", ("copilot", "copilot", RESPONSES)),
        ("api.business.githubcopilot.com", "/v1/messages", ("copilot", "copilot", MESSAGES)),
        ("copilot-api.acme.ghe.com", "/chat/completions", ("copilot", "copilot", CHAT)),
        ("proxy.individual.githubcopilot.com", "/chat/completions", ("copilot", "copilot-proxy", CHAT)),
        ("proxy.business.githubcopilot.com", "/v1/engines/gpt-copilot/completions", None),
        ("au.api.openai.com", "/v1/responses", ("openai", "openai", RESPONSES)),
        ("us-east-1.api.x.ai", "/v1/realtime", ("openai", "xai", "openai.realtime")),
        (
            "gateway.ai.cloudflare.com",
            "/v1/acc/gw/google-ai-studio/v1/models/gemini-x:streamGenerateContent",
            ("google", "cloudflare", "google.generate_content"),
        ),
        (
            "gateway.ai.cloudflare.com",
            "/v1/acc/gw/aws-bedrock/bedrock-runtime/us-east-1/model/a.b/invoke",
            ("bedrock", "cloudflare", "bedrock.invoke"),
        ),
        ("gateway.ai.cloudflare.com", "/v1/acc/gw/anthropic/v1/messages", ("anthropic", "cloudflare", MESSAGES)),
        (
            "gateway.ai.cloudflare.com",
            "/v1/acc/gw/google-vertex-ai/v1/projects/p/locations/l/publishers/anthropic/models/c:streamRawPredict",
            ("anthropic", "cloudflare", "vertex.anthropic"),
        ),
        ("gateway.ai.cloudflare.com", "/v1/acc/gw/cohere/v2/chat", ("cohere", "cloudflare", "cohere.chat")),
        ("opencode.ai", "/zen/v1/models/gemini-x:generateContent", ("google", "opencode", "google.generate_content")),
        ("api.factory.ai", "/api/llm/a/v1/messages", ("anthropic", "factory", MESSAGES)),
        ("ampcode.com", "/api/provider/openai/v1/responses", ("openai", "amp", RESPONSES)),
        ("mine.cloud.databricks.com", "/serving-endpoints/chat/completions", ("openai", "databricks", CHAT)),
        ("openrouter.ai", "/api/v1/chat/completions", ("openai", "openrouter", CHAT)),
        ("openrouter.ai", "/api/v1/messages", ("anthropic", "openrouter", MESSAGES)),
        ("api.deepseek.com", "/anthropic/v1/messages", ("anthropic", "deepseek", MESSAGES)),
        ("mine.openai.azure.com", "/openai/deployments/gpt/chat/completions", ("openai", "azure", CHAT)),
        ("mine.openai.azure.com", "/openai/v1/chat/completions", ("openai", "azure", CHAT)),
        ("mine.cognitiveservices.azure.com", "/openai/responses", ("openai", "azure", RESPONSES)),
        ("mine.services.ai.azure.com", "/openai/v1/responses", ("openai", "azure", RESPONSES)),
        ("mine.services.ai.azure.com", "/models/chat/completions", ("openai", "azure", CHAT)),
        ("mine.services.ai.azure.com", "/anthropic/v1/messages", ("anthropic", "azure", MESSAGES)),
        ("bedrock-runtime.us-east-1.amazonaws.com", f"/model/{ARN}/invoke", ("bedrock", "bedrock", "bedrock.invoke")),
        (
            "bedrock-runtime-fips.us-east-1.amazonaws.com",
            "/model/a/converse",
            ("bedrock", "bedrock", "bedrock.converse"),
        ),
        (
            "bedrock-runtime.cn-north-1.amazonaws.com.cn",
            "/model/a/converse",
            ("bedrock", "bedrock", "bedrock.converse"),
        ),
        ("bedrock-runtime.us-east-1.amazonaws.com", "/openai/v1/chat/completions", ("bedrock", "bedrock", CHAT)),
        ("bedrock-mantle.us-east-1.api.aws", "/anthropic/v1/messages", ("bedrock", "bedrock", MESSAGES)),
        ("ollama.com", "/api/chat", ("ollama", "ollama", "ollama.chat")),
        ("api.cohere.com", "/v2/chat", ("cohere", "cohere", "cohere.chat")),
        ("api.mistral.ai", "/v1/agents/completions", ("openai", "mistral", CHAT)),
        ("api.eu.mistral.ai", "/v1/chat/completions", ("openai", "mistral", CHAT)),
        (
            "claude.googleapis.com",
            "/v1/projects/p/locations/global/workspaces/w/invoke/v1/messages",
            ("anthropic", "anthropic-google", MESSAGES),
        ),
        ("models.inference.ai.azure.com", "/chat/completions", ("openai", "github-models", CHAT)),
        ("eastus.api.cognitive.microsoft.com", "/openai/deployments/g/chat/completions", ("openai", "azure", CHAT)),
        ("1.us-central1-2.prediction.vertexai.goog", "/v1/p/endpoints/1/chat/completions", ("openai", "vertex", CHAT)),
        ("us-aiplatform.googleapis.com", "/v1/p/publishers/ai21/models/j:rawPredict", ("openai", "vertex", CHAT)),
        ("w.cn-beijing.maas.aliyuncs.com", "/compatible-mode/v1/chat/completions", ("openai", "dashscope", CHAT)),
        ("dashscope-intl.aliyuncs.com", "/api/v2/apps/anthropic/v1/messages", ("anthropic", "dashscope", MESSAGES)),
        ("groq.helicone.ai", "/openai/v1/chat/completions", ("openai", "helicone", CHAT)),
        ("ai-gateway.vercel.sh", "/v3/ai/language-model", ("openai", "vercel", "vercel.language_model")),
        ("ai-gateway.vercel.sh", "/v3/ai/embedding-model", None),
        ("api.writer.com", "/v1/chat", ("openai", "writer", CHAT)),
        ("cloud.gitlab.com", "/ai/v1/proxy/anthropic/v1/messages", ("anthropic", "gitlab", MESSAGES)),
        ("bedrock-runtime.us-east-1.amazonaws.com", "/model/a/apply", None),
        ("bedrock.us-east-1.amazonaws.com", "/model/a/invoke", None),
        ("openai.azure.com.evil.example", "/openai/v1/responses", None),
        ("api.openai.com", "/v1/embeddings", None),
        ("api.openai.com", "/x/v1/responses", None),
        ("example.com", "/v1/messages", None),
    ],
)
def test_the_table_knows_hosts_and_paths(host: str, path: str, expected: tuple[str, str, str] | None) -> None:
    assert found(host, path) == expected


@pytest.mark.parametrize(
    ("path", "purpose"),
    [
        ("/model/a/invoke", "conversation"),
        ("/model/amazon.titan-embed-text-v2%3A0/invoke", "auxiliary"),
        ("/model/a/count-tokens", "auxiliary"),
    ],
)
def test_a_path_may_say_that_nobody_converses(path: str, purpose: str) -> None:
    route = ROUTER.route("bedrock-runtime.us-east-1.amazonaws.com", path)
    assert route is not None
    assert route.purpose == purpose


@pytest.mark.parametrize(
    ("host", "path"),
    [
        ("proxy.individual.githubcopilot.com", "/chat/completions"),
        ("copilot-proxy.githubusercontent.com", "/chat/completions"),
        ("api.githubcopilot.com", "/v1/messages/count_tokens"),
        ("api.openai.com", "/v1/decisions"),
        ("openrouter.ai", "/api/v1/responses/compact"),
        ("mine.openai.azure.com", "/openai/v1/responses/compact"),
        ("gateway.ai.cloudflare.com", "/v1/acc/gw/google-ai-studio/v1/models/gemini-x:countTokens"),
    ],
)
def test_what_nobody_typed_is_auxiliary_by_its_path(host: str, path: str) -> None:
    route = ROUTER.route(host, path)
    assert route is not None
    assert route.purpose == "auxiliary"


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "::1"])
def test_a_host_with_a_port_is_that_port_alone(host: str) -> None:
    assert found(host, "/api/chat", 11434) == ("ollama", "ollama", "ollama.chat")
    assert found(host, "/api/chat", 8080) is None
    assert ROUTER.route(host, "/api/chat") is None


def own(**row: object) -> Router:
    return Router(own_rows([{"name": "mine", "type": "openai", "routes": "compatible", **row}]))


def test_a_users_own_hosts_are_found_beside_the_built_in_ones() -> None:
    router = own(hosts=["llm.example.com", "*.vllm.example", "localhost:8000"])
    mine = Route("openai", "mine", CHAT)
    assert router.route("llm.example.com", "/v1/chat/completions", 443) == mine
    assert router.route("a.vllm.example", "/v1/chat/completions", 80) == mine
    assert router.route("localhost", "/v1/chat/completions", 8000) == mine
    assert router.route("localhost", "/v1/chat/completions", 8001) is None
    assert router.route("vllm.example", "/v1/chat/completions", 443) is None
    assert router.route("api.openai.com", "/v1/responses", 443) == Route("openai", "openai", RESPONSES)


def test_a_users_row_comes_first_and_leaves_the_other_paths_of_a_host_alone() -> None:
    router = own(hosts=["*.openai.com"], type="ollama", routes="ollama")
    assert router.route("api.openai.com", "/v1/responses") == Route("ollama", "mine", RESPONSES)
    assert router.route("api.openai.com", "/v1/responses/compact") == Route("openai", "openai", RESPONSES, "auxiliary")
