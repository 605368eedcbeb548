"""Whatever is changed past aitap is found, and what aitap does itself is not."""

from __future__ import annotations

import os
import time
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from peewee import BlobField, BooleanField, Database, SqliteDatabase

from aitap.prices.pricing import Prices
from aitap.record import new_id
from aitap.storage import contents, recovery, retention
from aitap.storage.administration import acting
from aitap.storage.audit import Reader, remove_readings
from aitap.storage.database import execute_many, question_marks, rows_of, transaction
from aitap.storage.evidence import form
from aitap.storage.evidence.block import FIRST, Block
from aitap.storage.evidence.chain import cover, keep_evidence, keep_evidence_once_there
from aitap.storage.evidence.checkpoint import Checkpoint
from aitap.storage.evidence.covered import Covered
from aitap.storage.evidence.verify import Verification
from aitap.storage.fields import Json, Timestamp, Uuid, timestamp_text
from aitap.storage.models import EvidenceBlock
from aitap.storage.reprice import reprice
from tests.storage.evidence.conftest import KEY, KEYS, Look
from tests.storage.making import ANN, BEN, T0, Recording, interception, prompt, rows, tokens, tool

TABLES = [form.RECORDS, *form.CHILDREN, form.MESSAGES, form.READINGS]
MODELS = {
    model._meta.table_name: model
    for model in (
        *(form.Interception, form.TokenUsage, form.UserPrompt, form.ToolUsage, form.ModelThought),
        *(form.Message, form.Reading, EvidenceBlock),
    )
}
COLUMNS = [(table, field) for table, model in MODELS.items() for field in model._meta.sorted_fields]


def other(field: Any, value: Any) -> Any:
    """Another value that the column takes."""
    if isinstance(field, Timestamp):
        return timestamp_text(T0 + 12_345)
    if isinstance(field, Uuid):
        return new_id()
    if isinstance(field, Json):
        return '{"b":2}'
    if isinstance(field, BlobField):
        return bytes(value or b"")[:-1] + bytes([(bytes(value or b"\0")[-1] + 1) % 256])
    if isinstance(field, BooleanField):
        return not value
    if field.field_type in ("TEXT", "VARCHAR"):
        return f"{value or ''}x"
    return (value or 0) + 1000


def edit(database: Database, sql: str, *parameters: Any) -> None:
    with transaction(database):
        execute_many(database, sql, [parameters])


def test_what_aitap_wrote_verifies_while_it_goes_on_writing(sealed: Recording, look: Look) -> None:
    """What is committed meanwhile is not looked at, and does not disturb the look."""
    times = iter((T0 + 20, T0 + 21))

    def write(_: int) -> None:
        if at := next(times, None):
            sealed.batch(interception(at))

    found = Verification(sealed.database, KEYS, advance=write)
    assert list(found.problems()) == []
    assert (found.blocks, found.records, found.messages, found.readings) == (4, 4, 2, 1)
    assert next(times, None) is None
    assert look() == []


@pytest.mark.parametrize("database", ["sqlite", "postgresql"], indirect=True)
def test_every_column_of_every_row_is_covered(sealed: Recording, look: Look, database: Database) -> None:
    """Each column of two rows of each table is changed by itself, to another value and to null, found, and put back."""
    missed = []
    for table, field in COLUMNS:
        key = next(f.column_name for f in MODELS[table]._meta.sorted_fields if f.primary_key)
        column = field.column_name
        own = f"SELECT {key}, {column} FROM {table}"
        for name, value in rows(database, f"{own} ORDER BY 1 LIMIT 2"):
            changes = [other(field, value)]
            if field.null and value is not None:
                changes.append(None)
            for change in changes:
                edit(database, f"UPDATE {table} SET {column} = ? WHERE {key} = ?", change, name)
                if not look():
                    missed.append((table, column, value, change))
                back = change if field.primary_key else name
                edit(database, f"UPDATE {table} SET {column} = ? WHERE {key} = ?", value, back)
    assert missed == []
    assert look() == []


def test_every_row_that_goes_is_missed(sealed: Recording, look: Look, database: Database) -> None:
    for table, model in MODELS.items():
        names = [field.column_name for field in model._meta.sorted_fields]
        key = next(field.column_name for field in model._meta.sorted_fields if field.primary_key)
        # The last block is its end, which only a checkpoint misses.
        for row in rows(database, f"SELECT {', '.join(names)} FROM {table} ORDER BY {key}")[
            : -1 if key == "turn" else None
        ]:
            name = row[names.index(key)]
            edit(database, f"DELETE FROM {table} WHERE {key} = ?", name)
            assert look(), (table, name)
            edit(database, f"INSERT INTO {table} ({', '.join(names)}) VALUES {question_marks(len(names))}", *row)
    assert look() == []


