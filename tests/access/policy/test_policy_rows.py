"""The rules of the policy as the file gives them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from aitap.access.policy.policy_rows import PolicyRow, PolicyRowError, own_rules
from aitap.capture.provider_rows import ProviderRow
from aitap.settings import SettingsError, load


def test_a_name_and_a_list_of_names_are_read_alike() -> None:
    rows = [
        {"action": "deny", "users": "Alice", "models": ["*-Opus-*", "o3"], "message": "Ask\n  us."},
        {"action": "allow", "clients": ["Claude Code", "unknown"], "providers": "anthropic", "hosts": "*.example.com"},
    ]
    assert own_rules(rows) == (
        PolicyRow("deny", users=("alice",), models=("*-opus-*", "o3"), message="Ask us."),
        PolicyRow("allow", clients=("claude code", "unknown"), providers=("anthropic",), hosts=("*.example.com",)),
    )


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ({"action": "deny", "user": "x"}, "rule 1: unknown key 'user', did you mean 'users'?"),
        ({"action": "forbid", "users": "x"}, 'rule 1 needs an action: write action = "allow" or action = "deny"'),
        ({"users": "x"}, 'rule 1 needs an action: write action = "allow" or action = "deny"'),
        (
            {"action": "deny"},
            'rule 1 says nobody and nothing: give it users, clients, providers, models, hosts; users = "*" is all',
        ),
        ({"action": "deny", "users": []}, "rule 1, users: write a name or a list of names"),
        ({"action": "deny", "models": ["a", " "]}, "rule 1, models: write a name or a list of names"),
        ({"action": "deny", "models": 4}, "rule 1, models: write a name or a list of names"),
        (
            {"action": "deny", "clients": "cloud code"},
            "rule 1, clients: 'cloud code' is none we know, did you mean 'Claude Code'?",
        ),
        (
            {"action": "deny", "providers": "openia"},
            "rule 1, providers: 'openia' is none we know, did you mean 'openai'?",
        ),
        ({"action": "deny", "hosts": "https://a.b"}, "rule 1, hosts: 'https://a.b' is no host: write its name alone"),
        ({"action": "deny", "users": "x", "message": 1}, "rule 1: its message is no text"),
    ],
)
def test_what_is_wrong_with_a_rule_is_said_in_one_line(row: dict[str, Any], problem: str) -> None:
    with pytest.raises(PolicyRowError) as caught:
        own_rules([row])
    assert str(caught.value) == problem


def test_a_rule_may_name_a_provider_of_the_users_own() -> None:
    own = ProviderRow("our-vllm", "openai", ("llm.example.com",), "compatible")
    assert own_rules([{"action": "deny", "providers": "our-vllm"}], [own])[0].providers == ("our-vllm",)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "aitap.toml"


def test_rules_of_the_file_are_in_the_settings_in_their_order(file: Path) -> None:
    file.write_text(
        'policy = "warn"\n[[rule]]\naction = "allow"\nusers = "a"\n[[rule]]\naction = "deny"\nusers = "*"\n'
        '[[provider]]\nname = "p"\ntype = "openai"\nhosts = ["h.example.com"]\nroutes = "compatible"\n'
    )
    settings = load(environ={"AITAP_CONFIG": str(file)})
    assert settings.policy == "warn"
    assert settings.rules == (PolicyRow("allow", users=("a",)), PolicyRow("deny", users=("*",)))
    assert [row.name for row in settings.providers] == ["p"]


def test_a_bad_rule_names_the_file(file: Path) -> None:
    file.write_text('[[rule]]\naction = "deny"\nmodel = "x"\n')
    with pytest.raises(SettingsError) as caught:
        load(environ={"AITAP_CONFIG": str(file)})
    assert str(caught.value) == f"{file}: rule 1: unknown key 'model', did you mean 'models'?"


def test_rules_under_the_name_of_the_setting_are_told_their_own(file: Path) -> None:
    file.write_text('[[policy]]\naction = "deny"\nusers = "*"\n')
    with pytest.raises(SettingsError) as caught:
        load(environ={"AITAP_CONFIG": str(file)})
    assert str(caught.value) == f"{file}: write the rules as [[rule]]; policy is off, warn or enforce"
