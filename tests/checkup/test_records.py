"""What is told of the database."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections import namedtuple
from datetime import timedelta
from pathlib import Path

import pytest

from aitap.checkup import records
from aitap.checkup.finding import Finding
from aitap.checkup.records import check_records
from aitap.storage.database import open_database
from aitap.storage.spool.folders import make_folder
from tests.checkup.making import NOW, found, situation

pytestmark = pytest.mark.skipif(os.name != "posix", reason="modes as POSIX has them")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A database with the schema of this version."""
    file = tmp_path / "records.db"
    open_database(f"sqlite:///{file}", migrate=True).close()
    return file


def look(folder: Path, **fields: object) -> list[Finding]:
    return list(check_records(situation(folder, **fields)))


def run(path: Path, sql: str, *values: object) -> None:
    connection = sqlite3.connect(path)
    with connection:
        connection.execute(sql, values)
    connection.close()


def moment(ago: timedelta) -> str:
    return (NOW - ago).strftime("%Y-%m-%d %H:%M:%S.%f+00:00")


def beat(path: Path, ago: timedelta) -> None:
    sql = "INSERT INTO aitap_proxies (host, pid, started_at, heartbeat_at) VALUES ('h', 1, ?, ?)"
    run(path, sql, moment(ago), moment(ago))


def test_a_database_into_which_a_proxy_records_is_all_right(path: Path, tmp_path: Path) -> None:
    beat(path, timedelta(seconds=5))
    findings = look(tmp_path)
    assert {finding.status for finding in findings} == {"ok"}, findings
    assert {finding.check for finding in findings} == {"database.file", "database.sound", "database.proxy"}


def test_no_database_yet_is_a_warning_and_none_is_made(tmp_path: Path) -> None:
    (finding,) = look(tmp_path)
    assert (finding.check, finding.status) == ("database.file", "warning")
    assert list(tmp_path.iterdir()) == []


def test_a_proxy_elsewhere_has_its_database_there(tmp_path: Path) -> None:
    assert look(tmp_path, here=False) == []


def test_no_running_proxy_is_a_warning(path: Path, tmp_path: Path) -> None:
    beat(path, timedelta(hours=1))
    assert [one.status for one in found(look(tmp_path), "database.proxy")] == ["warning"]


def test_a_file_that_is_no_database_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "records.db").write_bytes(b"this is no database, but long enough to be read as a page" * 100)
    (finding,) = look(tmp_path)
    assert (finding.check, finding.status) == ("database.file", "problem")
    assert "not a database" in finding.what


def test_a_schema_that_is_older_says_what_to_run(path: Path, tmp_path: Path) -> None:
    run(path, "DELETE FROM aitap_migrations WHERE name = (SELECT max(name) FROM aitap_migrations)")
    (finding,) = look(tmp_path)
    assert "aitap db migrate" in str(finding.fix)


def test_a_damaged_database_is_a_problem(path: Path, tmp_path: Path) -> None:
    run(path, "CREATE TABLE filler AS WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM n LIMIT 2000) "
        "SELECT x, hex(randomblob(200)) AS y FROM n")  # fmt: skip
    run(path, "CREATE INDEX filled ON filler (y)")
    run(path, "PRAGMA wal_checkpoint(TRUNCATE)")
    content = bytearray(path.read_bytes())
    content[-40 * 4096 :] = b"\xa5" * (40 * 4096)
    path.write_bytes(content)
    assert [one.status for one in found(look(tmp_path), "database.sound")] == ["problem"]


