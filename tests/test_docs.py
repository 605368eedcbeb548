"""What the documents tell to type exists, and the clients they tell of are those of the table."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from aitap.certs.clients import ClientNotes, notes
from aitap.certs.environment import proxy_variables
from tests.commands import code_blocks, commands_in, exists, shell_commands

DOCS = sorted(Path(__file__).parents[1].joinpath("docs").glob("*.md"))
CLIENTS = Path(__file__).parents[1] / "docs" / "clients.md"


@pytest.mark.parametrize("path", DOCS, ids=lambda path: path.name)
def test_every_command_of_ours_exists_with_its_options(path: Path) -> None:
    text = path.read_text("utf-8")
    blocks = [content for language, content in code_blocks(text) if language in {"sh", "shell", "bash", "console"}]
    named = [words for block in blocks for words in shell_commands(block)] + commands_in(text)
    assert [words for words in named if not exists(words)] == []


@pytest.mark.parametrize("path", DOCS, ids=lambda path: path.name)
def test_shell_blocks_are_shell(path: Path) -> None:
    for language, content in code_blocks(path.read_text("utf-8")):
        if language == "sh":
            subprocess.run(["sh", "-n"], input=content, text=True, check=True)


@pytest.mark.parametrize("row", notes(), ids=lambda row: row.name)
def test_every_client_of_the_table_is_in_the_document_with_the_version_it_was_seen_in(row: ClientNotes) -> None:
    text = CLIENTS.read_text("utf-8")
    assert re.search(rf"\b({re.escape(row.title)}|{re.escape(row.name)})\b", text, re.IGNORECASE)
    if row.measured is not None and row.name not in {"curl", "node", "python"}:
        assert row.measured in text


def test_every_variable_that_env_sets_is_explained() -> None:
    text = CLIENTS.read_text("utf-8")
    assert [name for name in proxy_variables("http://x:1", "a", "b") if f"`{name}`" not in text] == []


def test_a_command_that_does_not_exist_would_be_found() -> None:
    assert exists("aitap env --shell fish")
    assert exists("aitap exec --proxy http://x:1 -- claude --anything")
    assert not exists("aitap env --shel fish")
    assert not exists("aitap ca fetchh")
    assert not exists("aitap nothing")
    assert shell_commands('x && aitap env --a \\\n  --b # no\neval "$(aitap ca show)"') == [
        "aitap env --a --b",
        "aitap ca show",
    ]
