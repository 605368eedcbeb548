"""A user's own rows of the provider table."""

from __future__ import annotations

from typing import Any

import pytest

from aitap.capture.dialects import DIALECTS
from aitap.capture.provider_rows import ProviderRow, ProviderRowError, builtin_table, own_rows

ROW: dict[str, Any] = {"name": "mine", "type": "openai", "hosts": ["LLM.example.com"], "routes": "compatible"}


def test_a_row_is_what_its_user_wrote_with_hosts_in_lower_case() -> None:
    assert own_rows([ROW]) == (ProviderRow("mine", "openai", ("llm.example.com",), "compatible"),)


@pytest.mark.parametrize("host", ["a.example", "*.a.example", "localhost:8000", "127.0.0.1:1", "[::1]:8000", "a_b"])
def test_hosts_are_names_patterns_and_addresses_with_or_without_a_port(host: str) -> None:
    assert own_rows([{**ROW, "hosts": [host]}])[0].hosts == (host,)


@pytest.mark.parametrize(
    ("rows", "problem"),
    [
        ({"name": "mine"}, "write each provider as a table of its own, under [[provider]]"),
        ([5], "write each provider as a table of its own, under [[provider]]"),
        ([ROW, {"type": "openai"}], "provider row 2 has no name"),
        ([{**ROW, "host": ["x"]}], "provider 'mine': unknown key 'host', did you mean 'hosts'?"),
        ([{**ROW, "type": "openia"}], "provider 'mine': unknown type 'openia', did you mean 'openai'?"),
        ([{**ROW, "routes": "compatable"}], "provider 'mine': unknown routes 'compatable', did you mean 'compatible'?"),
        ([{**ROW, "hosts": []}], """provider 'mine' has no hosts: write a list, such as hosts = ["llm.example.com"]"""),
        (
            [{**ROW, "hosts": "a"}],
            """provider 'mine' has no hosts: write a list, such as hosts = ["llm.example.com"]""",
        ),
        (
            [{**ROW, "hosts": ["https://a.example/v1"]}],
            "provider 'mine': 'https://a.example/v1' is no host: write its name alone, if need be with :port",
        ),
    ],
)
def test_what_is_wrong_with_a_row_is_said_in_one_line(rows: Any, problem: str) -> None:
    with pytest.raises(ProviderRowError) as caught:
        own_rows(rows)
    assert str(caught.value) == problem


@pytest.mark.parametrize("key", ["type", "routes"])
def test_a_row_without_a_word_it_needs_is_told_the_words_there_are(key: str) -> None:
    with pytest.raises(ProviderRowError, match=f"^provider 'mine' has no {key}: choose one of .*anthropic.*openai"):
        own_rows([{name: value for name, value in ROW.items() if name != key}])


def test_the_built_in_table_keeps_its_own_rules() -> None:
    table = builtin_table()
    own_rows(table["provider"])
    names = [row["name"] for row in table["provider"]]
    assert len(set(names)) == len(names)
    hosts = [host for row in table["provider"] for host in row["hosts"]]
    assert len(set(hosts)) == len(hosts)
    assert hosts == [host.lower() for host in hosts]
    used = {row["routes"] for row in table["provider"]}
    assert used == set(table["routes"])
    for route in (route for routes in table["routes"].values() for route in routes):
        assert set(route) <= {"path", "api", "purpose", "type", "socket_only", "doubtful", "model_header"}
        assert route["api"] in DIALECTS
        assert route.get("purpose", "auxiliary") in ("auxiliary", "probe")
