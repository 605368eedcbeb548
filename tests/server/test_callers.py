"""Who may ask, and whose records they are shown."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable
from typing import Any

import pytest

from aitap.access.identity import local_user, user_id
from tests.export import sample
from tests.server.conftest import Serve
from tests.server.site import LISTS, Site

SESSIONS = f"{LISTS}/sessions"
ANN, BEN = "ann", "ben"


def until(condition: Callable[[], bool], seconds: float = 60.0) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


@pytest.fixture
def company(url: str, serve: Serve) -> Site:
    """Two people with a session each, on a server that wants keys."""
    for name in (ANN, BEN):
        story = sample.Story(1_795_000_000.0)
        story.call(prompt=f"I am {name}", initiator_id=user_id(name), client_session_id=f"of {name}", model=name)
        sample.write(url, story.records)
    return serve(keys_needed=True)


@pytest.mark.parametrize("form", ["token", "bearer", "basic", "both"])
def test_a_key_is_taken_in_every_form(company: Site, form: str) -> None:
    key = company.user(ANN)
    basic = base64.b64encode(f"anything:{key}".encode()).decode()
    headers = {
        "token": {"Coder-Session-Token": key},
        "bearer": {"Authorization": f"Bearer {key}"},
        "basic": {"Authorization": f"Basic {basic}"},
        "both": {"Authorization": f"Basic {basic}", "coder-session-token": key},
    }[form]
    reply = company.get(SESSIONS, headers=headers)
    assert [one["id"] for one in reply.json["sessions"]] == ["of ann"]


def test_the_references_curl_line_works(company: Site) -> None:
    key = company.user(ANN)
    reply = company.get("/api/v2/aibridge/interceptions?q=initiator:me", key)
    assert [one["initiator"]["username"] for one in reply.json["results"]] == [ANN]


@pytest.mark.parametrize("headers", [
    {},
    {"Coder-Session-Token": ""},
    {"Coder-Session-Token": "aitap_" + "x" * 43},
    {"Coder-Session-Token": "x" * 20_000},
    {"Authorization": "Bearer nobody"},
    {"Authorization": "Basic !"},
    {"Authorization": "Digest a=b"},
    {"Cookie": "coder_session_token=x"},
])  # fmt: skip
def test_without_a_good_key_nothing_is_told(company: Site, headers: dict[str, str]) -> None:
    for path in (SESSIONS, f"{SESSIONS}/of%20ann", f"{LISTS}/interceptions", f"{LISTS}/models"):
        reply = company.get(path, headers=headers)
        assert reply.status == 401
        assert reply.headers["www-authenticate"] == 'Bearer realm="aitap"'
        assert reply.json["message"].startswith("You are signed out")
        assert b"of ann" not in reply.data


def test_two_keys_in_one_request_are_none(company: Site) -> None:
    ann, ben = company.user(ANN), company.user(BEN)
    reply = company.get(SESSIONS, ann, headers={"Authorization": f"Bearer {ben}"})
    assert reply.status == 401


def test_a_key_in_the_url_is_no_key(company: Site) -> None:
    key = company.user(ANN)
    assert company.get(f"{SESSIONS}?coder_session_token={key}").status == 401


def test_a_new_key_is_good_at_once_and_a_revoked_one_bad_within_seconds(company: Site) -> None:
    key, own_id = company.keyed(ANN)
    assert company.get(SESSIONS, key).status == 200
    company.revoke(own_id)
    assert until(lambda: company.get(SESSIONS, key).status == 401)
    assert "revoked" in company.get(SESSIONS, key).json["detail"]


def test_an_expired_key_is_bad(company: Site) -> None:
    key = company.user(ANN, expires_at=time.time() - 1)
    reply = company.get(SESSIONS, key)
    assert (reply.status, reply.json["detail"]) == (401, "This key has expired.")


def test_who_guesses_has_to_wait_and_who_knows_has_not(company: Site) -> None:
    key = company.user(ANN)
    assert company.get(SESSIONS, key).status == 200
    replies = [company.get(SESSIONS, f"guess{number}") for number in range(8)]
    assert "retry-after" not in replies[0].headers
    assert int(replies[-1].headers["retry-after"]) >= 1
    assert company.get(SESSIONS, key).status == 200


def test_a_user_sees_their_own_records_alone(company: Site) -> None:
    key, other = company.user(ANN), company.user(BEN)
    bens = company.list("interceptions", other)["results"][0]["id"]
    assert [one["id"] for one in company.list("sessions", key)["sessions"]] == ["of ann"]
    assert company.list("sessions", key)["count"] == 1
    assert [one["model"] for one in company.list("interceptions", key)["results"]] == [ANN]
    assert company.list("models", key) == [ANN]
    for path in (f"{SESSIONS}/of%20ben", f"{SESSIONS}/{bens}", f"{SESSIONS}/of%20ben?initiator=me"):
        assert company.get(path, key).json == {"message": "Session not found."}
    assert company.list("interceptions", key, session_id="of ben")["count"] == 0
    for cursor in ({"after_id": bens},):
        assert "not found" in company.get(f"{LISTS}/interceptions", key, **cursor).json["detail"]
    assert "not found" in company.get(SESSIONS, key, after_session_id="of ben").json["detail"]


@pytest.mark.parametrize("who", [BEN, user_id(BEN), "nobody", "7b3c8a52-0a53-4c07-9d0e-0b8f6f5e1a42"])
def test_a_user_cannot_tell_others_from_nobody(company: Site, who: str) -> None:
    key = company.user(ANN)
    company.user(BEN)
    reply = company.get(f"{LISTS}/interceptions", key, initiator=who)
    detail = f'user "{who}" either does not exist, or you are unauthorized to view them'
    assert (reply.status, reply.json["validations"]) == (400, [{"field": "initiator", "detail": detail}])
    assert company.get(f"{SESSIONS}/of%20ben", key, initiator=who).status == 400


@pytest.mark.parametrize("role", ["auditor", "admin"])
def test_an_auditor_and_an_admin_see_all(company: Site, role: Any) -> None:
    key = company.user("carol", role)
    assert {one["id"] for one in company.list("sessions", key)["sessions"]} == {"of ann", "of ben"}
    assert company.session("of ben", key)["threads"][0]["prompt"] == "I am ben"
    assert company.list("sessions", key, initiator="me")["count"] == 0
    assert company.list("sessions", key, initiator=user_id(BEN))["count"] == 1


def test_a_role_that_changes_counts_within_seconds(company: Site) -> None:
    key = company.user(ANN)
    assert company.list("sessions", key)["count"] == 1
    company.set_role(ANN, "auditor")
    assert until(lambda: bool(company.list("sessions", key)["count"] == 2))
    company.set_role(ANN, "user")
    assert until(lambda: bool(company.list("sessions", key)["count"] == 1))


def test_on_ones_own_machine_no_key_is_needed_and_me_is_the_local_user(site: Site) -> None:
    assert site.list("interceptions", q="initiator:me")["results"][0]["initiator"]["id"] == local_user()[0]
    assert {one["initiator"]["id"] for one in site.list("sessions")["sessions"]} == {sample.ME, sample.BOB}


@pytest.mark.parametrize("headers", [
    {"Host": "rebound.example.com"},
    {"Host": "127.0.0.1.example.com"},
    {"Host": "192.0.2.1:80"},
    {"Host": ""},
    {"X-Forwarded-For": "192.0.2.1"},
    {"Forwarded": "for=192.0.2.1"},
    {"Via": "1.1 somewhere"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
])  # fmt: skip
def test_what_others_had_this_machine_ask_needs_a_key(site: Site, headers: dict[str, str]) -> None:
    """DNS rebinding, a reverse proxy, a page of another site."""
    assert site.get(SESSIONS, headers=headers).status == 401
    assert site.get(SESSIONS, site.user(ANN), headers=headers).status == 200


@pytest.mark.parametrize("host", ["localhost", "localhost:8088", "127.0.0.1", "127.1.2.3:1", "[::1]", "[::1]:80"])
def test_this_machine_may_call_itself_by_any_of_its_names(shared: Site, host: str) -> None:
    assert shared.get(SESSIONS, headers={"Host": host, "Sec-Fetch-Site": "none"}).status == 200


def test_a_key_counts_also_where_none_is_needed(site: Site) -> None:
    assert site.list("sessions", site.user(ANN))["count"] == 0
    assert site.get(SESSIONS, "wrong").status == 401


def test_what_tells_nothing_needs_no_key(guarded: Site) -> None:
    assert guarded.get("/healthz").json == {"status": "ok"}
    assert guarded.get("/api/v2/openapi.json").status == 200
    assert guarded.get(f"{LISTS}/proxy/ca-cert.pem").status == 404
