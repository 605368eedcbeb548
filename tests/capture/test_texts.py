"""What becomes of texts on their way into a record: redacted, or with minimal capture not kept at all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from aitap.capture.environment import Environment
from aitap.capture.pipeline import Pipeline
from aitap.capture.texts import note_redacted
from aitap.observe.log_lines import lines_of
from aitap.observe.semconv import names
from aitap.observe.span_contents import contents_of
from aitap.observe.spans import spans_of
from aitap.record import CaptureMode, Interception, message_digest
from aitap.redaction.redactor import WITHHELD, Redactor, redactor_of
from aitap.storage.conversation import content_problems
from aitap.storage.queries import Filter, iter_interceptions
from aitap.storage.writer import Writer
from tests.capture.dialogues import ANSWER, DIALOGUES, QUESTION, RESULT, Dialogue
from tests.capture.framing import EVENT_STREAM
from tests.capture.making import CHAT, MESSAGES, RESPONSES, Records, dump, record, response_events, sse, user
from tests.storage.making import database_in

ME = "00000000-0000-4000-8000-000000000001"
KEY = "sk-ant-api03-9f8Zq3vK7rWm2TxLp6Yd"
CORE = "9f8Zq3vK7rWm2TxLp6Yd"
MARK = "Zwiebelkuchen"

each = pytest.mark.parametrize("dialogue", DIALOGUES, ids=[dialogue.api for dialogue in DIALOGUES])


def planted(data: bytes, word: str) -> bytes:
    """The same exchange with this word in every text that somebody wrote."""
    texts = [QUESTION, ANSWER, RESULT, "a.txt", "Be kind", "one", "It is ", "Hm"]
    for text in texts:
        for form in {json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1]}:
            data = data.replace(f'"{form}'.encode(), f'"{word} {form}'.encode())
            # Arguments stand in JSON within JSON, too.
            data = data.replace(f'\\"{form}'.encode(), f'\\"{word} {form}'.encode())
    return data


def exchanges(dialogue: Dialogue, environment: Environment, word: str) -> list[Interception]:
    """A first request and its answer, and the next one, which brings the tool's result; streamed where that is text."""
    found = []
    streamed = dialogue.content_type != EVENT_STREAM
    for number, body in enumerate((dialogue.ask, dialogue.again)):
        answer = b"".join(dialogue.stream) if streamed and number else dump(dialogue.whole)
        found.append(
            record(
                dialogue.api,
                planted(dump(body), word),
                planted(answer, word),
                content_type=dialogue.content_type if streamed and number else "application/json",
                environment=environment,
                at=1_795_000_000.0 + 10 * number,
            )
        )
    return found


def environment(capture: CaptureMode, redactor: Redactor | None = None) -> Environment:
    return Environment(ME, capture, redactor)


def store(folder: Path, records: list[Interception]) -> Any:
    database = database_in(folder)
    writer = Writer(database, flush_interval=0.0)
    writer.start()
    for found in records:
        assert writer.submit(found)
    assert writer.close(60)
    assert writer.stats.lost == 0
    return database


def told(records: list[Interception]) -> bytes:
    """All that logs and spans would say of them."""
    lines = [lines_of(found, announced=False) for found in records]
    spans = [
        (span.name, span.attributes, span.error, [(event.name, event.attributes) for event in span.events])
        for found in records
        for span in spans_of(found, names(), contents=True, logs=True)
    ]
    return repr((lines, spans, [contents_of(found) for found in records])).encode()


def test_minimal_capture_stores_and_tells_no_word_in_any_dialect(tmp_path: Path) -> None:
    records = []
    for dialogue in DIALOGUES:
        whole = exchanges(dialogue, environment("full"), MARK)
        assert msgspec.json.encode(whole).count(MARK.encode()) >= 4, "or the test would find nothing"
        records += exchanges(dialogue, environment("minimal"), MARK)
    for extra in (
        {"type": "mcp_call", "id": "m", "name": "n", "arguments": f'{{"a": "{MARK}"}}', "error": f"no {MARK}"},
        {"type": "web_search_call", "id": "w", "action": {"type": "search", "query": MARK}},
        {"type": "code_interpreter_call", "id": "c", "code": f"print('{MARK}')", "outputs": [{"logs": MARK}]},
        {"type": "message", "id": "m", "phase": "commentary", "content": [{"type": "output_text", "text": MARK}]},
    ):
        body = {"model": "m", "instructions": MARK, "input": [user(MARK)], "metadata": {"note": MARK}}
        events = sse(RESPONSES, response_events([extra]))
        records.append(record(RESPONSES, body, events, environment=environment("minimal")))
    picture = {"type": "image_url", "image_url": {"url": f"https://example.com/{MARK}.png?{MARK}"}}
    named = {"type": "file", "file": {"filename": f"{MARK}.pdf", "file_data": f"data:application/pdf;name={MARK},JVBE"}}
    asked = {"model": "m", "messages": [user([{"type": "text", "text": MARK}, picture, named])]}
    records.append(record(CHAT, asked, environment=environment("minimal")))
    database = store(tmp_path, records)
    exported = msgspec.json.encode(list(iter_interceptions(database, Filter())))
    database.close()
    for name, data in {
        "export": exported,
        "logs and spans": told(records),
        **{path.name: path.read_bytes() for path in tmp_path.iterdir()},
    }.items():
        assert MARK.encode() not in data, name
    assert sum(len(found.tool_usages) for found in records) >= len(DIALOGUES)
    assert all(prompt.metadata["chars"] > len(MARK) - 1 for found in records for prompt in found.user_prompts)


