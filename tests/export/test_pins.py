"""``aitap sessions pin|unpin``: what is pinned is shown as such and stays."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.export import sample
from tests.export.conftest import Invoke, Written


@pytest.fixture
def own(invoke: Invoke, written: Written, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Invoke:
    """The command on a copy of the sample, which may be changed."""
    shutil.copy(written.url.removeprefix("sqlite:///"), tmp_path / "own.db")
    monkeypatch.setenv("AITAP_DATABASE_URL", f"sqlite:///{tmp_path}/own.db")
    return invoke


def test_a_session_is_pinned_and_unpinned(own: Invoke) -> None:
    """By a part of its id; lists tell it, and prune leaves it alone until it is unpinned."""
    part = sample.CLAUDE_SESSION[:13]
    assert own("sessions", "pin", part).stdout == f"session {sample.CLAUDE_SESSION} (9 interceptions) is pinned\n"
    assert "is pinned already" in own("sessions", "pin", part).stdout
    listed = {record["id"]: record["pinned"] for record in json.loads(own("sessions", "list").stdout)}
    assert [own_id for own_id, pinned in listed.items() if pinned] == [sample.CLAUDE_SESSION]
    own("prune", "--older-than", "1s")
    assert [record["id"] for record in json.loads(own("sessions", "list").stdout)] == [sample.CLAUDE_SESSION]
    assert own("sessions", "unpin", part).stdout.endswith("is not pinned\n")
    own("prune", "--older-than", "1s")
    assert json.loads(own("sessions", "list").stdout) == []


def test_a_session_that_is_not_there_is_said_to_be_none(own: Invoke) -> None:
    result = own("sessions", "pin", "no-such-session", status=1)
    assert "no session 'no-such-session'" in result.stderr
