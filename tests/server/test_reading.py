"""Who reads what others typed is on record before they see it."""

from __future__ import annotations

from typing import Any

from aitap.access.identity import local_user, user_id
from aitap.storage.audit import Readings, list_readings
from tests.export import sample
from tests.server.site import LISTS, Site


def readings(site: Site) -> list[dict[str, Any]]:
    with site.database() as database:
        return list_readings(database)


def test_an_auditors_reading_is_kept_with_who_when_and_what(guarded: Site) -> None:
    key, key_id = guarded.keyed("carol", "auditor")
    listed = guarded.list("interceptions", key, q="model:gpt-5.2-codex", limit=1)
    (kept,) = readings(guarded)
    assert listed["results"][0]["initiator"]["id"] == sample.BOB
    assert (kept["reader"]["username"], kept["api_key_id"], kept["address"]) == ("carol", key_id, "127.0.0.1")
    assert (kept["subject_id"], kept["records"]) == (sample.BOB, 1)
    assert (kept["path"], kept["query"]) == (f"{LISTS}/interceptions", "q=model%3Agpt-5.2-codex&limit=1")


def test_each_person_whose_records_were_shown_has_a_row(guarded: Site) -> None:
    key = guarded.user("carol", "auditor")
    guarded.list("sessions", key)
    assert {row["subject_id"]: row["records"] for row in readings(guarded)} == {sample.ME: 3, sample.BOB: 1}
    guarded.session(sample.CODEX_SESSION, key)
    assert readings(guarded)[0]["path"] == f"{LISTS}/sessions/{sample.CODEX_SESSION}"


def test_ones_own_records_and_names_of_models_are_nobodys_affair(site: Site) -> None:
    site.list("interceptions", initiator="me")
    site.list("models")
    site.get(f"{LISTS}/sessions/none")
    assert readings(site) == []


def test_also_the_local_user_is_kept(site: Site) -> None:
    site.session(sample.CODEX_SESSION)
    (kept,) = readings(site)
    assert (kept["reader_id"], kept["api_key_id"]) == (local_user()[0], None)


def test_what_cannot_be_kept_is_not_shown(guarded: Site) -> None:
    auditor, user = guarded.user("carol", "auditor"), guarded.user("ann")
    with guarded.database() as database:
        database.execute_sql("ALTER TABLE aitap_audit RENAME TO aitap_gone")
    reply = guarded.get(f"{LISTS}/sessions", auditor)
    assert (reply.status, reply.json) == (503, {"message": "The database does not answer."})
    assert guarded.list("sessions", user) == {"count": 0, "sessions": []}
    with guarded.database() as database:
        database.execute_sql("ALTER TABLE aitap_gone RENAME TO aitap_audit")
    assert guarded.list("sessions", auditor)["count"] == 4


def test_a_long_question_is_kept_in_part(guarded: Site) -> None:
    key = guarded.user("carol", "auditor")
    guarded.list("sessions", key, started_before=" " * 4000 + "0")
    assert {len(row["query"]) for row in readings(guarded)} == {1024}


def test_readings_can_be_asked_for_by_whose_records_they_were(guarded: Site) -> None:
    guarded.list("sessions", guarded.user("carol", "auditor"))
    with guarded.database() as database:
        assert [row["subject_id"] for row in list_readings(database, Readings(subject_id=sample.BOB))] == [sample.BOB]
        assert list_readings(database, Readings(subject_id=user_id("carol"))) == []
