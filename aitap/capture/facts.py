"""What a dialect reads off one exchange, before anything is known of clients, users or databases.

A dialect gives :class:`RequestFacts` for a request body and fills :class:`ResponseFacts` while the
response passes. Both are plain values. Everything is optional: a fact that was not on the wire is
absent here, and nothing is made up for it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal, Protocol

import msgspec

from aitap.record import ToolKind, ToolResult

__all__ = [
    "Attachment",
    "Dialect",
    "ErrorFact",
    "Message",
    "RequestContents",
    "RequestFacts",
    "ResponseDecoder",
    "ResponseFacts",
    "ThoughtFact",
    "ToolFact",
    "Turn",
    "UsageFact",
]

Role = Literal["user", "assistant", "tool", "other"]

_LONGEST_MEDIA_TYPE = 255
"""RFC 6838, 4.2: two names of at most 127 characters each."""


class Attachment(msgspec.Struct, frozen=True, omit_defaults=True):
    """An image or file of a user's turn; noted, never kept."""

    type: str
    media_type: str | None = None
    bytes: int | None = None
    uri: str | None = None

    def __post_init__(self) -> None:
        if self.media_type is not None and len(self.media_type) > _LONGEST_MEDIA_TYPE:
            msgspec.structs.force_setattr(self, "media_type", self.media_type[:_LONGEST_MEDIA_TYPE])


class Message(msgspec.Struct):
    """One entry of a conversation, the same for every dialect.

    ``other`` is what is no turn at all: system and developer messages, configuration items.
    """

    role: Role
    texts: list[str] = []
    attachments: list[Attachment] = []
    results: list[ToolResult] = []
    told: list[str] = []
    """The texts of tools' results, where they stand in a user's message: some clients pass on a person's words there.
    Of a message that is a tool's, they are its ``texts``."""
    calls: list[str] = []
    """Of an assistant's turn: what identifies its tool calls across re-sends."""


class Turn(msgspec.Struct):
    """One message in full, in the normal form of :mod:`aitap.capture.turns`, the same for every dialect."""

    role: Literal["user", "assistant", "tool", "system", "tools"]
    parts: list[dict[str, Any]]


class RequestContents(msgspec.Struct):
    """All that a request says, every piece of it still undecoded."""

    messages: list[msgspec.Raw]
    turns: Callable[[msgspec.Raw], list[Turn]]
    """Reads one of them. Nothing, where it holds nothing that is kept; several, where a dialect packs several."""
    system: msgspec.Raw = msgspec.Raw(b"")
    tools: msgspec.Raw = msgspec.Raw(b"")


class RequestFacts(msgspec.Struct):
    """What a request asks for."""

    model: str = ""
    streaming: bool = False
    newest: list[Message] = []
    """The newest turn: every message after the last assistant's, oldest first."""
    prefilled: Callable[[], list[Message]] | None = None
    """The turn before words of the model's with which the request ends, where it does so."""
    system: str = ""
    """The start of the system text, enough to tell what kind of request this is."""
    has_tools: bool = False
    max_tokens: int | None = None
    output_schema: bool = False
    """The client demands an answer of a given JSON schema."""
    prewarm: bool = False
    servers: dict[str, str] = {}
    """The MCP servers that the provider shall call itself: address by label."""
    previous_response_id: str | None = None
    body_ids: dict[str, str] = {}
    """Ids and other short values that tell clients and requests apart, by their path in the body
    (``metadata.user_id``, ``prompt_cache_key``, ...)."""
    conversation: Callable[[], list[Message]] | None = None
    """Decodes every message; dear, so only called where nothing else tells conversations apart."""
    contents: Callable[[], RequestContents] | None = None
    """What was said, for who keeps it."""

    def ask_a_model(self) -> bool:
        """Whether the body looks like a call of a model: it names one, and somebody says something."""
        if not self.model:
            return False
        return _any_words(self.newest) or (self.conversation is not None and _any_words(self.conversation()))


def _any_words(messages: list[Message]) -> bool:
    return any(
        message.role != "other" and (message.texts or message.attachments or message.results or message.calls)
        for message in messages
    )


class UsageFact(msgspec.Struct):
    """The counters of one response, already by our rules (uncached input, nothing counted twice)."""

    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_input_tokens: int = 0
    cache_write_input_tokens: int = 0
    extra: dict[str, Any] = {}


class ToolFact(msgspec.Struct):
    """One tool call of a response."""

    tool: str
    input: str
    kind: ToolKind = "function"
    call_id: str | None = None
    item_id: str | None = None
    server_url: str | None = None
    result: ToolResult | None = None
    """Where the provider ran the tool itself and said how it went."""
    error: str | None = None
    metadata: dict[str, Any] = {}


class ThoughtFact(msgspec.Struct):
    """One piece of reasoning."""

    source: Literal["thinking", "reasoning_summary", "commentary", "reasoning_content"]
    content: str


class ErrorFact(msgspec.Struct):
    """What the provider says went wrong."""

    message: str
    type: str | None = None
    """The provider's own type or code."""


class ResponseFacts(msgspec.Struct):
    """What a response said, so far."""

    response_id: str | None = None
    model: str | None = None
    stop_reason: str | None = None
    stop_category: str | None = None
    """What kind of thing it was that the provider would not do."""
    usage: UsageFact | None = None
    tools: list[ToolFact] = []
    late_results: list[ToolResult] = []
    """Of tools the provider runs itself: what came of calls that an earlier response asked for."""
    thoughts: list[ThoughtFact] = []
    hidden_thoughts: int = 0
    """Redacted or encrypted pieces of reasoning: counted, without content."""
    error: ErrorFact | None = None
    complete: bool = False
    """The dialect's terminal event came, or the JSON body was whole."""
    answer: list[Turn] = []
    """What the model said; only where the decoder was asked to keep text."""
    background: float | None = None
    """When the provider began a response that it makes in background, so that it may be asked for again and again
    (epoch seconds); None for all others."""
    settled: bool = False
    """What it says of the response is the last word on it."""
    first_output_at: float | None = None
    """When the first event with model output arrived (the ``at`` of the feed that held it)."""


class ResponseDecoder(Protocol):
    """Takes the decoded body of one response as it comes."""

    skip: tuple[bytes, ...]
    """Prefixes of event blocks that carry no fact from here on; may change after each event."""

    def event(self, kind: bytes, data: bytes, at: float) -> None:
        """One event of a stream that arrived at ``at``."""
        ...

    def document(self, data: bytes) -> None:
        """The one JSON document of an unstreamed response."""
        ...

    def facts(self) -> ResponseFacts:
        """Everything known so far; may be asked at any time, also after a cut."""
        ...


class Dialect(Protocol):
    """One wire language."""

    name: str

    def request(self, body: bytes, path: str) -> RequestFacts:
        """Read a request: its body, and its path (still percent-encoded), where some services put the model.

        Bad input gives fewer facts, never an exception.
        """
        ...

    def decoder(self, path: str, headers: Mapping[str, str], *, keep_text: bool = False) -> ResponseDecoder:
        """A fresh decoder for one response; ``path`` is the request's, ``headers`` are the response's, lower-case.

        With ``keep_text`` it gives the answer itself, too.
        """
        ...
