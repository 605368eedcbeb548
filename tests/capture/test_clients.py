"""Who speaks: client, version, session, agent and purpose."""

from __future__ import annotations

import tomllib
from importlib import resources
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aitap.capture.clients import Client, Clients
from aitap.capture.facts import Message, RequestFacts
from tests.capture.making import dump

CLIENTS = Clients()
TABLE = tomllib.loads(resources.files("aitap.capture").joinpath("data/clients.toml").read_text("utf-8"))

ID = "8f8a8344-c0c9-4e45-89b7-0be9ca537540"
OTHER = "01a1f98f-12db-74c3-b917-ba8b22163c86"


def identify(headers: dict[str, str], **facts: Any) -> Client:
    return CLIENTS.identify(headers, RequestFacts(**facts))


def agent(value: str, **headers: str) -> dict[str, str]:
    return {"user-agent": value} | {name.replace("_", "-"): text for name, text in headers.items()}


STAINLESS = {"x-stainless-lang": "js", "x-stainless-package-version": "0.94.0"}

# name, version, session, headers, facts
CASES: list[tuple[str | None, str | None, str | None, dict[str, str], dict[str, Any]]] = [
    ("Mux", "0.4.1", ID, agent("mux/0.4.1", x_mux_workspace_id=ID), {}),
    ("Claude Code", "2.1.329", ID, agent("claude-cli/2.1.329 (external, cli)", x_claude_code_session_id=ID), {}),
    (
        "Claude Code",
        "2.1.329",
        ID,
        agent("claude-cli/2.1.329 (external, sdk-py, agent-sdk/0.2.186)"),
        {"body_ids": {"metadata.user_id": dump({"device_id": "d", "session_id": ID}).decode()}},
    ),
    (
        "Claude Code",
        "1.0.60",
        ID,
        agent("claude-cli/1.0.60 (external, cli)"),
        {"body_ids": {"metadata.user_id": f"user_abc_account__session_{ID}"}},
    ),
    (
        "Codex",
        "0.169.0",
        ID,
        agent("codex_exec/0.169.0 (Debian 12.0.0; x86_64) xterm-256color (codex_exec; 0.169.0)", session_id=ID),
        {},
    ),
    ("Codex", "0.169.0", ID, {**agent("codex-tui/0.169.0 (Debian 12.0.0; x86_64)"), "session_id": ID}, {}),
    (
        "Codex",
        "0.169.0",
        ID,
        agent("codex_cli_rs/0.169.0", x_codex_turn_metadata=dump({"session_id": ID, "thread_id": OTHER}).decode()),
        {},
    ),
    ("Codex", "1.4.2", ID, agent("JetBrains.IC/1.4.2 (Linux)", session_id=ID, x_codex_window_id=f"{ID}:0"), {}),
    ("Codex", "0.50.0", ID, agent("codex_vscode/0.50.0"), {"body_ids": {"client_metadata.session_id": ID}}),
    ("Codex", "0.20.0", ID, {**agent("codex_cli_rs/0.20.0"), "conversation_id": ID}, {}),
    ("Zed", "0.210.0", None, agent("Zed/0.210.0 (linux; x86_64)"), {}),
    ("GitHub Copilot (VS Code)", "0.32.1", ID, agent("GitHubCopilotChat/0.32.1", x_interaction_id=ID), {}),
    (
        "GitHub Copilot (CLI)",
        "1.0.102",
        ID,
        agent("copilot/1.0.102 (linux v24.20.0) term/unknown client/github/cli", x_client_session_id=ID),
        {},
    ),
    (
        "GitHub Copilot (CLI)",
        None,
        None,
        agent("Anthropic/JS 0.94.0", x_initiator="user", x_interaction_type="conversation-user", **STAINLESS),
        {},
    ),
    (
        "Kilo Code",
        "7.7.9",
        "ses_1",
        agent("kilo/latest/7.7.9/cli ai-sdk/provider-utils/4.0.27 runtime/bun/1.3.14", x_session_id="ses_1"),
        {},
    ),
    ("Kilo Code", "4.99.0", ID, agent("Kilo-Code/4.99.0", x_kilocode_taskid=ID), {}),
    ("Kilo Code", None, ID, {"originator": "kilo-code", "x-kilocode-taskid": ID}, {}),
    ("Roo Code", "3.28.0", None, agent("roo-code/3.28.0"), {}),
    ("Roo Code", None, None, agent("OpenAI/JS 5.12.2", originator="roo-code"), {}),
    ("Coder Agents", "2.30.0", ID, agent("coder-agents/2.30.0", x_coder_chat_id=ID), {}),
    ("Charm Crush", "0.96.1", None, agent("Charm Crush/0.96.1 (https://charm.land/crush)"), {}),
    ("Cursor", "2.1.0", None, agent("connect-es/1.6.1", x_cursor_client_version="2.1.0"), {}),
    (
        "Gemini CLI",
        "0.61.0",
        ID,
        agent("GeminiCLI-tui/0.61.0/gemini-2.5-pro (linux; x64; terminal) google-api-nodejs-client/10.9.0"),
        {"body_ids": {"request.session_id": ID}},
    ),
    ("Gemini CLI", "0.61.0", None, agent("GeminiCLI-tui/0.61.0/gemini-3.1-pro-preview (linux; x64; terminal)"), {}),
    ("Antigravity", "1.2.3", ID, agent("antigravity/1.2.3 linux/amd64"), {"body_ids": {"request.session_id": ID}}),
    (
        "opencode",
        "1.18.33",
        "ses_1",
        agent("opencode/1.18.33 ai-sdk/provider-utils/4.0.46 runtime/bun/1.3.14", x_session_id="ses_1"),
        {},
    ),
    ("opencode", "1.0.1", "ses_1", agent("opencode/1.0.1", x_session_affinity="ses_1"), {}),
    (
        "Qwen Code",
        "0.24.4",
        ID,
        agent("QwenCode/0.24.4 (linux; x64)"),
        {"body_ids": {"prompt_cache_key": f"qwen-code:{ID}"}},
    ),
    ("Qwen Code", "0.2.0", ID, agent("QwenCode/0.2.0 (linux; x64)"), {"body_ids": {"metadata.sessionId": ID}}),
    ("Cline", "3.40.0", ID, agent("Cline/3.40.0", x_task_id=ID), {}),
    (
        "Cline",
        None,
        None,
        agent("ai-sdk/anthropic/4.0.42 ai-sdk/provider-utils/5.0.30 runtime/bun/1.3.13"),
        {"system": "You are Cline, a highly skilled software engineer"},
    ),
    ("droid", "0.215.0", None, agent("factory-cli/0.215.0"), {}),
    ("goose", None, "20261120_1", {"agent-session-id": "20261120_1"}, {}),
    ("goose", "1.52.0", None, agent("goose/1.52.0"), {}),
    ("Amp", None, "T-1", agent("Bun/1.4.1", x_amp_installation_id=ID, x_amp_thread_id="T-1"), {}),
    ("Kimi CLI", "0.60", None, agent("KimiCLI/0.60"), {}),
    (
        "Augment",
        "0.36.0",
        ID,
        agent("augment.cli/0.36.0 (commit 7c61e5bb)/noninteractive", x_request_session_id=ID),
        {},
    ),
    ("Continue", "1.5.47", None, agent("Continue/1.5.47"), {}),
    ("aider", "0.86.2", None, agent("Aider/0.86.2 +https://aider.chat"), {}),
    ("aider", None, None, agent("litellm/1.81.10"), {"system": "Act as an expert software developer.\nAlways"}),
    ("LiteLLM", "1.106.2", None, agent("litellm/1.106.2"), {}),
    ("LangChain", "1.7.7", None, agent("langchain-anthropic/1.7.7"), {}),
    ("Pydantic AI", "2.68.0", None, agent("pydantic-ai/2.68.0"), {}),
    (
        "Vercel AI SDK",
        "4.0.105",
        None,
        agent("ai-sdk-anthropic/4.0.105 ai-sdk-provider-utils/5.0.81 node.js/22"),
        {},
    ),
    ("Vercel AI SDK", "4.0.42", None, agent("ai-sdk/anthropic/4.0.42 ai-sdk/provider-utils/5.0.30"), {}),
    ("Vercel AI SDK", "7.0.173", None, agent("ai/7.0.173 ai-sdk-anthropic/4.0.105"), {}),
    ("Anthropic SDK", "1.17.0", None, agent("AsyncAnthropic/Python 1.17.0"), {}),
    ("Anthropic SDK", "0.91.1", None, agent("Anthropic/JS 0.91.1"), {}),
    ("OpenAI SDK", "6.26.0", ID, {**agent("OpenAI/JS 6.26.0"), "session_id": ID}, {}),
    ("OpenAI SDK", "2.54.0", None, agent("AsyncAzureOpenAI/Python 2.54.0"), {}),
    ("Google GenAI SDK", "3.4.0", None, agent("google-genai-sdk/3.4.0 gl-python/3.12.1 +afc"), {}),
    (
        "Roo Code",
        None,
        None,
        agent("Anthropic/JS 0.51.0"),
        {"system": "You are Roo, a highly skilled software engineer"},
    ),
    ("Kilo Code", None, None, agent("Anthropic/JS 0.51.0"), {"system": "You are Kilo Code, an experienced technical"}),
    ("Google GenAI SDK", "0.24.1", None, agent("node", x_goog_api_client="genai-js/0.24.1"), {}),
    ("Firebase AI SDK", "17.7.0", None, agent("Ktor client", x_goog_api_client="gl-kotlin/2.2.21-ai fire/17.7.0"), {}),
    ("Cohere SDK", "5.20.1", None, agent("cohere/5.20.1"), {}),
    ("Cohere SDK", "7.20.0", None, agent("cohere-ai/7.20.0"), {}),
    ("Mistral SDK", "1.9.11", None, agent("mistral-client-python/1.9.11"), {}),
    ("Mistral SDK", "1.10.0", None, agent("speakeasy-sdk/typescript 1.10.0 2.687.0 1.0.0 @mistralai/mistralai"), {}),
    ("Ollama SDK", "0.6.1", None, agent("ollama-python/0.6.1 (x86_64 linux) Python/3.12.1"), {}),
    ("Ollama SDK", "0.6.3", None, agent("ollama-js/0.6.3 (x64 linux Node.js/v22.23.3)"), {}),
    ("Ollama", "0.13.0", None, agent("ollama/0.13.0 (amd64 linux) Go/go1.24.1"), {}),
    ("Boto3", "1.44.5", None, agent("Boto3/1.44.5 md/Botocore#1.44.5 ua/2.1 os/linux"), {}),
    ("curl", "7.88.1", None, agent("curl/7.88.1"), {}),
    ("Charm Crush", "0.97.1", None, agent("Charm-Crush/v0.97.1 (https://charm.land/crush)"), {}),
    ("Roo Code", "3.54.0", None, agent("RooCode/3.54.0", x_title="Roo Code"), {}),
    ("Roo Code", None, ID, agent("OpenAI/JS 5.20.1", x_title="Roo Code", x_roo_task_id=ID), {}),
    ("Codex", "2026.925", None, agent("codex_app/2026.925"), {}),
    ("Gemini CLI", "0.34.0", None, agent("GeminiCLI-a2a-server/0.34.0/gemini-pro (linux; x64)"), {}),
    ("Kilo Code", None, None, agent("opencode/7.8.3 (linux; x64)", x_title="Kilo Code"), {}),
    ("Cursor", "1.0.0", None, agent("Mozilla/5.0 Cursor/1.0.0"), {}),
    ("Cline", "4.1.16", ID, agent("OpenAI/JS 5.20.1", x_title=" Cline ", x_client_version="4.1.16", x_task_id=ID), {}),
    ("Kimi CLI", "2.1.1", ID, agent("kimi-code-cli/2.1.1"), {"body_ids": {"prompt_cache_key": ID}}),
    ("Mistral Vibe", "3.0.2", ID, agent("mistral-client-python/Mistral-Vibe/3.0.2", x_affinity=ID), {}),
    (
        "Mistral Vibe",
        "3.0.2",
        ID,
        agent("mistral-client-python/2.6.0", x_affinity=OTHER),
        {
            "body_ids": {
                "metadata.call_source": "vibe_code",
                "metadata.agent_version": "3.0.2",
                "metadata.session_id": ID,
                "metadata.call_type": "main_call",
            }
        },
    ),
    ("Grok CLI", "1.0.40", None, agent("lody/1.0.45 grok-shell/1.0.40"), {}),
    ("pi", None, None, agent("pi (linux 6.1.0; x64)"), {}),
    ("pi", "0.74.0", ID, {**agent("pi/0.74.0 (linux; x64)"), "session_id": ID}, {}),
    ("pi", None, None, agent("OpenAI/JS 5.20.1", x_openrouter_title="pi"), {}),
    (None, None, None, agent("pi-hole/1.0"), {}),
    ("OpenClaw", "1.0.0", None, agent("OpenClaw/1.0.0"), {}),
    ("GitHub Copilot", "1.270.0", None, agent("GithubCopilot/1.270.0"), {}),
    ("CodeBuddy", "2.161.1", None, agent("CLI/2.161.1 CodeBuddy/2.161.1"), {}),
    ("Kiro", "0.2.13", None, agent("aws-sdk-js/1.0.1 ua/2.1 os/linux KiroIDE-0.2.13-abc"), {}),
    ("iFlow CLI", None, None, agent("iFlow-Cli"), {}),
    ("Cherry Studio", None, None, agent("ai-sdk/openai-compatible/1.0.0", x_title="Cherry Studio"), {}),
    ("Open WebUI", None, ID, agent("Python/3.11 aiohttp/3.11", x_title="Open WebUI", x_openwebui_chat_id=ID), {}),
    ("Xcode", "24577", None, agent("Xcode/24577 CFNetwork/3860"), {}),
    ("OpenHands", None, None, agent("litellm/1.81.10"), {"system": "You are OpenHands agent, a helpful AI assistant"}),
    ("opencode", None, None, agent("node", x_title="opencode"), {}),
    ("Qwen Code", None, None, agent("OpenAI/JS 5.20.1", x_openrouter_title="Qwen Code"), {}),
    ("OpenAI Agents SDK", "0.9.1", None, agent("Agents/Python 0.9.1"), {}),
    ("Google ADK", "1.2.0", None, agent("google-genai-sdk/1.72.0 gl-python/3.12 google-adk/1.2.0"), {}),
    ("Strands Agents", None, None, agent("Boto3/1.44.5 md/Botocore#1.44.5 ua/2.1 strands-agents"), {}),
    ("Semantic Kernel", "1.30.0", None, agent("semantic-kernel/1.30.0"), {}),
    ("LangChain", None, None, agent("langchain4j-openai"), {}),
    ("Anthropic SDK", "1.2.0", None, agent("Anthropic::Client/Ruby 1.2.0"), {}),
    ("OpenAI SDK", "2.1.0", None, agent("OpenAI/2.1.0 (.NET 8.0.1; Debian)"), {}),
    ("OpenAI SDK", "2.1.0", None, agent("azsdk-net-AI.OpenAI/2.1.0 (.NET 8.0.1)"), {}),
    ("Azure AI SDK", "1.0.0b9", None, agent("azsdk-python-ai-inference/1.0.0b9 Python/3.12"), {}),
    ("Groq SDK", "1.0.0", None, agent("AsyncGroq/Python 1.0.0"), {}),
    ("Together SDK", "2.0.0", None, agent("Together/Python 2.0.0"), {}),
    ("Cerebras SDK", "1.50.1", None, agent("Cerebras/Python 1.50.1"), {}),
    ("DashScope SDK", "1.25.0", None, agent("dashscope/1.25.0; python/3.12"), {}),
    ("AWS CLI", "2.30.1", None, agent("aws-cli/2.30.1 md/awscrt#0.28"), {}),
    ("AWS SDK", "3.900.0", None, agent("aws-sdk-js/3.900.0 ua/2.1 os/linux"), {}),
    ("OpenAI SDK", "2.54.0", "conv_1", agent("OpenAI/Python 2.54.0"), {"body_ids": {"conversation": "conv_1"}}),
    (None, None, "conv_1", agent("node-fetch"), {"body_ids": {"conversation_id": "conv_1"}}),
    (None, None, None, agent("node-fetch"), {}),
    (None, None, None, {}, {}),
]


