"""The user's own words."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aitap.capture.facts import Attachment, Message
from aitap.capture.prompts import Prompt, PromptRules, find_prompt, rules_for, without_wrappers
from tests.capture.making import CHAT, MESSAGES, RESPONSES, ask, user

ENVIRONMENT = "<environment_context>\n  <cwd>/src</cwd>\n</environment_context>"
REMINDER = "<system-reminder>\nThe date is today.\n</system-reminder>"


def prompt(*messages: Any, api: str = MESSAGES, client: str | None = None) -> Prompt | None:
    body: dict[str, Any] = {"input" if api == RESPONSES else "messages": list(messages)}
    return find_prompt(ask(api, **body).newest, client)


def words(*messages: Any, api: str = MESSAGES, client: str | None = None) -> str | None:
    found = prompt(*messages, api=api, client=client)
    return found.text if found else None


def text(*parts: str) -> list[dict[str, str]]:
    return [{"type": "text", "text": part} for part in parts]


# Which message


@pytest.mark.parametrize("api", [MESSAGES, CHAT, RESPONSES])
def test_the_prompt_is_the_newest_user_message(api: str) -> None:
    assert words(user("old"), {"role": "assistant", "content": "yes"}, user("new"), api=api) == "new"
    assert words(user("one"), user("two"), api=api) == "two"


@pytest.mark.parametrize("api", [MESSAGES, CHAT, RESPONSES])
def test_several_text_parts_are_one_prompt_in_order(api: str) -> None:
    parts = [{"type": "input_text" if api == RESPONSES else "text", "text": part} for part in ("a", "b", "c")]
    assert words(user(parts), api=api) == "a\nb\nc"


def test_the_prompt_need_not_be_the_last_message() -> None:
    environment = {"role": "system", "content": [{"type": "text", "text": "# Environment"}]}
    assert words(user("do it"), environment) == "do it"
    assert words(user("do it"), {"role": "system", "content": "rules"}, api=CHAT) == "do it"
    assert words(user("do it"), {"type": "configuration_update", "model": "m"}, api=RESPONSES) == "do it"
    assert words(user("do it"), user(REMINDER)) == "do it"


def test_a_turn_that_was_answered_is_no_prompt() -> None:
    assert words(user("do it"), {"role": "assistant", "content": "done"}) is None


@pytest.mark.parametrize("api", [MESSAGES, CHAT, RESPONSES])
def test_a_turn_of_tool_results_is_no_prompt_also_with_a_reminder_riding_along(api: str) -> None:
    asked = [user("do it")]
    if api == MESSAGES:
        call = {"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "n", "input": {}}]}
        result = {"type": "tool_result", "tool_use_id": "t", "content": "x"}
        turns: list[list[Any]] = [[user([result])], [user([result, *text(REMINDER)])], [user([result]), user(REMINDER)]]
    elif api == CHAT:
        call = {"role": "assistant", "tool_calls": [{"id": "t", "function": {"name": "n"}}]}
        result = {"role": "tool", "tool_call_id": "t", "content": "x"}
        turns = [[result], [result, user(REMINDER)]]
    else:
        call = {"type": "function_call", "call_id": "t", "name": "n", "arguments": "{}"}
        result = {"type": "function_call_output", "call_id": "t", "output": "x"}
        turns = [[result], [result, user(ENVIRONMENT)]]
    for turn in turns:
        assert words(*asked, call, *turn, api=api) is None


def test_words_typed_beside_a_tool_result_are_a_prompt() -> None:
    result = {"type": "tool_result", "tool_use_id": "t", "content": "x"}
    assert words(user([result, *text(REMINDER, "no, the other file")])) == "no, the other file"


@pytest.mark.parametrize("content", ["", "  \n", [], [{"type": "text", "text": ""}], [{"type": "text"}], None, 5])
def test_empty_text_is_no_prompt(content: Any) -> None:
    assert words(user(content)) is None


def test_attachments_are_noted_beside_the_prompt() -> None:
    message = Message("user", ["look"], [Attachment("image", "image/png", 300), Attachment("file", uri="file-1")])
    assert find_prompt([message], None) == Prompt(
        "look",
        {
            "attachments": [
                {"type": "image", "media_type": "image/png", "bytes": 300},
                {"type": "file", "uri": "file-1"},
            ]
        },
    )


# What clients wrap round it


@pytest.mark.parametrize(
    ("client", "parts", "expected"),
    [
        ("Claude Code", [REMINDER, REMINDER, "fix the bug"], "fix the bug"),
        ("Claude Code", ["<system-reminder>\n[SYSTEM NOTIFICATION - NOT USER INPUT]\nAgent done"], None),
        ("Claude Code", ["[SYSTEM NOTIFICATION - NOT USER INPUT]\nAgent done"], None),
        ("Claude Code", ["[Request interrupted by user for tool use]"], None),
        ("Claude Code", ["[Request interrupted by user]", "try again"], "try again"),
        ("Claude Code", ["<command-name>/init</command-name>\n<command-message>init</command-message>"], None),
        ("Claude Code", ["<local-command-stdout>ok</local-command-stdout>", "now go"], "now go"),
        ("Claude Code", ["<user-prompt-submit-hook>lint ok</user-prompt-submit-hook>", "go"], "go"),
        ("Codex", [ENVIRONMENT, "fix the bug"], "fix the bug"),
        ("Codex", ["# AGENTS.md instructions for /src\n\n<INSTRUCTIONS>\nBe nice\n</INSTRUCTIONS>"], None),
        ("Codex", ["<user_instructions>\nBe nice\n</user_instructions>"], None),
        ("GitHub Copilot (CLI)", ["<current_datetime>2026-11-20</current_datetime>\n\nfix the bug"], "fix the bug"),
        ("goose", ["fix the bug\n<turn-context>\nIt is noon\n</turn-context>"], "fix the bug"),
        ("Kilo Code", ["fix the bug", "<environment_details>\nfiles\n</environment_details>"], "fix the bug"),
        ("Kilo Code", ["<task>\nfix the bug\n</task>\n<environment_details>x</environment_details>"], "fix the bug"),
        ("Gemini CLI", ["<session_context>\nLinux\n</session_context>", "fix the bug"], "fix the bug"),
        ("Qwen Code", [REMINDER] * 5 + ["fix the bug"], "fix the bug"),
        ("opencode", ['"fix the bug"'], "fix the bug"),
        ("opencode", ['"fix\tit"\n'], "fix\tit"),
        ("Cursor", ["<user_info>me</user_info>\n<user_query>\nfix the bug\n</user_query>"], "fix the bug"),
        (
            "GitHub Copilot (VS Code)",
            ["<context>\nToday\n</context>\n<reminder>Be nice</reminder>\n<userRequest>\nfix the bug\n</userRequest>"],
            "fix the bug",
        ),
        (
            "aider",
            ["fix the bug\n\n# *SEARCH/REPLACE block* Rules:\n\nEvery block must use this format"],
            "fix the bug",
        ),
    ],
)
def test_what_a_client_wraps_round_a_prompt_is_left_out(client: str, parts: list[str], expected: str | None) -> None:
    assert words(user(text(*parts)), client=client) == expected


def test_what_was_left_out_is_counted() -> None:
    found = prompt(user(text(REMINDER, "fix <b>it</b>", f"now\n{REMINDER}")))
    assert found == Prompt("fix <b>it</b>\nnow", {"left_out": 2, "left_out_chars": 2 * len(REMINDER) + 1})


def test_a_prompt_without_wrappers_is_exactly_what_was_typed() -> None:
    typed = "  <div>\n  indented </div>  \n\n"
    assert prompt(user(typed)) == Prompt(typed)


@pytest.mark.parametrize(
    "typed",
    [
        "what does <system-reminder> mean?",
        "see <environment_context>x</environment_context> and <cwd>",
        "<unknown>x</unknown>",
        '"one" or "two words"',
        "<userRequest>x</userRequest> is a tag",
        "a <= b",
        ">",
    ],
)
def test_words_that_only_look_like_wrappers_stay(typed: str) -> None:
    assert words(user(typed), client="opencode") == typed


def test_an_element_never_closed_was_cut_by_the_client() -> None:
    assert words(user(text("<system-reminder>\nlong", "go"))) == "go"


def test_rules_of_a_client_hold_for_it_alone() -> None:
    assert words(user('"fix it"'), client="opencode") == "fix it"
    assert words(user('"fix it"'), client="Claude Code") == '"fix it"'
    assert words(user("<context>x</context>go"), client="GitHub Copilot (VS Code)") == "go"
    assert words(user("<context>x</context>go")) == "<context>x</context>go"


def test_a_rule_is_data() -> None:
    left = PromptRules(tags=["env"], unwrap=["ask"], prefixes=["[auto]"], suffixes=["\n-- "], quoted=True).strip
    assert left('<env a="1">x</env><ask> "do it" </ask>') == "do it"
    assert left("go\n-- signature") == "go"
    assert left(" [auto] note") == ""


def test_texts_compare_without_what_changes_from_turn_to_turn() -> None:
    message = Message("user", [REMINDER, f" go \n{REMINDER}"])
    assert without_wrappers(message, None) == ["go"]


@given(st.lists(st.sampled_from(["<", ">", "/", '"', " ", "\n", "task", "system-reminder", "<task>", "</task>", "x"])))
def test_any_text_is_answered_and_nothing_is_made_up(parts: list[str]) -> None:
    typed = "".join(parts)
    for client in (None, "Cline", "Kilo Code"):
        left = rules_for(client).strip(typed)
        assert left in typed
        assert rules_for(client).strip(left) in left


@pytest.mark.parametrize(
    "typed",
    [
        "<task>" + " " * 200_000 + "x",
        '"' + "word " * 50_000,
        "<system-reminder></system-reminder>" * 20_000,
        "x" + "</system-reminder>" * 20_000,
        "<system-reminder " * 20_000,
        "</task>" + "\n" * 200_000 + ">",
    ],
)
def test_no_text_takes_long(typed: str) -> None:
    before = time.process_time()
    rules_for("Kilo Code").strip(typed)
    assert time.process_time() - before < 5  # a rule that goes back over the text takes minutes
