"""One exchange turned into one record. No I/O and no mitmproxy: live traffic and saved flows come the same way.

    begin(body) -> respond(status, headers) -> feed(bytes)* -> end(...) -> Interception

Every step takes hostile input: what cannot be read marks the record and never raises past
:class:`Recording`'s caller, and whatever was read until then stays in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import msgspec

from aitap.capture.children import LONGEST_WORD, add_children
from aitap.capture.credentials import credential_of, secrets_of
from aitap.capture.dialects import DIALECTS
from aitap.capture.facts import Message, RequestFacts, ResponseFacts
from aitap.capture.history import body_digest, conversation_digests, gone_on_with
from aitap.capture.outcome import Ending, judge
from aitap.capture.own_ids import prompt_id_of
from aitap.capture.prompts import find_prompt
from aitap.capture.response import MessageBody, ResponseBody
from aitap.capture.routes import LONGEST_NAME, Route
from aitap.capture.texts import Texts
from aitap.capture.their_ids import kept_id, request_id_of
from aitap.capture.wire.coding import CodingError, decode_all
from aitap.record import Interception, Lineage, ToolResult, UserPrompt, Wire

if TYPE_CHECKING:
    from aitap.capture.clients import Client
    from aitap.capture.environment import Environment

__all__ = ["Recording", "RequestHead"]

Headers = Mapping[str, str]

_MAX_REQUEST = 256 * 1024 * 1024
_MAX_TRACE = 512
_MOST_ATTACHMENTS = 64


class RequestHead(msgspec.Struct, frozen=True):
    """The request without its body. ``headers`` have lower-case names; ``started_at`` is in epoch seconds."""

    route: Route
    method: str
    host: str
    path: str
    query: str
    http_version: str
    headers: Mapping[str, str]
    started_at: float
    initiator_id: str = ""
    """Whose request it is; empty where it is that of everyone in the environment."""
    api_key_id: str | None = None
    record_id: str = ""
    """The id of what is recorded; empty where the environment is to give one."""


class Recording:
    """The making of one interception."""

    def __init__(self, environment: Environment, head: RequestHead) -> None:
        self._environment = environment
        self._head = head
        self._dialect = DIALECTS[head.route.api]
        credential = credential_of(head.headers, head.query)
        self._request = ""
        self._asked_at = head.started_at
        self._servers: dict[str, str] = {}
        self._status: int | None = None
        self._response: ResponseBody | MessageBody | None = None
        self.doubtful = head.route.guessed
        """Nothing but the path says so far that this is a call of a model."""
        self.tells = False
        """It was the first to say how a response in background ended."""
        self.record = Interception(
            id=head.record_id or environment.id_for(head.started_at),
            initiator_id=head.initiator_id or environment.initiator_id,
            api_key_id=head.api_key_id,
            provider=head.route.provider,
            provider_name=head.route.provider_name,
            model="",
            started_at=head.started_at,
            credential_kind=credential.kind,
            credential_hint=credential.hint,
            api=self._dialect.name,
            method=head.method,
            host=head.host[:LONGEST_NAME],
            path=head.path,
            http_version=head.http_version,
            client_request_id=_short(head.headers.get("x-request-id") or head.headers.get("x-client-request-id")),
            purpose=head.route.purpose,
            capture=environment.capture,
            wire=Wire(
                traceparent=(head.headers.get("traceparent") or "")[:_MAX_TRACE],
                tracestate=(head.headers.get("tracestate") or "")[:_MAX_TRACE],
            ),
        )
        self._texts = Texts(self.record, environment.redactor)
        self.record.user_agent = self._texts.user_agent(_short(head.headers.get("user-agent")))

    def begin(self, body: bytes, at: float) -> None:
        """The request is whole; ``body`` as it came over the wire.

        Where it does not bear out what was only a guess, the recording stays :attr:`doubtful`: drop it.
        """
        record, head, environment = self.record, self._head, self._environment
        self._asked_at = record.wire.asked_at = at
        record.request_bytes = len(body)
        try:
            plain = decode_all(body, head.headers.get("content-encoding", ""), limit=_MAX_REQUEST)
        except CodingError as error:
            record.metadata["request_undecoded"] = str(error)
            plain = b""
        facts = self._dialect.request(plain, head.path)
        if self.doubtful:
            if not facts.ask_a_model() or (not head.route.pages and _from_page(head.headers)):
                return
            self.doubtful = False
        record.model = (facts.model or head.headers.get(head.route.model_header, ""))[:LONGEST_WORD]
        record.streaming = facts.streaming
        record.wire.max_tokens = facts.max_tokens
        self._servers = facts.servers
        client = environment.clients.identify(head.headers, facts)
        self._identify(client)
        if body:
            sender = f"{record.initiator_id}\n{record.client}\n{record.user_agent}\n{record.client_session_id}"
            self._request = body_digest(sender, body)
            record.retry_of = environment.retries.find(self._request, head.started_at)
        self._prompt(client, facts.newest)
        self._lineage(client, facts)
        self._prefilled(client, facts)
        if record.capture == "full":
            environment.contents.request(record, facts)
        if (attempt := head.headers.get("x-stainless-retry-count", "0")) != "0" and attempt.isdecimal():
            record.metadata["retry_count"] = int(attempt[:6])

    def _identify(self, client: Client) -> None:
        record = self.record
        record.client = client.name
        record.client_version = client.version
        record.client_session_id = client.session_id
        if record.purpose == "conversation":
            record.purpose = client.purpose
        if client.purpose_reason and record.purpose != "conversation":
            record.metadata["purpose_reason"] = client.purpose_reason
        if client.is_subagent and client.agent_type:
            record.metadata["agent_type"] = client.agent_type

    def _lineage(self, client: Client, facts: RequestFacts) -> None:
        record = self.record
        results = [_kept(result) for message in facts.newest for result in message.results]
        previous = facts.previous_response_id
        if not results and client.session_id is not None:
            # A new prompt starts a thread of its own; a turn that nobody typed goes on with the last one.
            previous = (
                None if record.user_prompts else previous or facts.body_ids.get("diagnostics.previous_message_id")
            )
        record.lineage = Lineage(
            tool_results=results,
            previous_response_id=kept_id(previous),
            agent=client.agent,
            parent_agent=client.parent_agent,
            is_subagent=client.is_subagent,
            request=self._request or None,
        )
        alone = client.session_id is None and facts.previous_response_id is None
        if alone and record.purpose == "conversation" and facts.conversation is not None:
            scope = f"{record.initiator_id}\n{record.client}"
            conversation = self._texts.conversation(facts.conversation())
            record.lineage.history = conversation_digests(scope, conversation, record.client)

    def _prefilled(self, client: Client, facts: RequestFacts) -> None:
        """A request without a new turn puts words into the model's mouth, unless it was asked without them before."""
        history, asked = self.record.lineage.history, self._environment.asked
        if not history:
            return
        if facts.newest:
            asked.remember(history[-1])
        elif facts.prefilled is None or history[-1] in asked:
            # It ends with what the model has said: an answer that was paused or cut, and is gone on with.
            self.record.lineage.history = [*history, gone_on_with(history[-1])]
        else:
            self._prompt(client, facts.prefilled())

    def _prompt(self, client: Client, newest: list[Message]) -> None:
        """A prompt counts once, and only where a person wrote it."""
        record = self.record
        if record.purpose != "conversation":
            return
        prompt = find_prompt(newest, record.client)
        if prompt is None:
            if attachments := [item for message in newest if message.role == "user" for item in message.attachments]:
                kinds = [
                    {"type": item.type, "media_type": item.media_type, "bytes": item.bytes} for item in attachments
                ]
                record.metadata["attachments"] = kinds[:_MOST_ATTACHMENTS]
            return
        if record.retry_of is not None:
            record.metadata["prompt_of"] = record.retry_of
            return
        if client.is_subagent:
            prompt.metadata["author"] = "agent"
        text = self._texts.prompt(prompt)
        record.last_prompt_at = record.started_at
        said = UserPrompt(provider_response_id="", prompt=text, metadata=prompt.metadata, created_at=record.started_at)
        if self._head.record_id:
            said.id = prompt_id_of(record.id, record.started_at)
        record.user_prompts = [said]

    def respond(self, status: int, headers: Headers, *, messages: bool = False) -> None:
        """The head of the response; ``headers`` have lower-case names.

        With ``messages`` the body comes as whole messages, by :meth:`message` instead of :meth:`feed`.
        """
        record = self.record
        self._status = record.status_code = status
        record.provider_request_id = _short(request_id_of(headers))
        if headers.get("content-type", "").startswith("text/event-stream") and status < 400:
            record.streaming = True  # some say so in a header, or in none
        decoder = self._dialect.decoder(self._head.path, headers, keep_text=record.capture == "full")
        if messages:
            self._response = MessageBody(decoder)
            return
        self._response = ResponseBody(
            decoder,
            content_type=headers.get("content-type", ""),
            content_encoding=headers.get("content-encoding", ""),
            failed=status >= 400,
        )

    def feed(self, data: bytes, at: float) -> None:
        """Bytes of the response body that arrived at ``at``."""
        self.record.response_bytes += len(data)
        if isinstance(self._response, ResponseBody):
            self._response.feed(data, at)

    def message(self, kind: bytes, data: bytes, at: float) -> None:
        """One whole message of a response that comes as messages."""
        self.record.response_bytes += len(data)
        if isinstance(self._response, MessageBody):
            self._response.message(kind, data, at)

    def snapshot(self) -> Interception:
        """The record as far as it is known, still in flight; later changes do not reach it."""
        record = self.record
        return msgspec.structs.replace(
            record,
            metadata=dict(record.metadata),
            user_prompts=[msgspec.structs.replace(prompt) for prompt in record.user_prompts],
            tool_usages=[],
            model_thoughts=[],
        )

    def end(
        self, at: float, *, failure: str | None = None, cancelled: bool = False, interrupted: bool = False
    ) -> Interception:
        """The exchange is over.

        ``failure`` is why, where the connection broke; ``cancelled``: the client went first; ``interrupted``:
        the proxy stops with the exchange still open. Where the clock was set back meanwhile, it ends as it began.
        """
        record = self.record
        at = self._ended(at)
        facts = ResponseFacts()
        if self._response is not None:
            facts = self._response.finish(at)
        facts.model, facts.stop_reason = _word(facts.model), _word(facts.stop_reason)
        record.model = record.model or facts.model or ""  # of stored prompts and agents only the answer tells it
        add_children(record, facts, self._texts, servers=self._servers, secrets=self._secrets, at=at)
        if record.capture == "full":
            self._environment.contents.response(record, facts.answer, facts.response_id)
        record.response_model = facts.model
        record.stop_reason = facts.stop_reason
        if record.streaming and facts.first_output_at is not None:
            record.time_to_first_token = round(max(facts.first_output_at - self._asked_at, 0.0), 6)
        if facts.stop_category:
            record.metadata["stop_category"] = facts.stop_category
        if facts.late_results:
            late = [_kept(result) for result in facts.late_results]
            record.lineage.tool_results = [*record.lineage.tool_results, *late]
        if facts.hidden_thoughts:
            record.metadata["hidden_thoughts"] = facts.hidden_thoughts
        ending = Ending(self._status, self._response, failure, cancelled=cancelled, interrupted=interrupted)
        judge(record, facts, ending, self._texts, self._secrets)
        self.tells = self._environment.told.note(record, facts)
        if self._request and record.outcome in ("failed", "cancelled"):
            self._environment.retries.failed(record.id, self._request, at)
        elif self._request and record.outcome == "completed":
            self._environment.retries.answered(self._request)
        return record

    def unreadable(self, at: float) -> Interception:
        """The record where reading it failed by our own mistake: what is known, marked as failed."""
        record = self.record
        record.wire.unreadable = True
        self._ended(at)
        record.outcome = "failed"
        record.error_type = "unknown"
        record.error_message = "the recorder could not read this exchange; the traffic was not affected"
        return record

    def _secrets(self) -> frozenset[str]:
        return secrets_of(self._head.headers, self._head.query)

    def _ended(self, at: float) -> float:
        """Write down when it ended, which is not before it began whatever the clock says; that moment."""
        record = self.record
        record.ended_at = max(at, record.started_at)
        record.duration = round(record.ended_at - record.started_at, 6)
        return record.ended_at


def _from_page(headers: Headers) -> bool:
    """Whether a page in a browser asks: it says where it is from (Fetch, 3.2), which programs do not."""
    return headers.get("origin", "").startswith(("http://", "https://"))


def _kept(result: ToolResult) -> ToolResult:
    kept = kept_id(result.call_id)
    return result if kept is result.call_id else msgspec.structs.replace(result, call_id=kept)


def _word(value: str | None) -> str | None:
    return value[:LONGEST_WORD] if value else value


def _short(value: str | None) -> str | None:
    return value[:512] or None if value else None
