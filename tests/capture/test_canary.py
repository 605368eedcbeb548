"""A word planted at any one place of any request, answer, error or frame: what of it is stored, place by place.

Where ``capture = minimal`` or redaction is on, it may be found in names and ids, and nowhere else.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest

from aitap.capture.environment import Environment
from aitap.capture.pipeline import Pipeline
from aitap.capture.realtime_socket import RealtimeSocket
from aitap.capture.recording import RequestHead
from aitap.capture.response_socket import Socket
from aitap.capture.routes import Route
from aitap.record import Interception
from aitap.redaction.redactor import redactor_of
from tests.capture.dialogues import DIALOGUES, Dialogue
from tests.capture.framing import EVENT_STREAM
from tests.capture.making import CHAT, MESSAGES, RESPONSES, Records, dump, record, response_events, sse

ME = "00000000-0000-4000-8000-000000000001"
CORE = "9f8Zq3vK7rWm2TxLp6Yd"
WORD = f"sk-ant-api03-{CORE}"
"""A secret that a rule knows, so that the same word serves both."""

NAMES = re.compile(
    r"\.(model|response_model|provider_model|stop_reason|tool|name|type|id|call_id|tool_call_id|tool_use_id|server_url"
    r"|provider_(response|tool_call|item)_id|agent|client_session_id|previous_response_id|tool_results\.\d+\.call_id)$"
    r"|^\.token_usages\.0\.metadata\."
)
"""Where a record keeps what is no text: models, tools, ids, kinds, and counters by the names that providers gave."""


def places(value: Any, path: tuple[Any, ...] = (), *, leaves: bool = False) -> Iterator[tuple[Any, ...]]:
    """Every place in a document, containers too unless ``leaves`` alone are wanted."""
    inside = isinstance(value, dict | list)
    if path and not (inside and leaves):
        yield path
    for key, item in (value.items() if isinstance(value, dict) else enumerate(value)) if inside else ():
        yield from places(item, (*path, key), leaves=leaves)


def put(value: Any, path: tuple[Any, ...]) -> Any:
    """The document with the word at this place."""
    if not path:
        return f"a {WORD} b" if isinstance(value, str) and " " in value else WORD
    if isinstance(value, dict):
        return {key: put(item, path[1:]) if key == path[0] else item for key, item in value.items()}
    return [put(item, path[1:]) if number == path[0] else item for number, item in enumerate(value)]


def variants(document: Any) -> Iterator[Any]:
    """The document with the word at each of its places in turn."""
    return (put(document, path) for path in places(document))


def escaped(document: Any) -> bytes:
    """JSON in which the word is written with escapes that nobody needs."""
    return json.dumps(document).replace("sk-ant-", "\\u0073k\\u002dant-").replace(CORE, f"\\u0039{CORE[1:]}").encode()


def streams(dialogue: Dialogue) -> Iterator[bytes]:
    """The streamed answer with the word at each place of each of its events."""
    blocks = [block.rpartition(b"data: ") for block in dialogue.stream]
    for number, (_, _, body) in enumerate(blocks):
        if body.startswith(b"{"):
            for document in variants(json.loads(body)):
                texts = [*blocks[:number], (*blocks[number][:2], dump(document) + b"\n\n"), *blocks[number + 1 :]]
                yield b"".join(map(b"".join, texts))


def found_in(told: Any, path: str = "") -> Iterator[str]:
    """Where the word's core stands in a record."""
    if isinstance(told, dict):
        for key, item in told.items():
            if CORE in str(key):
                yield f"{path}.{key}"
            yield from found_in(item, f"{path}.{key}")
    elif isinstance(told, list | tuple):
        for number, item in enumerate(told):
            yield from found_in(item, f"{path}.{number}")
    elif isinstance(told, str) and CORE in told:
        # Contents and tool inputs are JSON: of those the place inside counts.
        try:
            inner = msgspec.json.decode(told)
        except msgspec.DecodeError:
            inner = None
        if isinstance(inner, dict | list):
            yield from found_in(inner, path)
        else:
            yield path


def leaks(found: Interception) -> list[str]:
    return [path for path in found_in(msgspec.to_builtins(found)) if not NAMES.search(path)]


_REDACTOR = redactor_of(("secrets",))


def minimal() -> Environment:
    return Environment(ME, "minimal")


def redacting() -> Environment:
    return Environment(ME, "full", _REDACTOR)


MODES = pytest.mark.parametrize("mode", [minimal, redacting])
Mode = Callable[[], Environment]
EACH = pytest.mark.parametrize("dialogue", DIALOGUES, ids=[dialogue.api for dialogue in DIALOGUES])


