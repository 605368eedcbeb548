"""Contents in the database: written once, complete or not at all, and gone with the last that refers to them."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from peewee import Database

from aitap.record import Interception, StoredMessage, message_digest
from aitap.storage import contents
from aitap.storage import database as database_module
from aitap.storage.checks import problems
from aitap.storage.conversation import content_problems
from aitap.storage.database import migrate, open_database
from aitap.storage.retention import prunable_contents, prune, prune_slices
from aitap.storage.writer import Writer
from tests.storage.making import (
    T0,
    Recording,
    database_in,
    eventually,
    everything,
    interception,
    other_connection,
    prompt,
    rows,
)


def chain(*texts: str, parent: str | None = None, role: str = "user") -> list[StoredMessage]:
    """Messages of which each continues the one before."""
    messages = []
    for text in texts:
        content = msgspec.json.encode([{"type": "text", "text": text}])
        digest = message_digest(parent, role, content)
        messages.append(StoredMessage(digest, parent, role, content.decode(), T0))
        parent = digest
    return messages


def said(at: float, *texts: str, answer: str | None = None, system: str = "Be kind", **fields: Any) -> Interception:
    """An interception whose request says these texts."""
    head, asked = chain(system, role="system"), chain(*texts)
    answered = [] if answer is None else chain(answer, parent=asked[-1].digest, role="assistant")
    return interception(
        at,
        capture="full",
        system_digest=head[-1].digest,
        request_digest=asked[-1].digest,
        response_digest=answered[-1].digest if answered else None,
        contents=[*head, *asked, *answered],
        **fields,
    )


def stored(database: Database) -> list[str]:
    """What all messages say, sorted."""
    found = rows(database, "SELECT content FROM aitap_messages")
    return sorted(msgspec.json.decode(content)[0]["text"] for (content,) in found)


def test_a_session_stores_each_message_once(recording: Recording) -> None:
    texts = [f"message {number}" for number in range(20)]
    for number in range(1, 20, 2):
        recording.batch(said(T0 + number, *texts[:number]))
    assert stored(recording.database) == sorted(["Be kind", *texts[:19]])
    assert problems(recording.database) == []


def test_what_is_known_is_not_sent_again(recording: Recording, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[int] = []

    def counting(database: Any, sql: str, rows: Any) -> int:
        sent.append(len(rows))
        return database_module.execute_many(database, sql, rows)

    monkeypatch.setattr(contents, "execute_many", counting)
    recording.batch(said(T0, "a", "b"))
    recording.batch(said(T0 + 1, "a", "b", "c"))
    recording.batch(said(T0 + 2, "a", "b", "c"))
    assert sent == [3, 1]


def test_without_contents_no_statement_is_made(recording: Recording, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contents, "rows_of", None)
    monkeypatch.setattr(contents, "execute_many", None)
    recording.batch(interception(T0))
    assert recording.writer.stats.lost == 0
    assert stored(recording.database) == []


def test_writing_twice_changes_nothing(recording: Recording) -> None:
    record = said(T0, "a", answer="b")
    recording.batch(record)
    before = everything(recording.database)
    recording.restart()
    recording.batch(record)
    assert everything(recording.database) == before


@pytest.mark.sqlite
def test_what_another_process_removed_is_written_again(recording: Recording) -> None:
    recording.batch(said(T0, "a", "b"))
    with contextlib.closing(other_connection(recording.database)) as other:
        other.execute("DELETE FROM aibridge_interceptions")
        other.execute("DELETE FROM aitap_messages")
    recording.batch(said(T0 + 1, "a", "b", "c"))
    assert stored(recording.database) == ["Be kind", "a", "b", "c"]
    assert content_problems(recording.database) == []


def test_a_record_without_its_beginning_is_stored_without_contents(recording: Recording) -> None:
    """What it continues was removed: better nothing than half of a conversation."""
    lost = chain("gone")[-1].digest
    new = chain("more", parent=lost)
    record = interception(T0, capture="full", request_digest=new[-1].digest, contents=new)
    recording.batch(record)
    assert recording.row(record)["request_digest"] is None
    assert stored(recording.database) == []
    assert problems(recording.database) == []


def test_a_record_may_continue_one_of_the_same_batch(recording: Recording) -> None:
    first = said(T0, "a", answer="b")
    new = chain("c", parent=first.response_digest)
    second = interception(T0 + 1, capture="full", request_digest=new[-1].digest, contents=new)
    recording.batch(first, second)
    assert recording.row(second)["request_digest"] == new[-1].digest
    assert problems(recording.database) == []


class TestRetention:
    def test_contents_go_with_the_last_that_refers_to_them(self, recording: Recording) -> None:
        recording.batch(said(T0, "a", "b", answer="old"), said(T0 + 10, "a", "c", answer="new"))
        assert prune(recording.database, T0 + 5) == 1
        assert stored(recording.database) == ["Be kind", "a", "c", "new"]
        assert prune(recording.database, T0 + 20) == 1
        assert stored(recording.database) == []
        assert rows(recording.database, "SELECT * FROM aitap_loose_messages") == []

    def test_what_a_younger_one_continues_stays(self, recording: Recording) -> None:
        recording.batch(said(T0, "a", answer="b"))
        new = chain("c", parent=said(T0, "a", answer="b").response_digest)
        recording.batch(interception(T0 + 10, capture="full", request_digest=new[-1].digest, contents=new))
        prune(recording.database, T0 + 5)
        assert stored(recording.database) == ["a", "b", "c"]
        assert problems(recording.database) == []

    def test_contents_may_go_before_the_facts(self, recording: Recording) -> None:
        old = said(T0, "a", answer="b", user_prompts=[prompt("a")])
        recording.batch(old, said(T0 + 10, "a", "c"))
        assert prunable_contents(recording.database, T0 + 5) == 1
        assert prune(recording.database, 0.0, contents_before=T0 + 5) == 0
        assert stored(recording.database) == ["Be kind", "a", "c"]
        row = recording.row(old)
        assert [row[name] for name in ("request_digest", "response_digest", "system_digest")] == [None] * 3
        assert rows(recording.database, "SELECT prompt FROM aibridge_user_prompts") == [("a",)]
        assert problems(recording.database) == []

    def test_the_writer_does_it_by_itself(self, database: Database) -> None:
        now = time.time()
        writer = Writer(database, flush_interval=0.0, content_retention=3600.0, retention_interval=0.02)
        writer.start()
        assert writer.submit(said(now - 7200, "old"))
        assert writer.submit(said(now - 60, "young"))
        assert writer.flush(60)
        assert eventually(lambda: stored(database) == ["Be kind", "young"])
        assert writer.submit(said(now - 50, "old", system="other"))
        assert writer.flush(60)
        assert stored(database) == ["Be kind", "old", "other", "young"]
        assert writer.close()
        assert rows(database, "SELECT count(*) FROM aibridge_interceptions") == [(3,)]
        assert problems(database) == []

    def test_open_interceptions_keep_theirs(self, recording: Recording) -> None:
        recording.batch(said(T0, "a", took=None))
        prune(recording.database, T0 + 5, contents_before=T0 + 5)
        assert stored(recording.database) == ["Be kind", "a"]

    def test_a_long_conversation_goes_in_short_steps(self, recording: Recording) -> None:
        recording.batch(said(T0, *(f"{number} {'x' * 500}" for number in range(5000))))
        assert sum(1 for _ in prune_slices(recording.database, T0 + 5)) > 5
        assert stored(recording.database) == []

    def test_a_step_that_was_the_last_before_a_crash_is_gone_on_with(self, recording: Recording) -> None:
        recording.batch(said(T0, *"abcdef"))
        steps = prune_slices(recording.database, T0 + 5)
        next(steps)
        steps.close()
        assert stored(recording.database) == ["Be kind", *"abcdef"]
        prune(recording.database, 0.0)
        assert stored(recording.database) == []


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    conversations=st.lists(st.text(alphabet="ab", min_size=1, max_size=5), min_size=1, max_size=12),
    ages=st.lists(st.integers(0, 12), min_size=2, max_size=4),
)
def test_exactly_what_is_referred_to_is_kept(tmp_path: Path, conversations: list[str], ages: list[int]) -> None:
    database = database_in(tmp_path)
    recording = Recording(database)
    recording.batch(*(said(T0 + number, *texts) for number, texts in enumerate(conversations)))
    for number, age in enumerate(ages):
        prune(database, *((T0 + age, 0.0) if number % 2 else (0.0, T0 + age)))
        wanted = rows(database, "SELECT request_digest FROM aibridge_interceptions WHERE request_digest IS NOT NULL")
        kept = {message.digest for texts in conversations for message in chain(*texts)}
        chains = [{m.digest for m in chain(*texts)} for texts in conversations if (chain(*texts)[-1].digest,) in wanted]
        expected = set().union(*chains) if chains else set()
        found = {digest for (digest,) in rows(database, "SELECT digest FROM aitap_messages")}
        assert found & kept == expected
        assert problems(database) == []
    recording.writer.close()
    database.close()


def test_an_older_database_is_brought_up_with_its_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "first"
    folder.mkdir()
    initial = database_module._MIGRATIONS / "0001_initial.py"
    (folder / initial.name).write_bytes(initial.read_bytes())
    with monkeypatch.context() as patch:
        patch.setattr(database_module, "_MIGRATIONS", folder)
        database = open_database(f"sqlite:///{tmp_path}/aitap.db", migrate=True)
        columns = (
            "id, initiator_id, provider, provider_name, model, session_id, started_at, ended_at, api, method, host"
        )
        database.execute_sql(
            f"INSERT INTO aibridge_interceptions ({columns}, path, http_version, outcome, purpose, capture, metadata, "
            "credential_kind, credential_hint, streaming, request_bytes, response_bytes) VALUES "
            "('i', 'u', 'p', 'n', 'm', 's', '2026-01-01', '2026-01-02', 'a', 'POST', 'h', '/', '1', 'completed', "
            "'conversation', 'metadata+prompt', '{}', 'centralized', '', 1, 2, 3)"
        )
        before = rows(database, f"SELECT {columns} FROM aibridge_interceptions")
    assert "0002_contents" in migrate(database)
    assert rows(database, f"SELECT {columns} FROM aibridge_interceptions") == before
    assert rows(database, "SELECT request_digest, tools_digest FROM aibridge_interceptions") == [(None, None)]
    assert content_problems(database) == []
    database.close()


class TestCheck:
    @pytest.fixture
    def sound(self, recording: Recording) -> Database:
        recording.batch(said(T0, "one", "two", answer="three"))
        assert problems(recording.database) == []
        return recording.database

    @pytest.mark.parametrize(
        "damage",
        [
            "content = replace(content, 'two', 'twO')",
            pytest.param(
                "content = CAST(substr(CAST(content AS BLOB), 1, 9) || x'ff' AS TEXT)", marks=pytest.mark.sqlite
            ),
            "role = 'assistant'",
            "parent_digest = NULL",
            "bytes = bytes + 1",
        ],
    )
    def test_a_flipped_byte_is_found(self, sound: Database, damage: str) -> None:
        rows(sound, f"UPDATE aitap_messages SET {damage} WHERE content LIKE '%two%'")
        assert [chain("one", "two")[-1].digest in problem for problem in problems(sound)] == [True]

    def test_a_missing_message_is_found_wherever_it_is_named(self, sound: Database) -> None:
        rows(sound, "DELETE FROM aitap_messages WHERE content LIKE '%two%'")
        lost = chain("one", "two")[-1].digest
        found = problems(sound)
        assert [problem.split(",")[0] for problem in found if "continues" in problem] == [
            f"message {said(T0, 'one', 'two', answer='three').response_digest} continues {lost}"
        ]
        assert [problem for problem in found if problem.startswith("the request of interception")]
        assert len(found) == 2

    def test_not_more_than_twenty_of_a_kind_are_told(self, recording: Recording) -> None:
        recording.batch(said(T0, *(f"{number}" for number in range(50))))
        recording.database.execute_sql("UPDATE aitap_messages SET content = '[]'")
        assert len(problems(recording.database)) == 20