def test_a_check_that_takes_long_is_broken_off(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(path, "CREATE TABLE filler AS WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x+1 FROM n LIMIT 100000) "
        "SELECT x, hex(x) AS y FROM n")  # fmt: skip
    run(path, "CREATE INDEX filled ON filler (y)")
    monkeypatch.setattr(records, "_CHECK_SECONDS", -1.0)
    (finding,) = found(look(tmp_path), "database.sound")
    assert finding.status == "ok"
    assert "so far" in finding.what


def test_records_from_the_future_tell_of_a_wrong_clock(path: Path, tmp_path: Path) -> None:
    run(
        path,
        "INSERT INTO aibridge_interceptions (id, initiator_id, provider, provider_name, model, session_id, started_at, "
        "credential_kind, credential_hint, api, method, host, path, http_version, streaming, request_bytes, "
        "response_bytes, outcome, purpose, capture) VALUES ('i', 'u', 'p', 'p', 'm', 's', ?, '', '', 'a', 'POST', 'h', "
        "'/', '1.1', 0, 0, 0, 'completed', 'conversation', 'minimal')",
        moment(timedelta(hours=-3)),
    )
    assert [one.status for one in found(look(tmp_path), "database.clock")] == ["problem"]


def refuse(path: Path, ago: timedelta) -> None:
    columns = {
        "host": "api2.cursor.sh", "mode": "refused", "provider": "", "provider_name": "", "initiator_id": "u",
        "client": "", "client_address": "127.0.0.1", "first_seen": moment(ago), "last_seen": moment(ago),
        "interceptions": 0, "connections": 0, "bytes_sent": 0, "bytes_received": 0, "refusals": 3,
        "error": "tlsv1 alert unknown ca",
    }  # fmt: skip
    marks = ", ".join("?" * len(columns))
    run(path, f"INSERT INTO aitap_hosts ({', '.join(columns)}) VALUES ({marks})", *columns.values())


def test_a_host_whose_clients_refused_our_certificate_is_named_with_what_to_do(path: Path, tmp_path: Path) -> None:
    refuse(path, timedelta(hours=1))
    (finding,) = found(look(tmp_path), "hosts.refused")
    assert finding.status == "warning"
    assert finding.what == "a client refused our certificate for api2.cursor.sh, 3 times: tlsv1 alert unknown ca"
    assert "aitap hosts observe api2.cursor.sh" in str(finding.fix)


def test_a_refusal_of_last_month_or_of_a_host_that_is_observed_is_none(path: Path, tmp_path: Path) -> None:
    refuse(path, timedelta(days=30))
    assert found(look(tmp_path), "hosts.refused") == []
    run(path, "UPDATE aitap_hosts SET last_seen = ?", moment(timedelta(0)))
    assert len(found(look(tmp_path), "hosts.refused")) == 1
    run(
        path,
        "INSERT INTO aitap_host_modes (pattern, mode, created_at) VALUES ('*.cursor.sh', 'observe', ?)",
        moment(timedelta(0)),
    )
    assert found(look(tmp_path), "hosts.refused") == []


@pytest.mark.parametrize(("free", "expected"), [(2 << 30, []), (500 << 20, ["warning"]), (50 << 20, ["problem"])])
def test_a_disk_that_is_nearly_full_is_told(
    free: int, expected: list[str], path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(1, 1, free))
    assert [one.status for one in found(look(tmp_path), "database.room")] == expected


def test_a_file_that_others_may_read_is_a_warning(path: Path, tmp_path: Path) -> None:
    path.chmod(0o644)
    assert [one.status for one in found(look(tmp_path), "database.mode")] == ["warning"]


@pytest.mark.parametrize(("live", "check"), [(True, "database.spool"), (False, "database.spool_left")])
def test_what_waits_in_spools_is_told_with_what_to_do(path: Path, tmp_path: Path, live: bool, check: str) -> None:
    folder = make_folder(tmp_path / "spool", f"sqlite:///{path}")
    (folder.path / "00000001.spool").write_bytes(bytes(5000))
    if not live:
        folder.release()
    environ = {"AITAP_SPOOL": str(tmp_path / "spool"), "AITAP_DATABASE_URL": f"sqlite:///{path}"}
    (finding,) = [one for one in look(tmp_path, environ=environ) if "spool" in one.check]
    assert (finding.check, finding.status) == (check, "warning")
    assert "5.0 kB of records wait" in finding.what
