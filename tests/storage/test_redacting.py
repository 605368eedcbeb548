"""Redaction of what is stored already: everywhere, once, and conversations stay whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from peewee import Database

from aitap.record import StoredMessage, message_digest
from aitap.redaction.redactor import Redactor, redactor_of
from aitap.redaction.rows import Rule
from aitap.storage.checks import problems
from aitap.storage.conversation import content_problems
from aitap.storage.homes import home_of_database
from aitap.storage.redacting import Redacted, redact_stored, redactable
from tests.storage.making import T0, Recording, everything, interception, lineage, prompt, rows, thought, tool

SECRET = "9f8Zq3vK7rWm2TxLp6Yd"
KEY = f"sk-ant-api03-{SECRET}"


def chain(*texts: str) -> list[StoredMessage]:
    found: list[StoredMessage] = []
    for text in texts:
        parent = found[-1].digest if found else None
        content = msgspec.json.encode([{"text": text, "type": "text"}])
        digest = message_digest(parent, "user", content)
        found.append(StoredMessage(digest, parent, "user", content.decode(), T0))
    return found


SAID = chain("hello", f"my key is {KEY}", "thanks", f"again {KEY}, {KEY}")
CLEAN = chain("hello", "nothing to hide")


@pytest.fixture
def filled(recording: Recording) -> Database:
    fields: dict[str, Any] = {"client_session_id": "s", "lineage": lineage(history=["ab", "cd"])}
    recording.batch(
        interception(
            T0,
            user_prompts=[prompt(f"use {KEY}")],
            tool_usages=[tool("t1", "{}"), tool("t2", f'{{"command": "echo {KEY}"}}')],
            model_thoughts=[thought(f"{KEY}, hm")],
            error_message=f"bad {KEY}",
            contents=SAID[:2],
            request_digest=SAID[1].digest,
            metadata={"redacted": {"user_prompts.0.prompt": {"email": 1}}, "other": 1},
            **fields,
        ),
        interception(T0 + 1, contents=SAID, request_digest=SAID[2].digest, response_digest=SAID[3].digest, **fields),
        interception(T0 + 2, contents=CLEAN, request_digest=CLEAN[1].digest, client_session_id="other"),
    )
    return recording.database


def done(database: Database, *, dry_run: bool = False) -> Redacted:
    redactor = redactor_of(("all",))
    assert redactor is not None
    [*_, last] = redact_stored(database, redactor, dry_run=dry_run)
    return last


def test_everything_that_is_stored_is_redacted_and_conversations_stay_whole(filled: Database) -> None:
    assert redactable(filled) == 3
    found = done(filled)
    assert (found.interceptions, found.changed, found.messages) == (3, 2, 2)
    assert found.removed == {"anthropic_key": 7}
    assert SECRET not in repr(everything(filled))
    assert content_problems(filled) == []
    assert list(problems(filled)) == []
    [first, second, third] = rows(
        filled, "SELECT metadata, request_digest, response_digest FROM aibridge_interceptions ORDER BY started_at"
    )
    assert msgspec.json.decode(first[0]) == {
        "other": 1,
        "redacted": {
            "user_prompts.0.prompt": {"email": 1, "anthropic_key": 1},
            "tool_usages.1.input": {"anthropic_key": 1},
            "model_thoughts.0.content": {"anthropic_key": 1},
            "error_message": {"anthropic_key": 1},
            "contents": {"anthropic_key": 1},
        },
    }
    assert msgspec.json.decode(second[0]) == {"redacted": {"contents": {"anthropic_key": 3}}}
    assert third[1] == CLEAN[1].digest
    assert len(rows(filled, "SELECT 1 FROM aitap_messages")) == 5, "the shared beginning, and each message once"
    assert rows(filled, "SELECT last_prompt FROM aitap_sessions WHERE session_id = 's'") == [
        ("use [redacted:anthropic_key]",)
    ]
    after = everything(filled)
    again = done(filled)
    assert (again.changed, again.removed) == (0, {})
    assert everything(filled) == after


def test_a_dry_run_counts_and_writes_nothing(filled: Database) -> None:
    before = everything(filled)
    found = done(filled, dry_run=True)
    assert (found.changed, found.removed) == (2, {"anthropic_key": 7})
    assert everything(filled) == before


@pytest.mark.sqlite
def test_no_byte_of_it_is_left_in_the_file(filled: Database, tmp_path: Path) -> None:
    done(filled)
    assert home_of_database(filled).overwrite_deleted(filled) == ""
    assert [path.name for path in tmp_path.glob("aitap.db*") if SECRET.encode() in path.read_bytes()] == []


def test_what_cannot_be_searched_stays_and_is_told(filled: Database) -> None:
    before = everything(filled)
    redactor = Redactor([Rule(name="x", pattern="x", check="none such")])
    [*_, last] = redact_stored(filled, redactor)
    assert (last.changed, last.removed) == (0, {})
    assert redactor.failures > 0
    assert everything(filled) == before
