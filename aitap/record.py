"""The record: what is known of one interception, as plain values.

An *interception* is one request to a model and its response, seen on the wire. The capture side
makes exactly one :class:`Interception` for each and hands the same value to every reader (storage
today, spans, logs and metrics beside it). The values know neither mitmproxy nor the database.

Two rules hold everywhere:

* Unknown is ``None``, never 0 and never an empty string standing in for "not seen".
* Times are seconds since the epoch (UTC, float); ids are dashed, time-ordered UUID strings.
"""

from __future__ import annotations

import time
from hashlib import blake2b
from random import getrandbits
from typing import Any, Literal

import msgspec

__all__ = [
    "RETRIED_WITHIN",
    "UNKNOWN",
    "CaptureMode",
    "HostMode",
    "HostSeen",
    "Interception",
    "Lineage",
    "ModelThought",
    "Outcome",
    "Passed",
    "Purpose",
    "StoredMessage",
    "TokenUsage",
    "ToolResult",
    "ToolUsage",
    "UserPrompt",
    "Wire",
    "derived_id",
    "message_digest",
    "new_id",
    "tick_of",
]

Outcome = Literal["in_flight", "completed", "failed", "cancelled", "interrupted"]
Purpose = Literal["conversation", "auxiliary", "probe"]
CaptureMode = Literal["minimal", "metadata+prompt", "full"]
ToolKind = Literal["function", "custom", "server", "mcp"]
ResultStatus = Literal["ok", "error"]
HostMode = Literal["decrypted", "tunnelled", "observed"]
"""How traffic of a host was seen: read; passed unseen; passed unseen though it is an AI host."""


UNKNOWN = "unknown"
"""The provider of a host that is in no table, but is spoken to in a language that we know."""

RETRIED_WITHIN = 600.0
"""Seconds after a request failed in which the same bytes of the same sender repeat it; later they are a new one."""

_last_tick = 0


