"""Whose traffic it is."""

from __future__ import annotations

import getpass
import uuid

import pytest

from aitap.access.identity import local_user, user_id


def test_the_id_depends_on_the_name_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(getpass, "getuser", lambda: "ada")
    first = local_user()
    assert first == local_user()
    assert first[1] == "ada"
    assert uuid.UUID(first[0]).version == 5
    monkeypatch.setattr(getpass, "getuser", lambda: "bob")
    assert local_user()[0] != first[0] == user_id("ada")


@pytest.mark.parametrize("error", [OSError, KeyError, ImportError])
def test_a_process_of_nobody_has_an_identity_too(monkeypatch: pytest.MonkeyPatch, error: type[Exception]) -> None:
    def nobody() -> str:
        raise error

    monkeypatch.setattr(getpass, "getuser", nobody)
    assert local_user()[1] == "local"
