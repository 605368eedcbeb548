"""``aitap ingest``: saved traffic becomes records, once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from aitap.access.identity import local_user
from aitap.capture import recording
from aitap.export.cli import main
from aitap.storage.database import open_database, rows_of
from aitap.storage.models import MODELS
from aitap.storage.queries import Filter, iter_interceptions
from tests.capture.making import dump, response_events, user
from tests.capture.saving import T0, archive, body, call, chat_answer, entry, flows, socket_flow
from tests.export.terminal import on_terminal


class Place:
    """A folder with a database of its own, which need not be there yet."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.url = f"sqlite:///{folder}/records.db"

    def file(self, name: str, data: bytes) -> str:
        (self.folder / name).write_bytes(data)
        return str(self.folder / name)

    def ingest(self, *args: str, status: int = 0, stdin: bytes | None = None) -> Result:
        result = CliRunner().invoke(main, ["ingest", "--database-url", self.url, *args], input=stdin)
        assert result.exit_code == status, result.output
        if status:
            assert result.stderr.startswith("aitap: ")
            assert result.stderr.count("\n") == 1
        return result

    def records(self) -> list[dict[str, Any]]:
        database = open_database(self.url, read_only=True)
        try:
            return list(iter_interceptions(database, Filter()))
        finally:
            database.close()

    def everything(self) -> list[Any]:
        """All there is but the runs of writers."""
        database = open_database(self.url, read_only=True)
        tables = [model._meta.table_name for model in MODELS if model._meta.table_name != "aitap_proxies"]
        try:
            return [(table, sorted(map(repr, rows_of(database, f"SELECT * FROM {table}")))) for table in tables]
        finally:
            database.close()


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    monkeypatch.setenv("AITAP_RETENTION", "0")
    return Place(tmp_path)


def conversation() -> list[Any]:
    """A call that asks for a tool, a call that brings its result, and one over a socket."""
    tool = {"id": "call_1", "type": "function", "function": {"name": "read", "arguments": "{}"}}
    asked = {"role": "assistant", "content": None, "tool_calls": [tool]}
    told = [user("Say hi"), asked, {"role": "tool", "tool_call_id": "call_1", "content": "text"}]
    create = dump({"type": "response.create", "model": "m", "input": [user("over a socket")]})
    return [
        call(answer=chat_answer(tool_calls=[tool])),
        call(T0 + 10, sent=dump({"model": "gpt-test-1", "messages": told}), answer=chat_answer("chatcmpl-2")),
        call(T0 + 20, host="example.com", path="/"),
        socket_flow([(True, create), *((False, dump(event)) for event in response_events())], T0 + 30),
    ]


def test_flows_become_records_with_their_times_and_threads(place: Place) -> None:
    assert place.ingest(place.file("a.mitm", flows(*conversation()))).stdout == (
        "3 recorded, 0 already there, 1 not AI\n"
    )
    first, second, third = place.records()
    assert [row["outcome"] for row in (first, second, third)] == ["completed"] * 3
    assert second["thread_parent_id"] == first["id"]
    assert first["tool_usages"][0]["result_bytes"] == 4
    assert first["started_at"].startswith("2026-11-1")
    assert {row["initiator"]["id"] for row in (first, second, third)} == {local_user()[0]}


@pytest.mark.parametrize("capture", ["minimal", "metadata+prompt", "full"])
def test_ingesting_twice_adds_nothing(place: Place, monkeypatch: pytest.MonkeyPatch, capture: str) -> None:
    monkeypatch.setenv("AITAP_CAPTURE", capture)
    file, har = place.file("a.mitm", flows(*conversation())), place.file("b.har", archive(entry(), entry(T0 + 10)))
    place.ingest(file, har)
    before = place.everything()
    assert place.ingest(har, file, file).stdout == "0 recorded, 8 already there, 2 not AI\n"
    assert place.everything() == before


def test_the_same_exchange_twice_in_a_file_is_one_record(place: Place) -> None:
    assert place.ingest(place.file("a.mitm", flows(call(), call()))).stdout.startswith("1 recorded, 1 already there")
    assert len(place.records()) == 1


def test_an_archive_goes_the_same_way(place: Place) -> None:
    place.ingest(place.file("b.har", archive(entry(), entry(url="https://example.com/"), entry(T0 + 10))))
    assert [row["outcome"] for row in place.records()] == ["completed"] * 2
    assert place.records()[0]["http_version"] == "HTTP/2.0"


