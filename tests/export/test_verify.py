"""``aitap verify``: what it says, and what other commands do to a database that is chained."""

from __future__ import annotations

import json
import os
import sqlite3
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from aitap.storage.database import open_database
from aitap.storage.evidence.chain import keep_evidence
from aitap.storage.evidence.keys import signing_key
from aitap.storage.writer import Writer
from tests.export.conftest import Invoke
from tests.storage.making import T0, interception, prompt, tokens

Edit = Callable[[str], None]


@pytest.fixture
def chained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A database of two records, the first of which is not chained, and the folder of the CA."""
    confdir = tmp_path / "confdir"
    monkeypatch.setenv("AITAP_TAMPER_EVIDENCE_KEY", str(confdir / "aitap-evidence.pem"))
    database = open_database(f"sqlite:///{tmp_path}/a.db", migrate=True)
    for at in (T0, T0 + 1):
        writer = Writer(database, flush_interval=0.0)
        writer.start()
        assert writer.submit(interception(at, token_usages=[tokens()], user_prompts=[prompt("hi")]))
        assert writer.close()
        keep_evidence(database, signing_key(confdir / "aitap-evidence.pem"))
    database.close()
    return tmp_path / "a.db"


@pytest.fixture
def verify(chained: Path, invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    monkeypatch.setenv("AITAP_DATABASE_URL", f"sqlite:///{chained}")

    def run(*args: str, status: int = 0) -> Result:
        return invoke("verify", *args, status=status)

    return run


def edit(path: Path, sql: str) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute(sql)
    connection.close()


def test_what_was_there_before_is_taken_in_when_asked_for(verify: Invoke) -> None:
    assert "--adopt" in verify(status=1).stderr
    assert json.loads(verify("--adopt").stdout)["adopted"] == 1
    found = json.loads(verify().stdout)
    assert (found["ok"], found["interceptions"], found["blocks"]) == (True, 2, 2)


def test_a_change_is_named_and_fails(verify: Invoke, chained: Path) -> None:
    verify("--adopt")
    edit(chained, "UPDATE aibridge_user_prompts SET prompt = 'another' WHERE rowid = 2")
    result = verify(status=1)
    found = json.loads(result.stdout)
    assert found["problem_count"] == 1
    assert found["problems"][0]["kind"] == "changed"
    assert "1 problem found" in result.stderr


def test_a_checkpoint_kept_elsewhere_knows_how_far_the_chain_went(verify: Invoke, chained: Path) -> None:
    verify("--adopt")
    verify("--export-checkpoint", "end.json")
    verify("--checkpoint", "end.json")
    edit(chained, "DELETE FROM aitap_evidence WHERE turn = 2")
    assert "cut off" in verify("--checkpoint", "end.json", status=1).stdout
    edit(chained, "DELETE FROM aitap_evidence")
    assert "the chain ends at block 0" in verify("--checkpoint", "end.json", status=1).stdout


def test_the_public_key_is_enough_elsewhere(verify: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    verify("--export-key", "public.pem")
    verify("--adopt")
    assert b"PRIVATE" not in Path("public.pem").read_bytes()
    monkeypatch.setenv("AITAP_TAMPER_EVIDENCE_KEY", "nowhere.pem")
    assert "not trusted" in verify(status=1).stdout
    verify("--key", "public.pem")


def test_who_cannot_read_the_proxys_key_can_verify_and_export(
    verify: Invoke, invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the public key, and with none: a nightly export changes no record."""
    verify("--export-key", "public.pem")
    verify("--adopt")
    Path("sealed.pem").write_text("no key of theirs")
    monkeypatch.setenv("AITAP_TAMPER_EVIDENCE_KEY", "sealed.pem")
    assert "sealed.pem holds no" in verify(status=1).stderr
    verify("--key", "public.pem")
    assert len(invoke("export", "--since-last", "--name", "nightly").stdout.splitlines()) == 2
    assert "there are: 'nightly'" in invoke("export", "--forget", "--name", "night", status=1).stderr
    invoke("export", "--forget", "--name", "nightly")


@pytest.mark.skipif(os.name != "posix", reason="permissions are POSIX's")
def test_the_key_is_its_owners_alone(chained: Path) -> None:
    path = chained.parent / "confdir" / "aitap-evidence.pem"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert signing_key(path, make=False).private_bytes_raw() == signing_key(path).private_bytes_raw()


def test_commands_that_change_a_chained_database_say_so_in_the_chain(verify: Invoke, invoke: Invoke) -> None:
    verify("--adopt")
    invoke("prune", "--older-than", "1d")
    found = json.loads(verify().stdout)
    assert (found["interceptions"], found["blocks"]) == (0, 4)  # one of them for the act itself


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--key", "no.pem"], "no.pem: No such file"),
        (["--key", "a.db"], "holds no Ed25519 key"),
        (["--checkpoint", "a.db"], "is no checkpoint"),
        (["--export-key", "missing/x.pem"], "cannot write"),
    ],
)
def test_a_failure_is_one_line(args: list[str], words: str, verify: Invoke, chained: Path) -> None:
    assert words in verify(*args, status=1).stderr


def test_without_a_chain_there_is_nothing_to_verify(invoke: Invoke) -> None:
    assert "tamper_evidence = true" in invoke("verify", status=1).stderr
