"""``aitap hosts``."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from tests.export import sample
from tests.export.conftest import Invoke
from tests.export.terminal import on_terminal


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The sample, and a server that nobody has heard of."""
    found = f"sqlite:///{tmp_path_factory.mktemp('hosts')}/records.db"
    now = time.time()
    strange = sample.Story(now - 3600).call(host="llm.example.com", provider="unknown", provider_name="llm.example.com")
    sample.write(found, [strange, *sample.sample(now)])
    return found


def listed(invoke: Invoke, url: str, *args: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(invoke("hosts", "--database-url", url, *args).stdout)
    return found


def test_hosts_are_told_with_who_spoke_to_them_when_and_how_often(invoke: Invoke, url: str) -> None:
    found = listed(invoke, url)
    assert found[0]["host"] == "llm.example.com"
    openai = next(host for host in found if host["host"] == "api.openai.com")
    assert openai["interceptions"] == 2
    assert openai["first_seen"] < openai["last_seen"]
    assert (openai["mode"], openai["provider"], openai["clients"]) == ("decrypted", "openai", ["Codex"])
    assert [user["id"] for user in openai["users"]] == [sample.BOB]


def test_filters_hold_for_hosts(invoke: Invoke, url: str) -> None:
    assert [host["host"] for host in listed(invoke, url, "--client", "Codex")] == ["api.openai.com"]
    assert [host["host"] for host in listed(invoke, url, "-q", "unknown")] == ["llm.example.com"]
    assert "api.openai.com" not in [host["host"] for host in listed(invoke, url, "--started-after", "12h")]
    assert listed(invoke, url, "--provider-name", "nobody") == []


@pytest.mark.parametrize("option", ["--model", "--session-id"])
def test_what_hosts_cannot_be_told_apart_by_is_refused(invoke: Invoke, url: str, option: str) -> None:
    assert "No such option" in invoke("hosts", "--database-url", url, option, "x", status=2).stderr
    assert (
        "not told apart"
        in invoke("hosts", "--database-url", url, "-q", f"{option[2:]}:x".replace("-", "_"), status=2).stderr
    )


@pytest.mark.parametrize("width", [60, 100, 200])
def test_a_person_sees_a_table_that_fits_with_the_unknown_first(url: str, width: int) -> None:
    pytest.importorskip("pty")
    status, screen = on_terminal(width, "hosts", AITAP_DATABASE_URL=url)
    assert status == 0
    header, first, *_ = screen.splitlines()
    assert "HOST" in header
    assert first.startswith("llm.example.com")
    assert "unknown" in first
    assert all(len(line) <= width for line in screen.splitlines())


def test_no_hosts_are_told_as_such(invoke: Invoke, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/empty.db"
    invoke("db", "migrate", "--database-url", url)
    assert listed(invoke, url) == []