@pytest.mark.parametrize(("name", "version", "session", "headers", "facts"), CASES)
def test_a_client_is_known_with_its_version_and_session(
    name: str | None, version: str | None, session: str | None, headers: dict[str, str], facts: dict[str, Any]
) -> None:
    client = identify(headers, **facts)
    assert (client.name, client.version, client.session_id) == (name, version, session)
    assert (client.is_subagent, client.purpose) == (False, "conversation")


def test_every_row_of_the_table_has_a_case() -> None:
    assert {row["name"] for row in TABLE["client"]} == {case[0] for case in CASES if case[0]}


@pytest.mark.parametrize(
    ("headers", "facts", "expected"),
    [
        (
            agent(
                "claude-cli/2.1.329 (external, cli)",
                x_claude_code_session_id=ID,
                x_claude_code_request_class="subagent",
                x_claude_code_agent_id="agent-1",
                x_claude_code_agent_type="Explore",
            ),
            {},
            {"session_id": ID, "agent": "agent-1", "agent_type": "Explore"},
        ),
        (
            agent(
                "codex_exec/0.169.0 (Debian)",
                session_id=ID,
                thread_id=OTHER,
                x_codex_parent_thread_id=ID,
                x_openai_subagent="collab_spawn",
            ),
            {},
            {"session_id": ID, "agent": OTHER, "parent_agent": ID, "agent_type": "collab_spawn"},
        ),
        (
            agent("opencode/1.18.33", x_session_id="ses_2", x_parent_session_id="ses_1"),
            {},
            {"session_id": "ses_1", "agent": "ses_2", "parent_agent": "ses_1"},
        ),
        (
            agent("kilo/latest/7.7.9/cli", x_session_id="ses_2", x_parent_session_id="ses_1"),
            {},
            {"session_id": "ses_1", "agent": "ses_2", "parent_agent": "ses_1"},
        ),
        (
            agent(
                "copilot/1.0.102 (linux v24.20.0) term/unknown",
                x_client_session_id=ID,
                x_agent_task_id="b",
                x_parent_agent_id="a",
                x_interaction_type="conversation-subagent",
            ),
            {},
            {"session_id": ID, "agent": "b", "parent_agent": "a"},
        ),
        (
            agent("GitHubCopilotChat/0.32.1", x_interaction_id=ID, x_interaction_type="conversation-subagent"),
            {},
            {"session_id": ID, "agent": "subagent"},
        ),
        (
            agent("codex_exec/0.169.0 (Debian)", session_id=ID, thread_id=OTHER, x_openai_subagent="review"),
            {},
            {"session_id": ID, "agent": OTHER, "agent_type": "review"},
        ),
    ],
)
def test_a_sub_agent_is_told_from_the_one_that_started_it(
    headers: dict[str, str], facts: dict[str, Any], expected: dict[str, str]
) -> None:
    client = identify(headers, **facts)
    assert client.is_subagent
    assert {name: getattr(client, name) for name in expected} == expected


