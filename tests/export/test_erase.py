"""``aitap erase`` asks, removes, and says what it removed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from aitap.export.cli import main
from aitap.record import Interception
from aitap.storage.database import open_database
from aitap.storage.spool.folders import make_folder
from aitap.storage.spool.segments import Spool
from aitap.storage.users import ensure_user
from tests.export import sample
from tests.storage.making import ANN, BEN, T0, interception, prompt, tokens

WORD = "Zwiebelkuchen"


def asked(number: int, initiator: str) -> Interception:
    at = T0 + number
    return interception(
        at,
        initiator_id=initiator,
        client_session_id=f"session-{number}",
        user_prompts=[prompt(f"{WORD} {initiator}", at)],
        token_usages=[tokens(f"msg_{initiator}_{number}", at)],
    )


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    url = f"sqlite:///{tmp_path}/aitap.db"
    monkeypatch.setenv("AITAP_DATABASE_URL", url)
    monkeypatch.chdir(tmp_path)
    sample.write(url, [asked(number, initiator) for number in range(3) for initiator in (ANN, BEN)])
    database = open_database(url)
    ensure_user(database, ANN, "ann")
    ensure_user(database, BEN, "ben")
    database.close()
    (tmp_path / "aitap.db.before-0006_audit").write_bytes(b"")
    return tmp_path


def run(*args: str, status: int = 0) -> Result:
    result = CliRunner().invoke(main, ["erase", *args])
    assert result.exit_code == status, result.output
    return result


def test_a_person_goes_and_what_went_is_told(folder: Path) -> None:
    coming = json.loads(run("--user", "ann", "--dry-run").stdout)
    assert coming["removed"]["aibridge_interceptions"] == coming["removed"]["aibridge_user_prompts"] == 3
    assert coming["dry_run"]
    done = json.loads(run("--user", "ann", "--yes").stdout)
    assert {name: count for name, count in done["removed"].items() if "kind" not in name} == {
        name: count for name, count in coming["removed"].items() if "kind" not in name
    }
    assert done["erased"] == "ann"
    assert "aitap.db.before-0006_audit" in done["notes"][0]
    data = b"".join(path.read_bytes() for path in folder.glob("aitap.db*"))
    assert f"{WORD} {ANN}".encode() not in data
    assert f"{WORD} {BEN}".encode() in data
    again = run("--user", "ann", "--yes", status=2)
    assert "user 'ann' does not exist" in again.stderr


def test_a_session_goes_alone(folder: Path) -> None:
    done = json.loads(run("--session", "session-1", "--user", "ann", "--yes").stdout)
    assert done["removed"]["aibridge_interceptions"] == 1
    assert json.loads(run("--user", "ann", "--dry-run").stdout)["removed"]["aibridge_interceptions"] == 2
    assert "no session 'session-1'" in run("--session", "session-1", "--user", "ann", "--yes", status=1).stderr


def test_nobody_is_erased_while_a_spool_could_bring_them_back(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AITAP_SPOOL", str(folder / "spool"))
    held = make_folder(folder / "spool", f"sqlite:///{folder}/aitap.db")
    spool = Spool(held, limit=1 << 20, sync=False)
    spool.append([asked(9, ANN)])
    spool.close()
    held.release()
    assert "records wait in spools" in json.loads(run("--user", "ann", "--dry-run").stdout)["notes"][0]
    assert "aitap db replay" in run("--user", "ann", "--yes", status=1).stderr
    assert CliRunner().invoke(main, ["db", "replay"]).exit_code == 0
    assert json.loads(run("--user", "ann", "--yes").stdout)["removed"]["aibridge_interceptions"] == 4
    left = b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())
    assert f"{WORD} {ANN}".encode() not in left


@pytest.mark.usefixtures("folder")
def test_nothing_goes_unless_somebody_says_yes() -> None:
    assert "say --yes, or --dry-run" in run("--user", "ann", status=2).stderr
    assert "say whose records shall go" in run(status=2).stderr
    assert "user 'nobody' does not exist" in run("--user", "nobody", "--yes", status=2).stderr
    assert json.loads(run("--user", "ann", "--dry-run").stdout)["removed"]["aibridge_interceptions"] == 3
