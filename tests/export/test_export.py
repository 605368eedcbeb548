"""Exports hold all records, whole, in every format."""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import sqlite3
import stat
import time
import tracemalloc
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from aitap.export.csv_rows import INTERCEPTION_COLUMNS, cell, csv_line
from aitap.export.formats import FORMATS
from aitap.record import Interception
from aitap.storage import models, queries
from aitap.storage.bulk import Bulk
from aitap.storage.database import open_database
from tests.export import sample
from tests.export.conftest import Invoke, Written
from tests.export.terminal import on_terminal


def test_jsonl_is_the_default_oldest_first(invoke: Invoke, written: Written) -> None:
    found = [json.loads(line) for line in invoke("export").stdout.splitlines()]
    assert [record["id"] for record in found] == [record.id for record in written.records]


def test_all_formats_hold_the_same_records_as_the_list(invoke: Invoke) -> None:
    listed = json.loads(invoke("interceptions", "list").stdout)[::-1]
    text = invoke("export", "--format", "json").stdout
    assert json.loads(text) == listed
    assert text == json.dumps(listed, indent=2, ensure_ascii=False) + "\n"
    assert [json.loads(line) for line in invoke("export", "--format", "jsonl").stdout.splitlines()] == listed
    rows = list(csv.DictReader(io.StringIO(invoke("export", "--format", "csv").stdout, newline="")))
    assert [row["id"] for row in rows] == [record["id"] for record in listed]
    assert json.loads(rows[3]["tool_usages"]) == listed[3]["tool_usages"]


def test_csv_knows_sums_and_leaves_the_unknown_empty(invoke: Invoke) -> None:
    rows = list(csv.DictReader(io.StringIO(invoke("export", "--format", "csv").stdout, newline="")))
    assert list(rows[0]) == INTERCEPTION_COLUMNS
    assert (rows[3]["input_tokens"], rows[3]["tools"], rows[3]["streaming"]) == ("3", "Bash, Read", "true")
    failed = next(row for row in rows if row["outcome"] == "failed")
    assert (failed["input_tokens"], failed["time_to_first_token"], failed["prompt"]) == ("", "", "")


def test_no_cell_of_a_csv_is_a_formula(invoke: Invoke) -> None:
    for what in ("interceptions", "sessions"):
        text = invoke("export", what, "--format", "csv").stdout
        assert "'=cmd|' /C calc'!A0" in text
        for row in csv.reader(io.StringIO(text, newline="")):
            assert not [value for value in row if value.startswith(("=", "+", "-", "@"))]


@given(st.text())
def test_a_cell_keeps_its_text_and_never_begins_a_formula(text: str) -> None:
    found = cell(text)
    assert isinstance(found, str)
    assert found.removeprefix("'") == text.replace("\0", "").removeprefix("'")
    assert not found.startswith(("=", "+", "-", "@", "\t", "\r", "\n"))


def test_numbers_stay_numbers() -> None:
    assert [cell(value) for value in (None, -1, 0.5, True, [1], {"a": "é"})] == [
        "",
        -1,
        0.5,
        "true",
        "[1]",
        '{"a":"é"}',
    ]


@given(st.lists(st.text(max_size=20) | st.integers() | st.floats(allow_nan=False), min_size=2))
def test_a_line_is_that_of_the_csv_module(cells: list[str | int | float]) -> None:
    buffer = io.StringIO(newline="")
    csv.writer(buffer).writerow(cells)
    assert csv_line(cells) == buffer.getvalue()


@pytest.mark.parametrize("name", FORMATS)
def test_an_export_of_nothing_is_valid(name: str, invoke: Invoke) -> None:
    content = invoke("export", "--format", name, "--model", "none").stdout_bytes
    if name == "parquet":
        assert pq.read_table(io.BytesIO(content)).num_rows == 0
    else:
        nothing = {"json": "[]\n", "jsonl": "", "csv": ",".join(INTERCEPTION_COLUMNS) + "\r\n"}
        assert content.decode() == nothing[name]


def test_sessions_are_exported_too(invoke: Invoke) -> None:
    found = json.loads(invoke("export", "sessions", "--format", "json").stdout)
    assert [session["id"] for session in found][:2] == [sample.CODEX_SESSION, sample.CLAUDE_SESSION]


def test_the_files_ending_says_the_format(invoke: Invoke, tmp_path: Path) -> None:
    for name in FORMATS:
        invoke("export", "-o", f"all.{name}", "-q", "me")
        piped = invoke("export", "--format", name, "-q", "me").stdout_bytes
        assert (tmp_path / f"all.{name}").read_bytes() == piped


@pytest.mark.parametrize("name", ["jsonl.gz", "jsonl.zst", "csv.GZ"])
def test_the_last_ending_compresses(name: str, invoke: Invoke, tmp_path: Path) -> None:
    path = tmp_path / f"all.2026-11-20.{name}"
    invoke("export", "-o", str(path))
    with path.open("rb") as file:
        plain: Any = (
            zstandard.ZstdDecompressor().stream_reader(file)
            if name.endswith("zst")
            else gzip.GzipFile("", "rb", 9, file)
        )
        assert plain.read() == invoke("export", "--format", path.suffixes[-2][1:]).stdout_bytes