def test_a_main_agent_has_an_id_and_is_no_sub_agent() -> None:
    headers = agent("codex_exec/0.169.0 (Debian)", session_id=ID, thread_id=ID, x_codex_window_id=f"{ID}:0")
    assert (identify(headers).agent, identify(headers).is_subagent) == (ID, False)
    headers = agent("copilot/1.0.102", x_agent_task_id="a", x_interaction_type="conversation-agent")
    assert (identify(headers).agent, identify(headers).is_subagent) == ("a", False)


CLAUDE_CODE = "You are Claude Code, Anthropic's official CLI for Claude."

# reason, purpose, headers, facts
PURPOSES: list[tuple[str, str, dict[str, str], dict[str, Any]]] = [
    ("prewarm", "auxiliary", agent("codex_exec/0.169.0"), {"prewarm": True}),
    (
        "prewarm",
        "auxiliary",
        agent("codex_exec/0.169.0", x_codex_turn_metadata='{"request_kind":"prewarm"}'),
        {"has_tools": True},
    ),
    ("auxiliary", "auxiliary", agent("claude-cli/2.1.329", x_claude_code_request_class="auxiliary"), {}),
    ("auxiliary", "auxiliary", agent("claude-cli/2.1", x_claude_1p_request_class="summary-extraction"), {}),
    ("completion", "auxiliary", agent("curl/8.0"), {"body_ids": {"suffix": "given"}}),
    ("embedding", "auxiliary", {}, {"body_ids": {"embedding": "asked"}}),
    ("title", "auxiliary", agent("Mistral-Vibe/3.0.2"), {"body_ids": {"metadata.call_type": "title_generation"}}),
    ("background", "auxiliary", agent("copilot/1.0.102", x_interaction_type="conversation-background"), {}),
    ("title", "auxiliary", agent("codex-tui/0.169.0", x_codex_turn_metadata='{"thread_source":"thread_title"}'), {}),
    ("title", "auxiliary", {}, {"body_ids": {"client_metadata.thread_source": "thread_title"}}),
    (
        "compaction",
        "auxiliary",
        agent("codex_exec/0.169.0", x_codex_turn_metadata='{"request_kind":"compaction","compaction":{}}'),
        {"has_tools": True},
    ),
    ("memory", "auxiliary", agent("codex_exec/0.169.0", x_codex_turn_metadata='{"request_kind":"memory"}'), {}),
    ("approval", "auxiliary", agent("codex_exec/0.169.0", x_openai_subagent="guardian"), {}),
    ("probe", "probe", agent("claude-cli/2.1.329"), {"max_tokens": 1}),
    ("title", "auxiliary", agent("opencode/1.18.33"), {"system": "You are a title generator. You output ONLY"}),
    ("title", "auxiliary", {"agent-session-id": "20261120_1"}, {"system": "Generate a short title for this chat"}),
    ("title", "auxiliary", {}, {"system": "Summarize this coding conversation in under 50 characters."}),
    ("title", "auxiliary", {}, {"system": "\n\n    - you will generate a short title based on the first message"}),
    *(
        (reason, "auxiliary", {}, {"newest": [Message("user", [text])], "has_tools": True})
        for reason, text in (
            ("title", "Generate a concise 3-7 word title for this conversation, omitting punctuation. Go straight"),
            ("title", "Given the following... please reply with a title for the chat that is 3-4 words in length"),
            ("title", "\nPlease write a brief title for the following request:\n\nfix it"),
            ("title", "### Task:\nGenerate a concise, 3-5 word title with an emoji summarizing the chat history."),
            ("compaction", "You are performing a CONTEXT CHECKPOINT COMPACTION. Create a handoff summary for another"),
            ("compaction", "You are compacting this conversation into a handoff for another agent"),
            ("compaction", "Summarize the conversation history so far, paying special attention to the most recent"),
            ("suggestion", "<next_prompt_suggestion>\n[SUGGESTION MODE: Suggest what the user might naturally type"),
            ("suggestion", "### Task:\nSuggest 3-5 relevant follow-up questions or prompts"),
            ("suggestion", "### Task:\nGenerate 1-3 broad tags categorizing the main themes"),
        )
    ),
    *(
        (reason, "auxiliary", agent("claude-cli/2.0.1"), {"newest": [Message("user", [text])], "has_tools": True})
        for reason, text in (
            ("compaction", "Your task is to create a detailed summary of the conversation so far, paying close"),
            ("compaction", "CRITICAL: Respond with TEXT ONLY. Do NOT call any tools."),
            ("web_tool", "Perform a web search for the query: tides"),
            ("web_tool", "\nWeb page content:\n---\nHello\n---\n\nWhat does it say?"),
        )
    ),
    *(
        (reason, "auxiliary", agent("claude-cli/1.0.9"), {"system": f"{CLAUDE_CODE}\n{text}"})
        for reason, text in (
            ("title", "Summarize this coding conversation in under 50 characters."),
            ("compaction", "You are a helpful AI assistant tasked with summarizing conversations."),
            ("command_check", "Your task is to process Bash commands that an AI coding agent wants to run."),
        )
    ),
    (
        "commit",
        "auxiliary",
        {},
        {"system": "You are an expert software engineer that generates concise, one-line Git commit"},
    ),
    ("compaction", "auxiliary", {}, {"system": "*Briefly* summarize this partial conversation about programming."}),
    ("topic", "auxiliary", {}, {"system": "Analyze if this message indicates a new conversation topic."}),
    ("routing", "auxiliary", agent("GeminiCLI-tui/0.61.0"), {"system": "You are a specialized Task Routing AI. Your"}),
    (
        "compaction",
        "auxiliary",
        {},
        {"system": "You are a helpful AI assistant tasked with summarizing conversations."},
    ),
    ("web_tool", "auxiliary", agent("GeminiCLI-tui/0.61.0"), {"body_ids": {"tools": "googleSearch"}}),
    ("loop_check", "auxiliary", {}, {"system": "You are a sophisticated AI diagnostic agent specializing in loops"}),
    ("edit_repair", "auxiliary", {}, {"system": "You are an expert code-editing assistant specializing in repair"}),
]