@pytest.mark.parametrize("data", [flows(call()), archive(entry())], ids=["flows", "har"])
def test_stdin_is_a_file_too(place: Place, data: bytes) -> None:
    assert place.ingest("-", stdin=data).stdout.startswith("1 recorded")


def test_traffic_may_be_another_users_who_is_made(place: Place) -> None:
    file = place.file("a.mitm", flows(call()))
    place.ingest(file, "--initiator", "ann")
    assert place.records()[0]["initiator"]["username"] == "ann"
    place.ingest(place.file("b.mitm", flows(call(T0 + 5))), "--initiator", "ann")
    ann = place.records()[0]["initiator"]["id"]
    assert place.records()[1]["initiator"]["id"] == ann
    assert place.ingest(file, "--initiator", ann).stdout.startswith("0 recorded, 1 already")
    unknown = "00000000-0000-4000-8000-000000000000"
    assert unknown in place.ingest(file, "--initiator", unknown, status=2).stderr


def test_what_can_be_read_of_a_broken_file_is_kept_and_the_others_are_read(place: Place) -> None:
    whole = flows(call(), call(T0 + 10))
    broken, cut = place.file("cut.mitm", whole[:-9]), place.file("cut.har", archive(entry(T0 + 20))[:-60])
    other, missing = place.file("x.txt", b"hello"), str(place.folder / "missing.mitm")
    result = place.ingest(broken, cut, other, missing, place.file("ok.mitm", flows(call(T0 + 30))), status=1)
    assert result.stdout.startswith("2 recorded")
    assert f"{broken} cannot be read beyond flow 1, byte {len(flows(call()))}" in result.stderr
    assert f"{cut} ends at byte" in result.stderr
    assert f"{other} is neither" in result.stderr
    assert f"{missing}: No such file" in result.stderr
    assert len(place.records()) == 2


def test_an_empty_file_holds_nothing(place: Place) -> None:
    assert place.ingest(place.file("a.mitm", b"")).stdout.startswith("0 recorded, 0 already there, 0")


def test_more_than_a_batch_is_recorded_and_counted(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aitap.export.ingest._BATCH", 2)
    found = [call(T0 + number, sent=body(f"prompt {number}")) for number in range(7)]
    assert place.ingest(place.file("a.mitm", flows(*found))).stdout.startswith("7 recorded")
    assert place.ingest(place.file("b.mitm", flows(*found, call(T0 + 9)))).stdout.startswith("1 recorded, 7 already")


def test_old_traffic_is_recorded_and_its_end_foretold(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AITAP_RETENTION", "60d")
    result = place.ingest(place.file("a.mitm", flows(call(1_600_000_000.0))))
    assert "1 of them are older than the retention" in result.stdout
    assert len(place.records()) == 1


def test_a_fault_of_ours_is_told_in_a_line_and_costs_one_exchange(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = recording.find_prompt

    def find_prompt(newest: Any, client: Any) -> Any:
        if newest[0].texts == ["break"]:
            raise RuntimeError
        return real(newest, client)

    monkeypatch.setattr(recording, "find_prompt", find_prompt)
    file = place.file("a.mitm", flows(call(sent=body("break")), call(T0 + 5)))
    result = CliRunner().invoke(main, ["ingest", "--database-url", place.url, file])
    assert result.exit_code == 1
    assert "Traceback" not in result.output
    assert "1 exchanges could not be read" in result.stderr
    assert sorted(row["outcome"] for row in place.records()) == ["completed", "failed"]


def test_a_person_sees_how_far_it_is(place: Place) -> None:
    pytest.importorskip("pty")
    status, screen = on_terminal(100, "ingest", place.file("a.mitm", flows(call())), AITAP_DATABASE_URL=place.url)
    assert status == 0
    assert "a.mitm" in screen
    assert "1 recorded" in screen


def test_ingested_hosts_are_told(place: Place) -> None:
    place.ingest(place.file("a.mitm", flows(call(), call(T0 + 5, host="llm.example.com"))))
    result = CliRunner().invoke(main, ["hosts", "--database-url", place.url])
    assert [(host["host"], host["provider"]) for host in json.loads(result.stdout)] == [
        ("llm.example.com", "unknown"),
        ("api.openai.com", "openai"),
    ]
