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


MEANWHILE = (
    "<system-reminder>\nThe user sent a new message while you were working:\nno,\n\nthe other file\n\n"
    "This is how Claude Code surfaces messages the user sends mid-turn. Address the message above.\n</system-reminder>"
)
COMMAND = "<command-message>note</command-message>\n<command-name>/note</command-name>"

LOCALLY = (
    "<command-name>/model</command-name>\n  <command-message>model</command-message>\n  <command-args></command-args>"
)
EARLIER = "The user sent the following message:\nhi\n\nPlease address this message and continue with your tasks."


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ([COMMAND, "Write down what follows."], "/note"),
        ([REMINDER, f"{COMMAND}\n<command-args>this\none</command-args>", "Write it down.", "Now."], "/note this\none"),
        (["<command-name>hello</command-name>\n<command-message>/hello</command-message>", "Greet."], "/hello"),
        ([LOCALLY, "<local-command-stdout>Set model</local-command-stdout>", "now go"], "now go"),
        (["Base directory for this skill: /skills/pdf\n\n# PDF", "Extract the text."], None),
        (["The lint plugin sent a message:\nfix it\n\nThis is how Claude Code surfaces a prompt"], None),
        (['<channel source="chat">\nhi\n</channel>'], None),
        (["<user-memory-input>use tabs</user-memory-input>"], "use tabs"),
        (["Stop hook feedback:\n[check.sh]: tests fail"], None),
        (["CRITICAL: Respond with TEXT ONLY. Do NOT call any tools.\n\nYour task is to"], None),
        (["fix the bug", "[Request interrupted by user]", "try again"], "try again"),
        (["fix the bug", "[Request interrupted by user]"], None),
        ([MEANWHILE], "no,\n\nthe other file"),
        ([f"{REMINDER}\n{MEANWHILE}"], "no,\n\nthe other file"),
        ([f"{MEANWHILE}\n{REMINDER}", "and quick"], "no,\n\nthe other file\nand quick"),
        ([f"<system-reminder>{EARLIER}</system-reminder>"], "hi"),
    ],
)
def test_claude_code_says_what_a_person_typed_in_many_ways(parts: list[str], expected: str | None) -> None:
    assert words(user(text(*parts)), client="Claude Code") == expected


def test_words_before_a_broken_off_request_are_not_said_again() -> None:
    assert words(user("fix it"), user("[Request interrupted by user]"), client="Claude Code") is None
    assert words(user("fix it"), user("[Request interrupted by user]"), user("try"), client="Claude Code") == "try"


@pytest.mark.parametrize("content", [f"ok\n\n{REMINDER}\n\n{MEANWHILE}", text("ok", MEANWHILE)])
def test_words_that_came_inside_a_tool_result_are_a_prompt(content: Any) -> None:
    result = {"type": "tool_result", "tool_use_id": "t", "content": content}
    assert words(user([result]), client="Claude Code") == "no,\n\nthe other file"
    assert words(user([{**result, "content": f"a file says {MEANWHILE}, does it?"}]), client="Claude Code") is None
    assert words(user([result])) is None
    skill = text("Base directory for this skill: /skills/pdf\n\n# PDF", "Extract.")
    assert words(user([result, *skill]), client="Claude Code") == "no,\n\nthe other file"
    assert words(user([*skill, *text(MEANWHILE)]), client="Claude Code") == "no,\n\nthe other file"


REFUSED = (
    "The user doesn't want to proceed with this tool use. The tool use was rejected (eg. if it was a file edit, the "
    "new_string was NOT written to the file). "
)

FEEDBACK = "The user has provided feedback on the results. Consider it.\n<feedback>\nshorter\n</feedback>"