@pytest.mark.parametrize(("reason", "purpose", "headers", "facts"), PURPOSES)
def test_a_request_nobody_made_has_another_purpose(
    reason: str, purpose: str, headers: dict[str, str], facts: dict[str, Any]
) -> None:
    client = identify(headers, **facts)
    assert (client.purpose, client.purpose_reason) == (purpose, reason)


def test_every_purpose_of_the_table_has_a_case() -> None:
    assert {rule["reason"] for rule in TABLE["purpose"]} == {case[0] for case in PURPOSES}


@pytest.mark.parametrize(
    "facts",
    [
        {"max_tokens": 1, "has_tools": True},
        {"max_tokens": 2},
        {"system": "You are a title generator.", "has_tools": True},
        {"system": "Later: generate a short title"},
        {"newest": [Message("user", ["Write this down:", "and: [SUGGESTION MODE: on]"])]},
        {"newest": [Message("user", ["### Task:\nGenerate a parser"])]},
        {"newest": [Message("user", ["[SUGGESTION MODE: on]"]), Message("user", ["go on"])]},
        {"body_ids": {"tools": "googleSearch"}},
    ],
)
def test_what_only_looks_like_one_is_conversation(facts: dict[str, Any]) -> None:
    assert identify({}, **facts).purpose == "conversation"


