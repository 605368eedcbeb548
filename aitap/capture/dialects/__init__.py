"""The languages providers speak. One module a dialect: bytes in, facts out, no I/O.

``DIALECTS`` is by the names that ``data/providers.toml`` uses. A dialect in an envelope, or under other
paths, has a name of its own there, and is recorded under the name of the dialect that it is.
"""

from aitap.capture.dialects.anthropic_messages import AnthropicMessages
from aitap.capture.dialects.bedrock_converse import BedrockConverse
from aitap.capture.dialects.bedrock_invoke import BedrockInvoke
from aitap.capture.dialects.cloudflare_run import CloudflareRun
from aitap.capture.dialects.cohere_chat import CohereChat
from aitap.capture.dialects.cohere_chat_v1 import CohereChatV1
from aitap.capture.dialects.dashscope_generation import DashScopeGeneration
from aitap.capture.dialects.google_code_assist import GoogleCodeAssist
from aitap.capture.dialects.google_generate_content import GoogleGenerateContent
from aitap.capture.dialects.google_interactions import GoogleInteractions
from aitap.capture.dialects.google_live import GoogleLive
from aitap.capture.dialects.mistral_conversations import MistralConversations
from aitap.capture.dialects.ollama import Ollama
from aitap.capture.dialects.openai_chat import OpenAIChat
from aitap.capture.dialects.openai_completions import OpenAICompletions
from aitap.capture.dialects.openai_realtime import OpenAIRealtime
from aitap.capture.dialects.openai_responses import OpenAIResponses
from aitap.capture.dialects.vercel_language_model import VercelLanguageModel
from aitap.capture.dialects.vertex_anthropic import VertexAnthropic
from aitap.capture.facts import Dialect

__all__ = ["DIALECTS"]

DIALECTS: dict[str, Dialect] = {
    dialect.name: dialect
    for dialect in (
        AnthropicMessages(),
        BedrockConverse(),
        BedrockInvoke(),
        CloudflareRun(),
        CohereChat(),
        DashScopeGeneration(),
        GoogleGenerateContent(),
        GoogleInteractions(),
        GoogleLive(),
        MistralConversations(),
        Ollama("ollama.chat"),
        Ollama("ollama.generate"),
        OpenAIChat(),
        OpenAICompletions(),
        OpenAIRealtime(),
        OpenAIResponses(),
        VercelLanguageModel(),
    )
} | {
    "cohere.chat_v1": CohereChatV1(),
    "google.code_assist": GoogleCodeAssist(),
    "vertex.anthropic": VertexAnthropic(),
}
