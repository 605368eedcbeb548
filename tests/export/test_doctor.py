"""``doctor``: one line what, one line what to do, 1 where there is a problem, and no secret."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from aitap.certs.clients import notes
from aitap.checkup.checkup import GROUPS
from aitap.export.cli import main
from tests.commands import commands_in, exists
from tests.export.conftest import Invoke, Written
from tests.export.terminal import on_terminal

SECRET = "aitap_planted-secret-0123456789"


@pytest.fixture
def nobody() -> str:
    """An address at which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"127.0.0.1:{server.getsockname()[1]}"


def looked(*args: str) -> Result:
    """``aitap doctor ARGS``, whatever it finds."""
    result = CliRunner().invoke(main, ["doctor", *args])
    assert result.exit_code in (0, 1), result.output
    return result


def test_a_pipe_gets_json_and_a_problem_the_status_1(nobody: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "aitap", "doctor", "--proxy", nobody, "--confdir", "none"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (1, "")
    found = json.loads(done.stdout)
    assert (found["status"], found["proxy"]) == ("problem", f"http://{nobody}")
    for finding in found["findings"]:
        assert list(finding) == ["check", "status", "what", "fix"]
        assert (finding["fix"] is None) == (finding["status"] == "ok")
        assert "\n" not in finding["what"]
    assert not (tmp_path / "none").exists()


@pytest.mark.skipif(os.name != "posix", reason="counts as POSIX does")
def test_every_group_is_looked_at_in_less_than_three_seconds_of_work(nobody: str) -> None:
    before = os.times()
    subprocess.run(
        [sys.executable, "-m", "aitap", "doctor", "--proxy", nobody],
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        check=False,
        timeout=60,
    )
    after = os.times()
    assert after.children_user + after.children_system - before.children_user - before.children_system < 3
    groups = {"proxy", "CA", "this shell", "settings", "database", "recording", "clients", "running", "versions"}
    assert set(GROUPS) == groups


def test_a_terminal_gets_a_table_with_what_to_do(written: Written, nobody: str) -> None:
    status, text = on_terminal(100, "doctor", "--proxy", nobody, AITAP_DATABASE_URL=written.url)
    assert status == 1
    assert re.search(rf"proxy +PROBLEM +no proxy answers at {nobody} \(--proxy\)", text)
    assert "→ start it with `aitap run`" in text
    assert re.search(r"\d+ problems?, \d+ warnings?", text)


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy", "AITAP_PROXY", "HTTP_PROXY", "ALL_PROXY"])
def test_no_key_of_any_variable_is_shown(name: str, nobody: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, f"http://alice:{SECRET}@{nobody}")
    found = looked()
    assert SECRET not in found.output
    named = json.loads(found.stdout)["proxy"]
    expected = f"http://alice:***@{nobody}" if name not in ("HTTP_PROXY", "ALL_PROXY") else "http://127.0.0.1:8080"
    assert named == expected


def test_a_key_in_a_file_is_not_shown(nobody: str, tmp_path: Path) -> None:
    (tmp_path / "key").write_text(SECRET)
    found = looked("--proxy", nobody, "--key-file", str(tmp_path / "key"))
    assert SECRET not in found.output
    assert json.loads(found.stdout)["proxy"] == f"http://key:***@{nobody}"


def test_offline_asks_no_proxy(nobody: str) -> None:
    found = json.loads(looked("--proxy", nobody, "--offline").stdout)["findings"]
    assert not any(finding["check"].startswith("proxy.") for finding in found)


def test_one_client_that_nobody_knows_names_the_nearest(invoke: Invoke) -> None:
    assert "did you mean 'claude'?" in invoke("doctor", "--client", "cluade", status=2).stderr


def test_every_command_that_advice_names_exists() -> None:
    texts = [path.read_text("utf-8") for path in Path(__file__).parents[2].joinpath("aitap/checkup").glob("*.py")]
    texts += [text for row in notes() for text in (*row.traps, row.set_up or "")]
    named = {words for text in texts for words in commands_in(text)}
    assert len(named) > 10
    assert [words for words in named if not exists(words)] == []