def test_a_session_id_that_is_blank_or_not_there_is_none() -> None:
    assert identify(agent("claude-cli/2.1", x_claude_code_session_id="  ")).session_id is None
    for user_id in ("user_1", "{", '{"session_id":5}', '{"session_id":""}', "[]"):
        assert identify(agent("claude-cli/2.1"), body_ids={"metadata.user_id": user_id}).session_id is None


def test_ids_of_strangers_are_cut() -> None:
    assert len(identify(agent("claude-cli/2.1", x_claude_code_session_id="x" * 9999)).session_id or "") == 256


def test_the_first_row_that_fits_names_the_client() -> None:
    table = {
        "client": [
            {"name": "by header", "header": "header:x-a=1", "version": "header:x-v", "session": ["body:id#k"]},
            {"name": "by both", "user_agent": "^tool", "system": "^You"},
            {"name": "by agent", "user_agent": "^tool(?:/(?P<version>.+))?"},
        ],
        "purpose": [],
    }
    clients = Clients(table)
    facts = RequestFacts(system="You", body_ids={"id": '{"k":"s"}'})
    named = clients.identify({"user-agent": "tool/1", "x-a": "1", "x-v": "9"}, facts)
    assert (named.name, named.version, named.session_id) == ("by header", "9", "s")
    assert clients.identify({"user-agent": "Tool/1", "x-a": "2"}, facts).name == "by both"
    assert clients.identify({"user-agent": "tool/1"}, RequestFacts()).version == "1"