def new_id() -> str:
    """A version 7 UUID (RFC 9562, 5.7 and 6.2 method 3): the clock in 1/4096 ms, then 62 random bits.

    Ids made later in this process sort later, also within one millisecond and when the clock steps back:
    the order of rows is the order on the wire, and an index on them grows at its end.
    """
    global _last_tick  # noqa: PLW0603
    tick = _last_tick = max(time.time_ns() * 4096 // 1_000_000, _last_tick + 1)
    tail = getrandbits(62) | 0x8000_0000_0000_0000  # unique, not secret: no need to ask the kernel
    text = f"{tick >> 12:012x}7{tick & 0xFFF:03x}{tail:016x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def tick_of(at: float) -> int:
    """The moment ``at`` (epoch seconds) as finely as an id tells it: in 4,096ths of a millisecond."""
    return max(int(at * 4_096_000), 0)


def derived_id(at: float, digest: bytes, order: int | None = None) -> str:
    """A version 8 UUID (RFC 9562, 5.8): the same for the same values, and sorted among those of :func:`new_id`.

    The moment ``at`` (epoch seconds) stands where version 7 has it, then 62 bits of ``digest``. With
    ``order``, ids of one millisecond sort by that instead of by what is finer.
    """
    tick = tick_of(at)
    middle = tick & 0xFFF if order is None else min(order, 0xFFF)
    tail = int.from_bytes(digest[:8], "big") & 0x3FFF_FFFF_FFFF_FFFF | 0x8000_0000_0000_0000
    text = f"{tick >> 12 & 0xFFFF_FFFF_FFFF:012x}8{middle:03x}{tail:016x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


class TokenUsage(msgspec.Struct, kw_only=True):
    """What one provider response cost, as the provider bills it."""

    provider_response_id: str
    input_tokens: int
    """Uncached input only; cache reads and writes are beside it, never inside it."""
    output_tokens: int
    cache_read_input_tokens: int = 0
    cache_write_input_tokens: int = 0
    metadata: dict[str, Any] = {}
    """Every further counter the provider sent, flat and numeric; ``partial: true`` on a cut stream."""
    provider_model: str | None = None
    cost_micros: int | None = None
    """Millionths of a US dollar at list price; storage fills it in. ``None`` where it is not known, never 0."""
    price_book: str | None = None
    """The version of the prices that were asked; storage fills it in."""
    created_at: float
    id: str = msgspec.field(default_factory=new_id)


class UserPrompt(msgspec.Struct, kw_only=True):
    """What the person typed, freed of what the client wrapped round it. At most one per interception."""

    provider_response_id: str
    """Empty where the provider gave no response id (the call failed)."""
    prompt: str
    metadata: dict[str, Any] = {}
    created_at: float
    id: str = msgspec.field(default_factory=new_id)


class ToolUsage(msgspec.Struct, kw_only=True):
    """One tool call the model asked for, in wire order."""

    provider_response_id: str
    tool: str
    input: str
    """The argument text exactly as sent; JSON as a rule, kept as it is where it is not."""
    kind: ToolKind = "function"
    provider_tool_call_id: str | None = None
    provider_item_id: str | None = None
    server_url: str | None = None
    injected: bool = False
    invocation_error: str | None = None
    result_status: ResultStatus | None = None
    result_at: float | None = None
    result_bytes: int | None = None
    metadata: dict[str, Any] = {}
    created_at: float
    id: str = msgspec.field(default_factory=new_id)


class ModelThought(msgspec.Struct, kw_only=True):
    """One piece of reasoning the provider showed."""

    provider_response_id: str
    content: str
    metadata: dict[str, Any] = {}
    """``source``: ``thinking``, ``reasoning_summary``, ``commentary`` or ``reasoning_content``."""
    created_at: float
    id: str = msgspec.field(default_factory=new_id)


class ToolResult(msgspec.Struct, kw_only=True, frozen=True):
    """The answer to an earlier tool call, carried by this request: it completes that call's usage."""

    call_id: str
    status: ResultStatus | None
    """``None`` where the dialect has no way to say whether the tool failed."""
    size: int | None
    """Bytes of the result as it stood on the wire; ``None`` where only its status did."""


def message_digest(parent_digest: str | None, role: str, content: bytes) -> str:
    """The name of a message: BLAKE2b (``b2:``, 160 bits) of what was said before it, who speaks and what is said."""
    chain = blake2b(f"{parent_digest or ''}\n{role}\n".encode(), digest_size=20)
    chain.update(content)
    return f"b2:{chain.hexdigest()}"


class StoredMessage(msgspec.Struct, frozen=True, gc=False):
    """One link of a conversation, stored under its :func:`message_digest`.

    See :mod:`aitap.capture.turns` for what ``content`` holds.
    """

    digest: str
    parent_digest: str | None
    role: str
    """``user``, ``assistant``, ``tool``, ``system``; ``tools`` is a document: the tools that were offered."""
    content: str
    """JSON: a list of parts."""
    created_at: float
    """When it was first seen."""
    redacted: dict[str, int] | None = None
    """How many of what each rule of redaction removed from it; not stored with the message."""


class Lineage(msgspec.Struct, kw_only=True):
    """What the request says about where it belongs; storage turns it into thread and session.

    Nothing here is stored as such.
    """

    tool_results: list[ToolResult] = []
    previous_response_id: str | None = None
    history: list[str] = []
    """Digests of the conversation up to each message, oldest first; only where the client sends no id.
    The last one stands for the whole conversation of this request."""
    agent: str | None = None
    """The client's own id of the agent that speaks (main or sub-agent)."""
    parent_agent: str | None = None
    """The client's own id of the agent that started this one, where it names it."""
    is_subagent: bool = False
    agent_name: str | None = None
    """What ``metadata.agent`` shall say of a sub-agent."""
    background: str | None = None
    """The provider's id of a response that it makes in background, of which several exchanges may tell."""
    answer_id: str | None = None
    """The id of the record of who fetches that response, whoever does: this record's own where it is that."""
    request: str | None = None
    """The digest of who sent the request and of its bytes; None where it had none."""


class Wire(msgspec.Struct, kw_only=True):
    """What of the exchange itself spans and logs are made of, beside the record. Nothing here is stored."""

    asked_at: float | None = None
    """When the request was whole."""
    traceparent: str = ""
    """As the client sent it (W3C Trace Context), bounded; so is ``tracestate``."""
    tracestate: str = ""
    max_tokens: int | None = None
    connect_started_at: float | None = None
    """When the connection to the provider was begun, and when it could be used; None where nobody said."""
    connected_at: float | None = None
    connection_reused: bool | None = None
    unreadable: bool = False
    """The recorder could not read this exchange, by its own mistake."""


class Interception(msgspec.Struct, kw_only=True):
    """One request to a model and its response. Field names are the column names."""

    id: str = msgspec.field(default_factory=new_id)
    initiator_id: str
    api_key_id: str | None = None
    provider: str
    """Runtime type: ``anthropic``, ``openai``, ``copilot``, ``google``, ``bedrock``, ..."""
    provider_name: str
    """Instance: the name of the provider table's row."""
    model: str
    """As requested; the model that answered is ``response_model``."""
    client: str | None = None
    client_version: str | None = None
    client_session_id: str | None = None
    session_id: str = ""
    """Client session id, else thread root, else own id; storage fills it in."""
    thread_parent_id: str | None = None
    thread_root_id: str | None = None
    started_at: float
    ended_at: float | None = None
    metadata: dict[str, Any] = {}
    credential_kind: str = "centralized"
    credential_hint: str = ""
    error_type: str | None = None
    error_message: str | None = None
    last_prompt_at: float | None = None
    user_agent: str | None = None
    api: str
    """Dialect: ``anthropic.messages``, ``openai.chat_completions``, ``openai.responses``, ..."""
    method: str
    host: str
    path: str
    """Without the query, which may carry credentials."""
    http_version: str
    status_code: int | None = None
    streaming: bool = False
    response_model: str | None = None
    provider_request_id: str | None = None
    client_request_id: str | None = None
    stop_reason: str | None = None
    time_to_first_token: float | None = None
    """Seconds from the request's end to the first event that carries model output."""
    duration: float | None = None
    """Seconds from the request's first byte to the response's last."""
    request_bytes: int = 0
    """Body bytes as they came over the wire (before any decompression); so are ``response_bytes``."""
    response_bytes: int = 0
    outcome: Outcome = "in_flight"
    purpose: Purpose = "conversation"
    retry_of: str | None = None
    """The interception whose request this one repeats byte for byte."""
    capture: CaptureMode = "metadata+prompt"
    request_digest: str | None = None
    """The newest message of the conversation that was sent; None unless contents are captured."""
    response_digest: str | None = None
    """The last message of the answer; it continues the one above."""
    system_digest: str | None = None
    tools_digest: str | None = None

    token_usages: list[TokenUsage] = []
    user_prompts: list[UserPrompt] = []
    tool_usages: list[ToolUsage] = []
    model_thoughts: list[ModelThought] = []

    lineage: Lineage = msgspec.field(default_factory=Lineage)
    wire: Wire = msgspec.field(default_factory=Wire)
    contents: list[StoredMessage] = []
    """Every message that the digests above stand for, parents before children; known ones too."""


class HostSeen(msgspec.Struct, frozen=True, array_like=True, kw_only=True):
    """What a client did with a host beside interceptions: a tunnel, or a handshake it refused. Counts add up."""

    host: str
    """Lower-case name, or the address where no name is known; without the port where that is 443 or 80."""
    mode: HostMode
    provider: str = ""
    """Empty where the host is in no table; so is ``provider_name``."""
    provider_name: str = ""
    initiator_id: str
    client: str = ""
    """Product name as far as CONNECT told it; empty where it did not."""
    client_address: str = ""
    at: float
    """Epoch seconds of what is counted here."""
    connections: int = 0
    """Connections opened since the last one of these."""
    bytes_sent: int = 0
    """From the client to the host, since the last one of these; ``bytes_received`` the other way."""
    bytes_received: int = 0
    refusals: int = 0
    """TLS handshakes that the client broke off because it does not trust our certificate."""
    error: str = ""
    """What the client said when it refused, in short."""
    api_key_id: str | None = None
    """The proxy key that was shown, so that it counts as used; not stored with the host."""


class Passed(msgspec.Struct, frozen=True, array_like=True, kw_only=True):
    """A request that is no call of a model: to an AI host, or a first word to an MCP server. Never stored."""

    provider: str
    """The instance: the name of the provider table's row; empty where the host is in no table."""
    method: str
    host: str
    path: str
    """Without the query, which may carry credentials."""
    status: int | None
    """None where no answer came."""
    started_at: float
    ended_at: float
    initiator_id: str
    traceparent: str = ""
    tracestate: str = ""
    question: bytes = b""
    """The body, where it asks an MCP server who it is or which tools it has; else empty."""
    answer: bytes = b""
    """What came back to that, coded as ``answer_coding`` (Content-Encoding) says."""
    answer_coding: str = ""
    session: str = ""
    """``Mcp-Session-Id``, which an answer to ``initialize`` may give and later requests then repeat."""