@each
def test_a_secret_in_any_text_is_in_no_field_file_log_or_span(dialogue: Dialogue, tmp_path: Path) -> None:
    redactor = redactor_of(("secrets",))
    records = exchanges(dialogue, environment("full", redactor), KEY)
    first, second = records
    assert CORE.encode() not in msgspec.json.encode(records)
    assert "[redacted:anthropic_key]" in first.user_prompts[0].prompt
    assert all("[redacted:anthropic_key]" in usage.input for found in records for usage in found.tool_usages)
    manifest = first.metadata["redacted"]
    assert manifest["user_prompts.0.prompt"] == {"anthropic_key": 1}
    assert manifest["tool_usages.0.input"] == {"anthropic_key": 1}
    assert second.metadata["redacted"]["contents"]["anthropic_key"] > manifest["contents"]["anthropic_key"]
    for message in second.contents:
        assert message.digest == message_digest(message.parent_digest, message.role, message.content.encode())
    database = store(tmp_path, records)
    assert content_problems(database) == []
    [older, newer] = iter_interceptions(database, Filter())
    assert newer["metadata"]["redacted"] == second.metadata["redacted"]
    assert newer["thread_parent_id"] == older["id"]
    database.close()
    for data in (told(records), *(path.read_bytes() for path in tmp_path.iterdir())):
        assert CORE.encode() not in data


@each
def test_a_conversation_stays_one_where_its_texts_are_redacted(dialogue: Dialogue, tmp_path: Path) -> None:
    threads = []
    for number, redactor in enumerate((None, redactor_of(("secrets",)))):
        folder = tmp_path / str(number)
        folder.mkdir()
        database = store(folder, exchanges(dialogue, environment("full", redactor), KEY))
        older, newer = iter_interceptions(database, Filter())
        threads.append(
            (
                newer["thread_parent_id"] == older["id"],
                newer["session_id"] == older["session_id"],
                older["tool_usages"][0]["result_status"],
            )
        )
        answers = {older["response_digest"], newer["response_digest"]}
        assert None not in answers
        database.close()
    assert threads[0] == threads[1]
    assert threads[0][0]


def test_who_sends_no_id_is_known_by_what_was_said_though_only_its_redacted_form_is_digested() -> None:
    redactor = redactor_of(("secrets",))
    turns = [user(f"my key is {KEY}"), {"role": "assistant", "content": "ok"}, user("and now?")]

    def histories(key: str, redactor: Redactor | None) -> list[list[str]]:
        said = json.loads(json.dumps(turns).replace(KEY, key))
        shared = environment("metadata+prompt", redactor)
        return [
            record(CHAT, {"model": "m", "messages": said[:count]}, environment=shared).lineage.history
            for count in (1, 3)
        ]

    first, second = histories(KEY, redactor)
    assert second[0] == first[-1]
    assert histories(KEY[::-1].replace("3", "4"), None) != histories(KEY, None)
    assert histories(KEY.replace("9f8Z", "Z8f9"), redactor) == [first, second], "no digest depends on the secret"


def test_what_a_provider_says_went_wrong_is_redacted_before_it_is_cut() -> None:
    words = "x" * 4080 + f" ann@example.com {KEY}"
    error = dump({"type": "error", "error": {"type": "invalid", "message": words}})
    found = record(
        MESSAGES, b"{}", error, status=400, environment=environment("metadata+prompt", redactor_of(("all",)))
    )
    assert found.error_message is not None
    assert found.error_message.endswith(" [redacted:email")
    assert found.metadata["redacted"]["error_message"] == {"anthropic_key": 1, "email": 1}


def test_a_redactor_that_fails_withholds_every_text_and_says_so() -> None:
    for dialogue in DIALOGUES:
        found = exchanges(dialogue, environment("full", Redactor(None)), MARK)
        assert MARK.encode() not in msgspec.json.encode(found)
        assert found[0].user_prompts[0].prompt == WITHHELD
        assert found[0].metadata["redacted"]["user_prompts.0.prompt"] == {"withheld": 1}
        assert all(WITHHELD in message.content for message in found[0].contents)
        assert found[0].token_usages is not None


def test_a_snapshot_keeps_the_manifest_of_its_moment() -> None:
    found = record(
        CHAT, {"model": "m", "messages": [user(KEY)]}, environment=environment("full", redactor_of(("all",)))
    )
    before = found.metadata["redacted"]
    note_redacted(found, "error_message", {"email": 1})
    assert "error_message" not in before
    assert found.metadata["redacted"] == {**before, "error_message": {"email": 1}}


@pytest.mark.parametrize("kept", [environment("minimal"), environment("full", redactor_of(("all",)))])
def test_a_mistake_of_ours_is_logged_without_the_words_of_what_could_not_be_read(
    kept: Environment, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken:
        def step(self, what: Any, at: float) -> None:
            raise ValueError(f"invalid literal: {what}, {at}")

        def stop(self, at: float) -> None:
            raise ValueError(f"{MARK} {at}")

        def abandon(self, at: float) -> None:
            assert at

    pipeline = Pipeline(kept, Records(), announce_after=None)
    pipeline.put((Broken(), MARK, 1.0))
    pipeline.drain()
    assert pipeline.decode_errors == 1
    assert "ValueError" in caplog.text
    assert "in step" in caplog.text
    assert MARK not in caplog.text
