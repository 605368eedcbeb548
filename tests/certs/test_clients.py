"""The table of clients agrees with the variables that are set and with the commands there are."""

from __future__ import annotations

import re

import pytest

from aitap.certs.clients import ClientNotes, find, notes
from aitap.certs.environment import ADDED, PROXY, REPLACED

SET = {*PROXY, *ADDED, *REPLACED}


def test_names_and_commands_are_of_one_client_each() -> None:
    for words in ([row.name for row in notes()], [word for row in notes() for word in row.commands]):
        assert len(words) == len(set(words))


@pytest.mark.parametrize("row", notes(), ids=lambda row: row.name)
def test_what_env_sets_is_enough_or_it_is_said_what_to_do(row: ClientNotes) -> None:
    found = find(row.name)
    assert bool(found.proxy and set(found.proxy) & SET and set(found.ca) & SET) or found.set_up
    assert set(found.ca) <= SET
    assert set(found.proxy) <= {*SET, "ALL_PROXY"}
    assert all("\n" not in trap and trap.endswith(".") for trap in found.traps)


def test_a_command_finds_its_client_and_a_slip_the_nearest() -> None:
    assert find("Claude").title == "Claude Code"
    assert find("code-insiders").name == "code"
    with pytest.raises(ValueError, match=re.escape("no client 'codx', did you mean 'codex'?")):
        find("codx")
