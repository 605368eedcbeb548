"""``prune`` and ``db``: old records, the schema, soundness."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from aitap.export.cli import main
from aitap.storage import models
from aitap.storage.database import open_database
from tests.export import sample
from tests.export.conftest import Invoke


@pytest.fixture
def url(tmp_path: Path) -> str:
    """A database of one's own, to change: one record of an hour and two of 100 days ago."""
    found = f"sqlite:///{tmp_path}/own.db"
    old = sample.codex(time.time() - 100 * 86400)
    sample.write(found, [*old, sample.Story(time.time() - 3600).call()])
    return found


def count(invoke: Invoke, url: str) -> int:
    return len(json.loads(invoke("interceptions", "list", "--database-url", url).stdout))


def test_a_dry_run_counts_and_removes_nothing(invoke: Invoke, url: str) -> None:
    assert invoke("prune", "--dry-run", "--database-url", url).stdout.startswith("2 interceptions from before ")
    assert count(invoke, url) == 3


def test_prune_goes_by_the_retention_setting_or_by_what_is_said(
    invoke: Invoke, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AITAP_RETENTION", "0")
    assert "retention is 0" in invoke("prune", "--database-url", url, status=1).stderr
    monkeypatch.setenv("AITAP_RETENTION", "200d")
    assert invoke("prune", "--database-url", url).stdout.startswith("0 interceptions")
    monkeypatch.setenv("AITAP_RETENTION", "60d")
    assert invoke("prune", "--database-url", url).stdout.startswith("2 interceptions")
    assert count(invoke, url) == 1
    assert invoke("prune", "--older-than", "30m", "--database-url", url).stdout.startswith("1 interception ")
    assert count(invoke, url) == 0
    assert json.loads(invoke("sessions", "list", "--database-url", url).stdout) == []


def test_migrate_makes_a_database_once(invoke: Invoke, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/new/records.db"
    assert "applied 0001" in invoke("db", "migrate", "--database-url", url).stdout
    assert invoke("db", "migrate", "--database-url", url).stdout == "up to date\n"
    assert invoke("db", "check", "--database-url", url).stdout == "ok\n"


def test_status_names_the_place_and_the_migrations(invoke: Invoke, url: str) -> None:
    found = json.loads(invoke("db", "status", "--database-url", url).stdout)
    assert found["database_url"] == url
    assert found["bytes"] > 0
    assert all(migration["applied_at"] for migration in found["migrations"])


def test_status_tells_of_a_pending_migration_that_stops_other_commands(invoke: Invoke, url: str) -> None:
    database = open_database(url)
    database.execute_sql("DELETE FROM aitap_migrations WHERE name = (SELECT max(name) FROM aitap_migrations)")
    database.close()
    assert "aitap db migrate" in invoke("interceptions", "list", "--database-url", url, status=1).stderr
    found = json.loads(invoke("db", "status", "--database-url", url).stdout)
    assert found["migrations"][-1]["applied_at"] is None


def test_check_finds_keys_without_their_user(invoke: Invoke, url: str) -> None:
    invoke("keys", "create", "--user", "alice", "--create-user", "--database-url", url)
    assert invoke("db", "check", "--database-url", url).stdout == "ok\n"
    database = open_database(url)
    models.User.delete().execute()
    database.close()
    assert "aitap_keys has 1 rows without their user" in invoke("db", "check", "--database-url", url, status=1).stderr


def test_check_finds_children_without_their_interception(invoke: Invoke, url: str) -> None:
    database = open_database(url)
    models.Interception.delete().where(
        models.Interception.id == models.TokenUsage.select(models.TokenUsage.interception_id).limit(1)
    ).execute()
    database.close()
    assert "aibridge_token_usages has 1 rows" in " ".join(
        invoke_any(invoke, "db", "check", "--database-url", url).splitlines()
    )


def test_check_says_what_to_do_and_repair_does_it(invoke: Invoke, url: str) -> None:
    database = open_database(url)
    models.Session.delete().execute()
    models.Interception.delete().where(models.Interception.model == "claude-opus-4-8").execute()
    database.close()
    told = invoke_any(invoke, "db", "check", "--database-url", url).splitlines()
    assert "aitap: aitap_sessions has 1 rows that do not say" in " ".join(told)
    assert all(line.endswith(("`aitap db check --repair` counts anew", "--repair` removes them")) for line in told)
    lines = invoke("db", "check", "--repair", "--database-url", url).stdout.splitlines()
    assert lines[0] == "repaired aibridge_token_usages: 1 row"
    assert "repaired aitap_sessions: 1 row" in lines
    assert lines[-1] == "ok"
    assert invoke("db", "check", "--repair", "--database-url", url).stdout == "ok\n"
    [act] = json.loads(invoke("audit", "list", "--action", "records.repair", "--json", "--database-url", url).stdout)
    assert act["detail"]["found"]["aitap_sessions"] == 1


def test_a_damaged_file_is_told_with_what_to_do(invoke: Invoke, url: str) -> None:
    path = Path(url.removeprefix("sqlite:///"))
    open_database(url).execute_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    content = bytearray(path.read_bytes())
    content[len(content) // 2 :] = bytes(len(content) - len(content) // 2)
    path.write_bytes(content)
    for repair in ([], ["--repair"]):
        for line in invoke_any(invoke, "db", "check", *repair, "--database-url", url).splitlines():
            assert "damaged" in line
            assert "restore" in line


def invoke_any(invoke: Invoke, *args: str) -> str:
    """Several problems are several lines: the one place where a failure may be more than one line."""
    result = CliRunner().invoke(main, list(args))
    assert result.exit_code == 1
    assert all(line.startswith("aitap: ") for line in result.stderr.splitlines())
    return result.stderr
