"""What a dead proxy left in its spool is shown, and stored by hand."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from aitap.storage.database import open_database
from aitap.storage.spool.folders import make_folder
from aitap.storage.spool.ledger import Ledger
from aitap.storage.spool.segments import Spool
from tests.storage.making import T0, interception, rows

Invoke = Callable[..., Result]


@pytest.fixture
def url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    url = f"sqlite:///{tmp_path}/aitap.db"
    open_database(url, migrate=True).close()
    monkeypatch.setenv("AITAP_DATABASE_URL", url)
    monkeypatch.setenv("AITAP_SPOOL", str(tmp_path / "spool"))
    return url


def leave(url: str, folder: Path, *, running: bool = False) -> Path:
    """Three records that a proxy left, of which one is half there."""
    held = make_folder(folder, url)
    spool = Spool(held, limit=1 << 30, sync=False)
    spool.append([interception(T0), interception(T0 + 1, None)])
    spool.append([interception(T0 + 2)])
    spool.close()
    [segment] = held.segments()
    segment.write_bytes(segment.read_bytes()[:-1])
    ledger = Ledger(held.ledger)
    ledger.begun(4)
    ledger.close()
    if not running:
        held.release()
    return held.path


def test_a_spool_that_was_left_is_shown_and_replayed_once(invoke: Invoke, url: str, tmp_path: Path) -> None:
    folder = leave(url, tmp_path / "spool")
    [shown] = json.loads(invoke("db", "status", "--json").stdout)["spools"]
    assert (shown["folder"], shown["running"], shown["bytes"] > 500) == (str(folder), False, True)

    failed = invoke("db", "replay", status=1)
    assert "2 records replayed" in failed.stdout
    assert "5 records could not be read or stored, or were lost before" in failed.stderr
    database = open_database(url)
    assert rows(database, "SELECT outcome FROM aibridge_interceptions ORDER BY started_at") == [
        ("completed",),
        ("interrupted",),
    ]
    database.close()
    assert not folder.exists()
    assert "nothing to replay" in invoke("db", "replay").stdout
    assert json.loads(invoke("db", "status", "--json").stdout)["spools"] == []


def test_the_spool_of_a_running_proxy_is_left_to_it(invoke: Invoke, url: str, tmp_path: Path) -> None:
    folder = leave(url, tmp_path / "spool", running=True)
    done = invoke("db", "replay")
    assert "nothing to replay" in done.stdout
    assert f"{folder}: " in done.stderr
    assert folder.exists()