def test_every_row_that_comes_is_seen(sealed: Recording, look: Look, database: Database) -> None:
    """A copy of a row under another name; of a child also one without a parent."""
    for table in TABLES:
        names = [*table.names]
        key = "digest" if table is form.MESSAGES else "id"
        row = dict(zip(names, rows(database, f"SELECT {', '.join(names)} FROM {table.table}")[0], strict=True))
        strange = "b2:" + "0" * 40 if table is form.MESSAGES else new_id()
        for change in [{key: strange}] + [{key: strange, "interception_id": new_id()}] * (table in form.CHILDREN):
            added = row | change
            put = f"INSERT INTO {table.table} ({', '.join(added)}) VALUES {question_marks(len(added))}"
            edit(database, put, *added.values())
            assert [p.kind for p in look()] in (["uncovered"], ["changed"], ["added"]), table.table
            edit(database, f"DELETE FROM {table.table} WHERE {key} = ?", strange)
    assert look() == []


def test_children_that_change_owners_are_seen_at_both(sealed: Recording, look: Look, database: Database) -> None:
    first, second, *_ = [row[0] for row in rows(database, "SELECT id FROM aibridge_interceptions ORDER BY id")]
    edit(database, "UPDATE aibridge_tool_usages SET interception_id = ? WHERE interception_id = ?", second, first)
    assert {problem.record for problem in look()} == {first, second}


def test_two_blocks_that_change_places_are_seen(sealed: Recording, look: Look, database: Database) -> None:
    for turn, to in ((1, -1), (2, 1), (-1, 2)):
        edit(database, "UPDATE aitap_evidence SET turn = ? WHERE turn = ?", to, turn)
    assert "block 1 was changed" in {problem.text for problem in look()}


def test_a_block_of_another_key_is_not_trusted(sealed: Recording, look: Look, database: Database) -> None:
    """Who can write the database can add records with a block of their own, but not sign it."""
    keep_evidence(database, Ed25519PrivateKey.generate())
    sealed.batch(interception(T0 + 30))
    [problem] = look()
    assert problem.kind == "chain"
    assert "not trusted" in problem.text


@pytest.mark.sqlite
def test_bytes_that_are_no_text_are_a_change_like_any_other(sealed: Recording, look: Look, database: Database) -> None:
    edit(database, "UPDATE aibridge_user_prompts SET prompt = CAST(x'ff' AS TEXT)")
    assert {problem.kind for problem in look()} == {"changed"}
    assert isinstance(database, SqliteDatabase)


@pytest.mark.sqlite
@pytest.mark.parametrize(
    ("column", "value"),
    [
        # As JSON bytes are their base64, which this name of a tool is.
        ("aibridge_tool_usages.tool", "x'05ab21'"),
        # What cannot be decoded is not the text that tells of it.
        ("aibridge_user_prompts.prompt", "CAST(x'73617920e9' AS TEXT)"),
        # A reader of SQL takes the first of the two, a reader of JSON the last.
        ("aibridge_interceptions.metadata", """'{"a":2,"a":1}'"""),
        ("aibridge_interceptions.metadata", """replace(hex(zeroblob(20000)), '0', '[')"""),
        ("aitap_kinds.model", "x'ff'"),
        ("aitap_kinds.model", "CAST(x'ff' AS TEXT)"),
        ("aitap_evidence.at", "CAST(x'ff' AS TEXT)"),
    ],
)
def test_what_only_sqlite_takes_is_found_too(column: str, value: str, recording: Recording, look: Look) -> None:
    """Values that look like those that were there to who reads them carelessly, or cannot be read at all."""
    keep_evidence(recording.database, KEY)
    recording.batch(
        interception(metadata={"a": 1}, user_prompts=[prompt("say \\xe9")], tool_usages=[tool("c", name="Bash")])
    )
    assert look() == []
    table, _, name = column.partition(".")
    edit(recording.database, f"UPDATE {table} SET {name} = {value}")
    assert look() != []


def test_a_chain_cut_off_is_found_by_a_checkpoint(sealed: Recording, look: Look, database: Database) -> None:
    seen = Verification(database, KEYS)
    assert list(seen.problems()) == []
    checkpoint = seen.checkpoint()
    assert checkpoint is not None
    assert look(checkpoint=checkpoint) == []
    own_id = rows(database, "SELECT id FROM aitap_audit")[0][0]
    edit(database, "DELETE FROM aitap_evidence WHERE turn = ?", checkpoint.turn)
    edit(database, "DELETE FROM aitap_audit WHERE id = ?", own_id)
    assert look() == []
    [problem] = look(checkpoint=checkpoint)
    assert problem.kind == "checkpoint"
    assert "cut off" in problem.text


def test_an_act_of_administration_is_chained_like_a_reading(sealed: Recording, look: Look, database: Database) -> None:
    doer = Reader(user_id=ANN, api_key_id=None, address="here", path="aitap users role", query="")
    with acting(database, doer) as act:
        act.note("user.role", BEN, role="admin", before="user")
    assert look() == []
    edit(database, "UPDATE aitap_audit SET detail = '{\"role\":\"user\"}' WHERE action = 'user.role'")
    assert [problem.kind for problem in look()] == ["changed"]