@MODES
@EACH
def test_a_word_anywhere_in_an_exchange_is_stored_in_names_alone(dialogue: Dialogue, mode: Mode) -> None:
    shared = mode()
    written = escaped if mode is redacting else dump
    answered = {"content_type": "application/json", "environment": shared}
    for document in variants(dialogue.again):  # all that the first request has is in it
        assert leaks(record(dialogue.api, written(document), dump(dialogue.whole), **answered)) == [], document
    for document in variants(dialogue.whole):
        assert leaks(record(dialogue.api, dialogue.ask, written(document), **answered)) == [], document
    if dialogue.content_type != EVENT_STREAM:
        for stream in streams(dialogue):
            found = record(dialogue.api, dialogue.ask, stream, content_type=dialogue.content_type, environment=shared)
            assert leaks(found) == [], stream


@pytest.mark.parametrize("status", [200, 400, 500])
@MODES
@EACH
def test_errors_repeat_nothing(dialogue: Dialogue, mode: Mode, status: int) -> None:
    """As a provider tells them in a document, in plain text, in a stream; and as a connection that broke does."""
    shared = mode()
    told = {"error": {"type": WORD, "code": WORD, "message": f"cannot do {WORD}", "param": WORD}}
    for body in (
        dump(told),
        dump([told]),
        dump({"message": f"no {WORD}"}),
        dump({"detail": f"no {WORD}"}),
        WORD.encode(),
    ):
        found = record(dialogue.api, dialogue.ask, body, status=status, content_type="text/plain", environment=shared)
        assert status == 200 or found.outcome == "failed"
        assert leaks(found) == [], body
    for event in (b"event: error\ndata: %s\n\n" % dump({"type": "error", **told}), b"data: %s\n\n" % dump(told)):
        assert leaks(record(dialogue.api, dialogue.ask, event, status=status, environment=shared)) == [], event
    cut = record(dialogue.api, dialogue.ask, failure=f"invalid chunk header: {WORD}", environment=shared)
    assert leaks(cut) == []


SERVED: dict[str, list[dict[str, Any]]] = {
    RESPONSES: [
        {"type": "mcp_call", "id": "m", "name": "n", "arguments": f'{{"a": "{WORD}"}}', "error": WORD, "output": WORD},
        {"type": "mcp_list_tools", "server_label": "l", "tools": [{"name": "n", "description": WORD}]},
        {"type": "mcp_approval_request", "id": "a", "name": "n", "arguments": WORD, "server_label": "l"},
        {"type": "web_search_call", "id": "w", "action": {"type": "search", "query": WORD, "sources": [{"url": WORD}]}},
        {"type": "file_search_call", "id": "f", "queries": [WORD], "results": [{"text": WORD, "filename": WORD}]},
        {"type": "code_interpreter_call", "id": "c", "code": f"print('{WORD}')", "outputs": [{"logs": WORD}]},
        {"type": "computer_call", "call_id": "c", "action": {"type": "type", "text": WORD}},
        {"type": "local_shell_call", "call_id": "c", "action": {"type": "exec", "command": ["echo", WORD]}},
        {"type": "shell_call", "call_id": "c", "action": {"commands": [WORD]}},
        {"type": "apply_patch_call", "call_id": "c", "operation": {"diff": WORD, "path": WORD}},
        {"type": "image_generation_call", "id": "i", "revised_prompt": WORD, "result": "iVBO"},
        {"type": "custom_tool_call", "call_id": "c", "name": "n", "input": WORD},
        {
            "type": "reasoning",
            "id": "r",
            "summary": [{"type": "summary_text", "text": WORD}],
            "content": [{"text": WORD}],
        },
        {"type": "message", "role": "assistant", "content": [{"type": "refusal", "refusal": WORD}]},
        {"type": "something_new", "text": WORD, "arguments": WORD, "output": WORD, "error": {"message": WORD}},
    ],
    MESSAGES: [
        {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {"query": WORD}},
        {
            "type": "web_search_tool_result",
            "tool_use_id": "s",
            "content": [{"title": WORD, "url": f"https://x/{WORD}"}],
        },
        {"type": "web_fetch_tool_result", "tool_use_id": "s", "content": {"url": WORD, "content": {"title": WORD}}},
        {"type": "code_execution_tool_result", "tool_use_id": "s", "content": {"stdout": WORD, "stderr": WORD}},
        {"type": "mcp_tool_use", "id": "s", "name": "n", "server_name": "l", "input": {"a": WORD}},
        {"type": "mcp_tool_result", "tool_use_id": "s", "is_error": True, "content": [{"type": "text", "text": WORD}]},
        {"type": "text", "text": WORD, "citations": [{"cited_text": WORD, "document_title": WORD}]},
        {"type": "something_new", "text": WORD, "input": {"a": WORD}},
    ],
}
"""What a provider's own tools put into answers."""


