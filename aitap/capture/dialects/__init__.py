"""The languages providers speak. One module a dialect: bytes in, facts out, no I/O."""

from aitap.capture.dialects.anthropic_messages import AnthropicMessages
from aitap.capture.dialects.openai_chat import OpenAIChat
from aitap.capture.dialects.openai_responses import OpenAIResponses
from aitap.capture.facts import Dialect

__all__ = ["DIALECTS"]

DIALECTS: dict[str, Dialect] = {
    dialect.name: dialect for dialect in (AnthropicMessages(), OpenAIChat(), OpenAIResponses())
}
