"""What is pinned stays, whole, until it is unpinned."""

from __future__ import annotations

from aitap.storage.pins import pin
from aitap.storage.queries import find_session
from aitap.storage.retention import prunable, prune
from tests.storage.making import ANN, T0, Recording, interception, prompt, rows, tokens


def _filled(recording: Recording) -> None:
    recording.batch(
        *(
            interception(
                T0 + number,
                client_session_id="kept" if number % 2 else "gone",
                user_prompts=[prompt("hi", T0 + number)],
                token_usages=[tokens(at=T0 + number)],
            )
            for number in range(40)
        )
    )


def test_retention_leaves_a_pinned_session_alone(recording: Recording) -> None:
    """Also where it lies between what goes, and again and again."""
    _filled(recording)
    database = recording.database
    assert pin(database, "kept", ANN, pinned=True)
    assert not pin(database, "kept", ANN, pinned=True)
    assert prunable(database, T0 + 100) == 20
    assert prune(database, T0 + 100) == 20
    assert prune(database, T0 + 100) == prunable(database, T0 + 100) == 0
    left = "SELECT count(*), count(DISTINCT interception_id) FROM aibridge_user_prompts"
    assert rows(database, left) == [(20, 20)]
    session = find_session(database, "kept")
    assert session is not None
    assert (session["pinned"], session["interceptions"]) == (True, 20)


def test_an_unpinned_session_goes(recording: Recording) -> None:
    _filled(recording)
    pin(recording.database, "kept", ANN, pinned=True)
    assert pin(recording.database, "kept", ANN, pinned=False)
    assert prune(recording.database, T0 + 100) == 40
    assert rows(recording.database, "SELECT count(*) FROM aitap_sessions") == [(0,)]


def test_a_pin_outlives_what_is_written_to_its_session(recording: Recording) -> None:
    _filled(recording)
    pin(recording.database, "kept", ANN, pinned=True)
    recording.batch(interception(T0 + 50, client_session_id="kept"))
    assert rows(recording.database, "SELECT session_id FROM aitap_sessions WHERE pinned") == [("kept",)]


def test_only_the_session_of_that_user_is_pinned(recording: Recording) -> None:
    _filled(recording)
    assert not pin(recording.database, "kept", "22222222-2222-5222-8222-222222222222", pinned=True)