@given(
    st.dictionaries(
        st.sampled_from(
            ["user-agent", "x-codex-turn-metadata", "session-id", "x-interaction-type", "x-claude-code-session-id"]
        ),
        st.text() | st.sampled_from(["codex_exec/1", "claude-cli/1", '{"session_id":[1]}', "{" * 50]),
    ),
    st.dictionaries(st.sampled_from(["metadata.user_id", "prompt_cache_key"]), st.text()),
    st.text(),
)
def test_any_header_and_any_id_is_answered(headers: dict[str, str], ids: dict[str, str], system: str) -> None:
    assert identify(headers, body_ids=ids, system=system).purpose in ("conversation", "auxiliary", "probe")


@pytest.mark.parametrize(
    ("headers", "name"),
    [
        ({"user-agent": "claude-cli/2.1.3 (external, cli)"}, "Claude Code"),
        ({"user-agent": "OpenAI/JS 5.0.0", "x-interaction-type": "conversation-panel"}, "GitHub Copilot (CLI)"),
        ({"user-agent": "litellm/1.2.3"}, "LiteLLM"),
        ({"user-agent": "own/1"}, None),
        ({}, None),
    ],
)
def test_headers_alone_name_all_but_those_whose_only_mark_is_their_system_text(
    headers: dict[str, str], name: str | None
) -> None:
    assert Clients().named(headers) == name