@pytest.mark.skipif(os.name != "posix", reason="permissions as POSIX has them")
def test_a_new_file_is_its_owners_alone_and_an_old_one_keeps_its_permissions(invoke: Invoke, tmp_path: Path) -> None:
    shared = tmp_path / "shared.jsonl"
    shared.touch()
    shared.chmod(0o640)
    for name in ("new.jsonl", shared.name):
        invoke("export", "-o", name)
    assert [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("new.jsonl", shared.name)] == [0o600, 0o640]


def copied(written: Written, folder: Path) -> str:
    """The URL of a copy that a test may change."""
    with sqlite3.connect(written.url.removeprefix("sqlite:///")) as source, sqlite3.connect(folder / "a.db") as copy:
        source.backup(copy)
    copy.close()
    return f"sqlite:///{folder}/a.db"


def test_an_export_is_of_one_moment(written: Written, tmp_path: Path) -> None:
    """What is written while it runs is not in it, not even what ends while it is about to be read."""
    url = copied(written, tmp_path)
    reading = open_database(url, read_only=True)
    before = list(queries.iter_interceptions(reading, queries.Filter()))
    with queries.snapshot(reading):
        records = queries.iter_interceptions(reading, queries.Filter())
        found = [next(records)]
        sample.write(url, [*sample.scripts(time.time()), ended(written.records[-1])])
        assert [*found, *records] == before
    assert len(list(queries.iter_interceptions(reading, queries.Filter()))) == len(before) + 3
    reading.close()


def ended(record: Interception) -> Interception:
    return msgspec.structs.replace(record, ended_at=record.started_at + 5, outcome="completed")


def test_since_last_gives_each_record_once(written: Written, invoke: Invoke, tmp_path: Path) -> None:
    url = copied(written, tmp_path)

    def nightly(*args: str) -> list[str]:
        lines = invoke("export", "--since-last", "--database-url", url, *args).stdout.splitlines()
        return [json.loads(line)["id"] for line in lines]

    assert nightly() == [record.id for record in written.records[:-1]]
    sample.write(url, [ended(written.records[-1])])
    invoke("export", "--since-last", "--database-url", url, "-o", "missing/x.jsonl", status=1)
    assert nightly() == [written.records[-1].id]
    assert nightly() == []
    assert len(nightly("--name", "of-another-name")) == len(written.records)
    assert "other filters" in invoke("export", "--since-last", "--model", "x", "--database-url", url, status=1).stderr
    invoke("export", "--forget", "--database-url", url)
    assert len(nightly("--model", "claude-opus-4-8")) < len(written.records)


def test_since_last_takes_an_age_for_the_same_every_night(written: Written, invoke: Invoke, tmp_path: Path) -> None:
    nightly = ("export", "--since-last", "--database-url", copied(written, tmp_path))
    assert len(invoke(*nightly, "--started-after", "36500d").stdout.splitlines()) == len(written.records) - 1
    assert invoke(*nightly, "-q", "started_after:36500d").stdout == ""
    refused = invoke(*nightly, "--started-after", "7d", status=1).stderr
    assert '{"started_after":"36500d"}' in refused


def test_a_failed_export_leaves_the_old_file(invoke: Invoke, tmp_path: Path) -> None:
    path = tmp_path / "all.json"
    path.write_text("old")
    invoke("export", "-o", "all.json", "-q", "nobody-here", status=2)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_memory_does_not_grow_with_the_number_of_records(tmp_path: Path) -> None:
    database = open_database(f"sqlite:///{tmp_path}/many.db", migrate=True)
    try:
        fields = {
            "initiator_id": sample.ME,
            **dict.fromkeys(("provider", "model", "session_id", "api", "method", "host", "path"), "x" * 200),
            **dict.fromkeys(("http_version", "outcome", "purpose", "capture"), "y"),
        }
        rows = [fields | {"id": f"00000000-0000-7000-8000-{n:012}", "started_at": 1e9 + n} for n in range(3000)]
        for start in range(0, len(rows), 500):
            models.Interception.insert_many(rows[start : start + 500]).execute()
        del rows
        peaks = []
        for most in (1000, 3000):
            tracemalloc.start()
            some = islice(Bulk(database).all(queries.Filter()), most)
            assert sum(map(len, FORMATS["jsonl"](some, ""))) > most
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
    finally:
        database.close()
    assert peaks[1] < 1.2 * peaks[0]


@pytest.mark.skipif(os.name != "posix", reason="needs a pseudo terminal")
def test_a_terminal_gets_a_bar_where_the_records_go_to_a_file(written: Written, tmp_path: Path) -> None:
    path = tmp_path / "all.jsonl"
    status, text = on_terminal(80, "export", "-o", str(path), AITAP_DATABASE_URL=written.url)
    assert status == 0
    assert "14/14" in text
    assert len(path.read_text().splitlines()) == 14


@pytest.mark.skipif(os.name != "posix", reason="needs a pseudo terminal")
def test_records_on_a_terminal_are_not_mixed_with_a_bar(written: Written) -> None:
    _, text = on_terminal(80, "export", AITAP_DATABASE_URL=written.url)
    assert [json.loads(line)["id"] for line in text.splitlines()] == [record.id for record in written.records]