@MODES
@pytest.mark.parametrize("api", SERVED)
def test_what_a_providers_own_tools_say_is_text_too(api: str, mode: Mode) -> None:
    for item in SERVED[api]:
        if api == RESPONSES:
            body, kind = sse(RESPONSES, response_events([item])), "text/event-stream"
        else:
            content = [{"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}}, item]
            head = {"id": "msg_1", "type": "message", "role": "assistant", "model": "m"}
            body, kind = dump({**head, "content": content, "stop_reason": "end_turn"}), "application/json"
        asked = {"model": "m", "input": "x", "messages": [{"role": "user", "content": "x"}]}
        assert leaks(record(api, asked, body, content_type=kind, environment=mode())) == [], item


ATTACHED: list[tuple[str, dict[str, Any]]] = [
    (CHAT, {"type": "image_url", "image_url": {"url": f"https://example.com/{WORD}.png", "detail": WORD}}),
    (CHAT, {"type": "image_url", "image_url": {"url": f"data:image/png;name={WORD};base64,iVBO"}}),
    (CHAT, {"type": "file", "file": {"filename": f"{WORD}.pdf", "file_data": "data:application/pdf;base64,JVBE"}}),
    (CHAT, {"type": "input_audio", "input_audio": {"data": WORD, "format": "wav", "transcript": WORD}}),
    (RESPONSES, {"type": "input_image", "image_url": f"https://example.com/{WORD}.png"}),
    (RESPONSES, {"type": "input_file", "filename": WORD, "file_url": f"https://example.com/{WORD}.pdf"}),
    (MESSAGES, {"type": "image", "source": {"type": "url", "url": f"https://example.com/{WORD}.png"}}),
    (MESSAGES, {"type": "document", "title": WORD, "context": WORD, "source": {"type": "text", "data": WORD}}),
    (MESSAGES, {"type": "search_result", "title": WORD, "source": WORD, "content": [{"type": "text", "text": WORD}]}),
    (
        "google.generate_content",
        {"fileData": {"fileUri": f"https://x/{WORD}", "displayName": WORD, "mimeType": "image/png"}},
    ),
    ("google.generate_content", {"inlineData": {"mimeType": "image/png", "displayName": WORD, "data": "iVBO"}}),
    ("google.generate_content", {"executableCode": {"language": "PYTHON", "code": WORD}}),
    ("bedrock.converse", {"document": {"name": WORD, "format": "txt", "source": {"text": WORD}}}),
    ("bedrock.converse", {"image": {"format": "png", "source": {"s3Location": {"uri": f"s3://x/{WORD}"}}}}),
]


@MODES
@pytest.mark.parametrize(("api", "part"), ATTACHED, ids=[f"{api}-{number}" for number, (api, _) in enumerate(ATTACHED)])
def test_pictures_and_files_bring_no_text(api: str, part: dict[str, Any], mode: Mode) -> None:
    plain = {"text": "look"} if api.startswith(("google", "bedrock")) else {"type": "text", "text": "look"}
    if api == RESPONSES:
        plain["type"] = "input_text"
    turn = {"role": "user", "content": [plain, part], "parts": [plain, part]}
    found = record(api, {"model": "m", "messages": [turn], "input": [turn], "contents": [turn]}, environment=mode())
    assert leaks(found) == []


@MODES
@pytest.mark.parametrize("at", range(1, len(WORD), 5))
def test_a_word_that_the_stream_divides_is_one_word(mode: Mode, at: int) -> None:
    """In a thought, a text and a tool's input, whatever the pieces."""
    shared = mode()
    for dialogue in DIALOGUES[:2]:
        stream = b"".join(dialogue.stream).decode()
        for piece in ('"Hm"', '"It is "'):
            whole = [block for block in stream.split("\n\n") if piece in block]
            for block in whole:
                halves = [block.replace(piece, f'"{half}"') for half in (f"a {WORD[:at]}", f"{WORD[at:]} b")]
                sent = stream.replace(block, "\n\n".join(halves)).encode()
                found = record(dialogue.api, dialogue.ask, sent, environment=shared)
                assert leaks(found) == []


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("claude-cli/2.1.0 (external, cli)", "claude-cli/2.1.0"),
        (f"codex_cli_rs/0.50.0 (Debian 13; {WORD}) WindowsTerminal", "codex_cli_rs/0.50.0"),
        ("OpenAI/Python 2.1.0", "OpenAI/Python"),
        (f"please write {WORD} to ann", None),
        ("Mozilla/5.0 (X11) Chrome/120.0 Safari/537.36", "Mozilla/5.0 Chrome/120.0 Safari/537.36"),
    ],
)
def test_of_a_user_agent_minimal_capture_keeps_the_products(sent: str, kept: str | None) -> None:
    found = record(MESSAGES, {"model": "m"}, headers={"user-agent": sent}, environment=minimal())
    assert found.user_agent == kept
    assert record(MESSAGES, {"model": "m"}, headers={"user-agent": sent}).user_agent == sent


