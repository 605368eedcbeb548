"""The user's own words where editors and agents put much beside them."""

from __future__ import annotations

import pytest

from aitap.capture.facts import Attachment, Message
from aitap.capture.prompts import find_prompt

IDE = "# Context from my IDE setup:\n\n## Active file: src/pay.py\n\n## Open tabs:\n- pay.py: src/pay.py\n"
FILES = "# Files mentioned by the user:\n\n## a.png: /tmp/a.png\n"
ASKED = "\n## My request for Codex:\n"


def words(client: str, *texts: str) -> str | None:
    found = find_prompt([Message("user", list(texts))], client)
    return found.text if found else None


@pytest.mark.parametrize("before", [IDE, FILES, FILES + IDE, ""])
def test_what_is_asked_of_codex_in_an_editor_is_the_prompt(before: str) -> None:
    assert words("Codex", f"{before}{ASKED}fix the bug\nat once\n") == "fix the bug\nat once"


def test_an_editors_context_without_a_request_is_no_prompt() -> None:
    assert words("Codex", IDE) is None


def test_pictures_stand_between_texts_of_codex_own() -> None:
    said = [f"{FILES}{ASKED}look at it", '<image name=[Image #1] path="/tmp/a.png">', "</image>"]
    found = find_prompt([Message("user", said, [Attachment("image", "image/png", 3)])], "Codex")
    assert found is not None
    assert (found.text, len(found.metadata["attachments"]), found.metadata["left_out"]) == ("look at it", 1, 3)


@pytest.mark.parametrize(
    ("client", "text"),
    [
        (
            "Codex",
            "<user_shell_command>\n<command>\nls\n</command>\n<result>\nExit code: 0\n</result>\n</user_shell_command>",
        ),
        ("Codex", '<subagent_notification>\n{"agent_path":"a","status":"completed"}\n</subagent_notification>'),
        ("Codex", "<skill>\n<name>pdf</name>\n<path>/s/pdf</path>\nDo so\n</skill>"),
        ("Codex", '<codex_internal_context source="goal">\nGo on\n</codex_internal_context>'),
        ("Codex", '<hook_prompt hook_run_id="h1">Retry</hook_prompt>'),
        ("Kimi CLI", "<system>CHECKPOINT 1</system>"),
    ],
)
def test_what_an_agent_says_to_itself_is_no_prompt(client: str, text: str) -> None:
    assert words(client, text) is None


@pytest.mark.parametrize(
    ("client", "text"),
    [
        (
            "GitHub Copilot (VS Code)",
            "Tools were attached.\n<context>\nToday\n</context>\n<userRequest>\nfix the bug\n</userRequest>\n",
        ),
        (
            "GitHub Copilot (CLI)",
            "<current_datetime>x</current_datetime>\n\nfix the bug\n\n<reminder><sql_tables>x</sql_tables></reminder>",
        ),
        (
            "Zed",
            "fix the bug\n<context>\nThe following items were attached by the user.\n<files>x</files>\n</context>\n",
        ),
        (
            "Charm Crush",
            "fix the bug\n<system_info>The files below</system_info>\n<file path='a.py'>\nx = 1\n</file>\n",
        ),
    ],
)
def test_what_stands_beside_the_prompt_is_left_out(client: str, text: str) -> None:
    assert words(client, text) == "fix the bug"


def test_the_marks_of_one_client_mean_nothing_to_another() -> None:
    text = f"# Notes{ASKED}and <userRequest>that</userRequest> too"
    assert words("aider", text) == text
