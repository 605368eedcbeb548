"""``aitap hosts``."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from aitap.record import HostSeen
from aitap.storage.database import open_database
from aitap.storage.directory import read_directory
from aitap.storage.writer import Writer
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
    found: list[dict[str, Any]] = json.loads(invoke("hosts", *args, "--database-url", url).stdout)
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


def refused(tmp_path: Path, host: str = "api2.example.com") -> str:
    """A database in which a client refused our certificate, and in which there is a tunnel."""
    url = f"sqlite:///{tmp_path}/seen.db"
    database = open_database(url, migrate=True)
    writer = Writer(database)
    for fields in (
        {"host": host, "mode": "decrypted", "provider": "openai", "refusals": 2, "error": "unknown ca"},
        {"host": "git.example.com", "mode": "tunnelled", "connections": 3, "bytes_sent": 5, "bytes_received": 6},
    ):
        values: dict[str, Any] = {"initiator_id": sample.BOB, "at": time.time(), "client": "Cursor", **fields}
        writer.seen(HostSeen(client_address="192.0.2.7", **values))
    assert writer.close()
    database.close()
    return url


def test_tunnels_are_told_with_their_counts_after_all_that_is_ai(invoke: Invoke, tmp_path: Path) -> None:
    first, last = listed(invoke, refused(tmp_path), "list")
    assert (first["host"], first["refusals"], first["error"]) == ("api2.example.com", 2, "unknown ca")
    assert (last["host"], last["mode"], last["provider"]) == ("git.example.com", "tunnelled", None)
    assert (last["connections"], last["bytes_sent"], last["bytes_received"]) == (3, 5, 6)
    assert last["addresses"] == ["192.0.2.7"]


def test_one_mode_can_be_asked_for(invoke: Invoke, tmp_path: Path) -> None:
    url = refused(tmp_path)
    assert [host["host"] for host in listed(invoke, url, "--mode", "tunnelled")] == ["git.example.com"]
    assert [host["host"] for host in listed(invoke, url, "list", "--mode", "decrypted")] == ["api2.example.com"]


def rules(url: str) -> dict[str, str]:
    database = open_database(url)
    found = read_directory(database).host_modes
    database.close()
    return found


def test_what_is_said_of_hosts_is_stored_as_the_proxy_will_meet_them(invoke: Invoke, tmp_path: Path) -> None:
    """Lower case, internationalised names in their form on the wire; also before any proxy made the database."""
    url = f"sqlite:///{tmp_path}/new.db"
    invoke("hosts", "observe", "API.example.com", "*.Example.org", "bücher.example", "--database-url", url)
    invoke("hosts", "decrypt", "llm.example.com:8443", "[::1]", "--database-url", url)
    assert rules(url) == {
        "api.example.com": "observe",
        "*.example.org": "observe",
        "xn--bcher-kva.example": "observe",
        "llm.example.com:8443": "decrypt",
        "[::1]": "decrypt",
    }
    told = invoke("hosts", "reset", "API.example.com", "other", "--database-url", url).stdout
    assert told == "api.example.com: the setting holds again\nother: nothing was set\n"
    assert "api.example.com" not in rules(url)


@pytest.mark.parametrize("host", ["https://api.example.com", "api.example.com/v1", "a b", "", "a@b", "-\n"])
@pytest.mark.parametrize("command", ["observe", "decrypt", "reset"])
def test_what_is_no_host_is_refused(invoke: Invoke, tmp_path: Path, command: str, host: str) -> None:
    url = f"sqlite:///{tmp_path}/none.db"
    assert "is no host" in invoke("hosts", command, "--database-url", url, "--", host, status=2).stderr


def test_a_refused_certificate_is_told_with_what_to_do_until_it_is_done(invoke: Invoke, tmp_path: Path) -> None:
    pytest.importorskip("pty")
    url = refused(tmp_path)
    _, screen = on_terminal(200, "hosts", AITAP_DATABASE_URL=url)
    assert "refused our certificate (unknown ca)" in screen
    assert "aitap hosts observe api2.example.com" in screen
    invoke("hosts", "observe", "*.example.com", "--database-url", url)
    _, screen = on_terminal(200, "hosts", AITAP_DATABASE_URL=url)
    assert "refused our certificate" not in screen
    assert "Set by hand: observe *.example.com" in screen


def test_what_a_client_said_cannot_touch_the_terminal(tmp_path: Path) -> None:
    pytest.importorskip("pty")
    url = refused(tmp_path, "x\x1b]0;evil\x07.example.com")
    _, screen = on_terminal(200, "hosts", AITAP_DATABASE_URL=url)
    assert "x]0;evil.example.com" in screen
    assert "\x07" not in screen
    assert "\x1b]" not in screen