@pytest.mark.parametrize(
    ("client", "told", "expected"),
    [
        ("Claude Code", f"{REFUSED}To tell you how to proceed, the user said:\nuse b\n\nand c", "use b\n\nand c"),
        ("Claude Code", f"{REFUSED}STOP what you are doing and wait for the user to tell you how to proceed.", None),
        ("Claude Code", f"{REFUSED}To tell you how to proceed, the user said:\nThe user wants to clarify these", None),
        ("Roo Code", FEEDBACK, "shorter"),
        ("Cline", text("[attempt_completion] Result:", FEEDBACK), "shorter"),
        ("Roo Code", "<user_message>\nboth\n</user_message>", "both"),
        ("Roo Code", "File: a.txt\n<user_message>\nboth\n</user_message>", None),
        (None, "<user_message>\nboth\n</user_message>", None),
    ],
)
@pytest.mark.parametrize("api", [MESSAGES, CHAT])
def test_what_a_person_said_of_a_call_is_a_prompt(
    api: str, client: str | None, told: Any, expected: str | None
) -> None:
    if api == MESSAGES:
        result = user([{"type": "tool_result", "tool_use_id": "t", "content": told, "is_error": True}])
    else:
        joined = told if isinstance(told, str) else "\n".join(part["text"] for part in told)
        result = {"role": "tool", "tool_call_id": "t", "content": joined}
    assert words(result, api=api, client=client) == expected


def test_a_command_that_the_model_gave_is_no_prompt() -> None:
    result = {"type": "tool_result", "tool_use_id": "t", "content": "Launching skill: note"}
    assert words(user([result, *text(COMMAND, "Write it down.")]), client="Claude Code") is None
    stopped = text("[Request interrupted by user for tool use]", COMMAND, "Write it down.")
    assert words(user([result, *stopped]), client="Claude Code") == "/note"


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        (["[read_file for 'a.txt'] Result:", "secret = 1", "<environment_details>x</environment_details>"], None),
        (["[execute_command for 'cat <<E\nx\nE'] Result:\nCommand executed.\nOutput:\nx"], None),
        (["[attempt_completion] Result:\nThe user says so.\n<feedback>\nshorten it\n</feedback>"], "shorten it"),
        (["[ask_followup_question for 'Which?'] Result:", "<answer>\nboth\n</answer>"], "both"),
        (["[TASK RESUMPTION] It was interrupted.", "New instructions: <user_message>\ngo\n</user_message>"], "go"),
        (["[ERROR] You did not use a tool in your previous response! Please retry."], None),
        (["[x] Result of the vote: fix it"], "[x] Result of the vote: fix it"),
        (["<task>\nfix it\n</task>"], "fix it"),
    ],
)
@pytest.mark.parametrize("client", ["Cline", "Roo Code", "Kilo Code"])
def test_results_of_tools_that_are_called_in_text_are_no_prompt(
    client: str, parts: list[str], expected: str | None
) -> None:
    assert words(user(text(*parts)), client=client) == expected


def test_files_mentioned_in_a_prompt_are_not_the_persons_words() -> None:
    read = 'Called the Read tool with the following input: {"filePath":"/a"}'
    parts = ["compare @a and @b", read, "<file>\n1| x\n</file>", read, "Read tool failed to read /b", "quickly"]
    assert words(user(text(*parts)), client="opencode") == "compare @a and @b\nquickly"
    assert words(user(text("Continue if you have next steps, or stop")), client="opencode") is None
    gemini = ["explain @a.txt", "\n--- Content from referenced files ---", "\nContent from @a.txt:\n", "x = 1"]
    assert words(user(text(*gemini)), client="Gemini CLI") == "explain @a.txt"
    assert words(user(text("System: Please continue.")), client="Gemini CLI") is None


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
        "<task>" * 50_000,
        "[execute_command " + "] " * 100_000,
        "<system-reminder>The user sent a new message while you were working:\n" * 10_000,
        '"' + "word " * 50_000,
        "<system-reminder></system-reminder>" * 20_000,
        "x" + "</system-reminder>" * 20_000,
        "<system-reminder " * 20_000,
        "</task>" + "\n" * 200_000 + ">",
    ],
)
def test_no_text_takes_long(typed: str) -> None:
    before = time.process_time()
    for client in ("Kilo Code", "Claude Code"):
        rules_for(client).words([typed, f"[read_file] Result: {typed}", f"<command-message>x{typed}", typed])
    assert time.process_time() - before < 5  # a rule that goes back over the text takes minutes