def test_a_checkpoint_is_signed(sealed: Recording, look: Look) -> None:
    forged = Checkpoint(turn=1, at="now", hash="00" * 32, key=next(iter(KEYS)), signature="00" * 64)
    assert {problem.kind for problem in look(checkpoint=forged)} == {"checkpoint"}


@pytest.mark.parametrize("cut", [1, 2])
def test_a_chain_cut_off_behind_a_writer_stays_broken(
    cut: int, sealed: Recording, look: Look, database: Database
) -> None:
    """It goes on where it was, not where somebody cut it, be it the last block alone."""
    sealed.batch(interception(T0 + 40))
    sealed.batch(interception(T0 + 41))
    last = rows(database, "SELECT max(turn) FROM aitap_evidence")[0][0]
    since = timestamp_text(T0 + 42 - cut)
    with transaction(database):
        execute_many(database, "DELETE FROM aitap_evidence WHERE turn > ?", [(last - cut,)])
        execute_many(database, "DELETE FROM aibridge_interceptions WHERE started_at >= ?", [(since,)])
    assert look() == []
    sealed.batch(interception(T0 + 42))
    assert any("missing" in problem.text for problem in look())


def test_who_was_there_before_the_chain_goes_on_with_it(database: Database, look: Look, recording: Recording) -> None:
    """`aitap serve`, say, whose database a proxy begins to chain while it runs."""
    for at in (T0, T0 + 2):
        keep_evidence_once_there(database, lambda: KEY)
        recording.batch(interception(at))
        keep_evidence(database, KEY)
        recording.batch(interception(at + 1))
    [problem] = look()
    assert problem.kind == "uncovered"
    assert problem.record == str(rows(database, "SELECT id FROM aibridge_interceptions ORDER BY started_at")[0][0])


def test_a_batch_that_is_rolled_back_leaves_no_block(sealed: Recording, look: Look, database: Database) -> None:
    before = rows(database, "SELECT count(*) FROM aitap_evidence")
    own_id = str(rows(database, "SELECT id FROM aibridge_interceptions")[0][0])
    with transaction(database), database.atomic() as inner:
        cover(database, [own_id])
        inner.rollback()
    assert rows(database, "SELECT count(*) FROM aitap_evidence") == before
    sealed.batch(interception(T0 + 50))
    assert look() == []


def test_what_aitap_changes_later_verifies(sealed: Recording, look: Look, database: Database) -> None:
    """New prices, lost contents, interruption, retention of records and readings."""
    sealed.batch(
        interception(T0 + 60, provider_name="anthropic", token_usages=[tokens("msg_9", T0 + 60, cost_micros=None)])
    )
    steps = list(reprice(database, Prices()))
    assert steps[-1].changed > 0
    assert look() == []
    assert contents.drop(database, timestamp_text(T0 + 1000), 10) == 1
    assert look() == []
    with transaction(database):
        rows_of(database, "UPDATE aitap_proxies SET ended_at = heartbeat_at")
    assert recovery.mark_interrupted(database) == 1
    assert look() == []
    assert retention.prune(database, T0 + 7) == 3
    assert look() == []
    assert remove_readings(database, timestamp_text(time.time() + 5), 10) == 1
    assert look() == []
    assert retention.prune(database, T0 + 1000) == 2
    assert look() == []


def test_a_record_that_comes_back_after_its_removal_is_seen(sealed: Recording, look: Look, database: Database) -> None:
    names = ", ".join(form.RECORDS.names)
    row = rows(database, f"SELECT {names} FROM aibridge_interceptions ORDER BY id")[2]
    assert retention.prune(database, T0 + 7) == 3
    edit(database, f"INSERT INTO aibridge_interceptions ({names}) VALUES {question_marks(len(row))}", *row)
    assert [problem.kind for problem in look()] == ["uncovered"]


def test_what_is_older_may_be_left_out(sealed: Recording, look: Look, database: Database) -> None:
    own_ids = [str(row[0]) for row in rows(database, "SELECT id FROM aibridge_interceptions ORDER BY id")]
    edit(database, "UPDATE aibridge_interceptions SET model = 'x' WHERE id = ?", own_ids[0])
    assert look(since=own_ids[1]) == []
    assert {problem.record for problem in look(since=own_ids[0])} == {own_ids[0]}


def test_no_room_for_what_the_chain_says_is_no_fault_of_the_database() -> None:
    covered = Covered()
    covered._database.execute("PRAGMA max_page_count = 8")
    block = Block(turn=1, previous=FIRST, at="", key="", records=os.urandom(48 * 2000))
    with pytest.raises(OSError, match="SQLITE_TMPDIR"):
        covered.apply(block)
    covered.close()


def test_what_was_recorded_before_can_be_taken_in(database: Database, look: Look, recording: Recording) -> None:
    recording.batch(interception(T0, token_usages=[tokens()]))
    assert [problem.kind for problem in look()] == ["uncovered"]
    keep_evidence(database, KEY)
    found: list[tuple[str, list[str]]] = []
    assert look(uncovered=lambda kind, names: found.append((kind, names))) == []
    with transaction(database):
        for kind, names in found:
            assert kind == "records"
            cover(database, names)
    assert look() == []