class Line:
    """A socket whose steps are taken at once."""

    def __init__(self, environment: Environment, api: str) -> None:
        self.records = Records()
        self.pipeline = Pipeline(environment, self.records, announce_after=60.0)
        head = RequestHead(Route("openai", "openai", api), "GET", "h", "/v1", "model=m", "HTTP/1.1", {}, 1.0)
        kind: Any = Socket if api == RESPONSES else RealtimeSocket
        self.socket = kind(self.pipeline, lambda: head)

    def send(self, message: Any, *, from_client: bool) -> None:
        self.socket.message(dump(message), 1000.0, from_client=from_client)
        while self.pipeline.inbox:
            source, what, at = self.pipeline.inbox.popleft()
            source.step(what, at)


def spoken(item: dict[str, Any]) -> list[tuple[bool, dict[str, Any]]]:
    """A Realtime dialogue: who says it (the client or not), and what."""
    done = {"object": "realtime.response", "id": "resp_1", "status": "completed", "output": [item]}
    said = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "what is it"}]}
    heard = {"item_id": "i", "content_index": 0, "transcript": "what is it"}
    return [
        (True, {"type": "session.update", "session": {"instructions": "be kind", "voice": "x"}}),
        (False, {"type": "session.created", "session": {"model": "m", "instructions": "be kind"}}),
        (True, {"type": "conversation.item.create", "item": said}),
        (False, {"type": "input_audio_buffer.committed", "item_id": "i"}),
        (False, {"type": "conversation.item.input_audio_transcription.completed", **heard}),
        (True, {"type": "response.create", "response": {"instructions": "be brief"}}),
        (False, {"type": "response.created", "response": {"id": "resp_1", "status": "in_progress"}}),
        (False, {"type": "response.output_audio_transcript.delta", "response_id": "resp_1", "delta": "it is"}),
        (False, {"type": "response.done", "response": done}),
        (False, {"type": "error", "error": {"type": "server_error", "message": "it is not"}}),
    ]


def framed() -> list[tuple[bool, dict[str, Any]]]:
    """The same of the Responses API over a socket."""
    items = [{"type": "function_call", "id": "f", "call_id": "c", "name": "n", "arguments": '{"a": "b c"}'}]
    ask = {"type": "response.create", "model": "m", "instructions": "be kind", "input": "what is it"}
    failed = {"type": "error", "error": {"code": "rate_limit_exceeded", "message": "not now"}}
    return [
        (True, ask),
        *((False, event) for event in response_events(items)),
        (True, {**ask, "input": [{"type": "function_call_output", "call_id": "c", "output": "b c"}]}),
        (False, failed),
    ]


@MODES
def test_frames_of_a_socket_are_no_other_than_bodies(mode: Mode) -> None:
    call = {"id": "i", "type": "function_call", "name": "light", "call_id": "c", "arguments": '{"on": "b c"}'}
    answer = {"id": "i", "type": "message", "role": "assistant", "content": [{"type": "audio", "transcript": "it is"}]}
    for api, dialogue in (
        ("openai.realtime", spoken(call)),
        ("openai.realtime", spoken(answer)),
        (RESPONSES, framed()),
    ):
        count = 0
        for number, (_, message) in enumerate(dialogue):
            for document in (put(message, path) for path in places(message, leaves=True)):
                line = Line(mode(), api)
                for place, (from_client, told) in enumerate(dialogue):
                    line.send(document if place == number else told, from_client=from_client)
                line.socket.close(1001.0, by_client=True)
                count += len(line.records.all)
                for found in line.records.all:
                    assert leaks(found) == [], document
        assert count > len(dialogue)
