"""What lists can be filtered by."""

from __future__ import annotations

from aitap.storage.choices import choices
from aitap.storage.users import add_user
from tests.storage.making import ANN, BEN, T0, Recording, interception


def test_choices_are_what_there_is(recording: Recording) -> None:
    add_user(recording.database, ANN, "ann")
    recording.batch(
        interception(T0, model="b", client="Codex"),
        interception(T0 + 1, model="a", client=None, initiator_id=BEN, provider="openai"),
    )
    assert choices(recording.database) == {
        "initiator": [BEN, "ann"],
        "provider": ["anthropic", "openai"],
        "model": ["a", "b"],
        "client": ["Codex", "Unknown"],
    }


def test_a_users_choices_are_their_own(recording: Recording) -> None:
    recording.batch(interception(T0, model="mine"), interception(T0, model="theirs", initiator_id=BEN))
    assert choices(recording.database, ANN)["model"] == ["mine"]
    assert choices(recording.database, ANN)["initiator"] == [ANN]
