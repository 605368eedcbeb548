"""``aitap redact`` shows what the rules do, and does it to history only when it is told to."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from aitap.export.cli import main
from tests.export import sample
from tests.storage.making import T0, interception, prompt

KEY = "sk-ant-api03-9f8Zq3vK7rWm2TxLp6Yd"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    url = f"sqlite:///{tmp_path}/aitap.db"
    monkeypatch.setenv("AITAP_DATABASE_URL", url)
    monkeypatch.chdir(tmp_path)
    sample.write(url, [interception(T0, user_prompts=[prompt(f"use {KEY}")])])
    return tmp_path


def run(*args: str, text: str = "", status: int = 0) -> Result:
    result = CliRunner().invoke(main, ["redact", *args], input=text)
    assert result.exit_code == status, result.output
    return result


def test_a_text_is_shown_as_it_would_be_stored(folder: Path) -> None:
    assert "redaction is off: set redact, or say --rules all" in run(status=2).stderr
    shown = run("--rules", "secrets", text=f"use {KEY} for ann@example.com\n")
    assert shown.stdout == "use [redacted:anthropic_key] for ann@example.com\n"
    assert shown.stderr == "1 anthropic_key\n"
    (folder / "aitap.toml").write_text('redact = "personal"\n[[redaction]]\nname = "own"\npattern = "use"\n')
    assert run(text="use x@y.example").stdout == "[redacted:own] [redacted:email]"
    assert "did you mean 'secrets'" in run("--rules", "secret", status=2).stderr


def test_history_changes_only_for_who_says_yes(folder: Path) -> None:
    assert "say --yes, or --dry-run" in run("--existing", "--rules", "all", status=2).stderr
    coming = json.loads(run("--existing", "--rules", "all", "--dry-run").stdout)
    assert (coming["changed"], coming["removed"], coming["dry_run"]) == (1, {"anthropic_key": 1}, True)
    assert KEY.encode() in b"".join(path.read_bytes() for path in folder.glob("aitap.db*"))
    done = json.loads(run("--existing", "--rules", "all", "--yes").stdout)
    assert (done["changed"], done["not_searched"]) == (1, 0)
    assert KEY.encode() not in b"".join(path.read_bytes() for path in folder.glob("aitap.db*"))
