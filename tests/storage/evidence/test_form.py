"""The form of digests is for good: what was chained by an older version, or in another database, must verify."""

from __future__ import annotations

from peewee import Database

from aitap.storage.commit import Commits
from aitap.storage.evidence import form
from tests.storage.making import ANN, T0, interception, prompt, thought, tokens, tool

ID = "01a1fb35-be71-7017-8033-8aa86ec8bfb{}"

NEVER_NULL = {
    "aibridge_interceptions": {
        *("id", "initiator_id", "provider", "provider_name", "model", "session_id", "started_at", "credential_kind"),
        *("credential_hint", "api", "method", "host", "path", "http_version", "streaming", "request_bytes"),
        *("response_bytes", "outcome", "purpose", "capture"),
    },
    "aibridge_token_usages": {
        *("id", "interception_id", "provider_response_id", "created_at", "input_tokens", "output_tokens"),
        *("cache_read_input_tokens", "cache_write_input_tokens"),
    },
    "aibridge_user_prompts": {"id", "interception_id", "provider_response_id", "created_at", "prompt"},
    "aibridge_tool_usages": {
        *("id", "interception_id", "provider_response_id", "created_at", "tool", "input", "injected", "kind"),
    },
    "aibridge_model_thoughts": {"id", "interception_id", "provider_response_id", "created_at", "content"},
    "aitap_messages": {"digest", "role", "content", "bytes", "created_at"},
    "aitap_audit": {"id", "read_at", "reader_id", "address", "subject_id", "path", "query", "records"},
}


def test_a_digest_is_the_same_in_every_database_and_for_good(database: Database) -> None:
    """A change here makes every chain there is fail: the form then needs a number, and the old one to be kept."""
    children = [tokens(metadata={"z": 1, "a": 2.5}), prompt("Über"), tool("call", '{"a":1}'), thought("hm")]
    for number, child in enumerate(children):
        child.id = ID.format(number + 1)
    usage, asked, call, mused = children
    record = interception(
        id=ID.format(0),
        initiator_id=ANN,
        metadata={"b": {"d": 1, "c": [True, None]}, "a": "x"},
        streaming=True,
        time_to_first_token=0.1,
        token_usages=[usage],
        user_prompts=[asked],
        tool_usages=[call],
        model_thoughts=[mused],
    )
    assert record.started_at == T0
    assert Commits(database, None).commit([record]) == set()
    [found] = form.records_with(database, [record.id])
    assert found.digest.hex() == "3c5f67f417c56c99abcafe2a70d4d6f6a41ead0308e6a8275da315f353a7d062"


def test_a_column_that_comes_later_can_be_null() -> None:
    tables = (form.RECORDS, *form.CHILDREN, form.MESSAGES, form.READINGS)
    assert {table.table: table.never_null for table in tables} == NEVER_NULL
