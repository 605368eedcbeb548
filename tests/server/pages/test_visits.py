"""Signing in and out: what opens the door, what is in the cookie, and what ends a visit."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from aitap.server.pages.visits import IDLE_SECONDS, LONGEST_SECONDS, Visits
from tests.server.pages.conftest import Arrive, Visitor
from tests.server.site import Site
from tests.server.test_callers import until

Enter = Callable[[str], Visitor]


def test_the_cookie_is_no_key_and_not_for_scripts(guarded_company: Site, keys: dict[str, str], arrive: Arrive) -> None:
    visitor = arrive(guarded_company)
    answer = visitor.sign_in(keys["ann"])
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    assert "Path=/" in cookie
    assert "Secure" not in cookie
    assert keys["ann"] not in cookie
    assert keys["ann"] not in str(answer.headers)
    secure = visitor.http.get("/login", headers={"X-Forwarded-Proto": "https"}).headers["set-cookie"]
    assert "Secure" in secure


@pytest.mark.parametrize("key", ["", "x", "aitap_" + "A" * 43, "aitap_" + "é" * 43, "x" * 9000, "\ud83d"[:0] + "a b"])
def test_a_wrong_key_opens_nothing(guarded_company: Site, arrive: Arrive, key: str) -> None:
    visitor = arrive(guarded_company)
    answer = visitor.sign_in(key)
    assert answer.status_code == 401
    assert 'role="alert"' in answer.text
    assert "www-authenticate" not in answer.headers
    assert len(key) < 2 or key not in answer.text
    assert visitor.http.get("/sessions").status_code == 303


def test_a_form_from_elsewhere_does_not_sign_in(guarded_company: Site, keys: dict[str, str], arrive: Arrive) -> None:
    visitor = arrive(guarded_company)
    token = visitor.token("/login")
    elsewhere = {"Sec-Fetch-Site": "cross-site"}
    fields = {"token": token, "key": keys["ann"]}
    assert visitor.http.post("/login", data=fields, headers=elsewhere).status_code == 403
    assert arrive(guarded_company).http.post("/login", data=fields).status_code == 403
    assert visitor.post("/login", token="x.y", key=keys["ann"]).status_code == 403
    assert visitor.http.post("/login", data=fields).status_code == 303


@pytest.mark.parametrize(
    "target", ["https://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)", "/a\nb", "x"]
)
def test_signing_in_leads_nowhere_else(
    guarded_company: Site, keys: dict[str, str], arrive: Arrive, target: str
) -> None:
    visitor = arrive(guarded_company)
    assert visitor.sign_in(keys["ann"], next=target).headers["location"] == "/"


def test_signing_out_ends_the_visit_for_good(enter: Enter) -> None:
    ann = enter("ann")
    cookie = ann.http.cookies["aitap_visit"]
    assert ann.post("/logout", token="x.y").status_code == 403
    assert ann.post("/logout").status_code == 303
    ann.http.cookies.set("aitap_visit", cookie, domain="127.0.0.1")
    assert ann.http.get("/sessions").status_code == 303


def test_each_visit_has_a_number_of_its_own(guarded_company: Site, keys: dict[str, str], arrive: Arrive) -> None:
    visitor = arrive(guarded_company)
    visitor.http.cookies.set("aitap_visit", "chosen-by-somebody", domain="127.0.0.1")
    numbers = set()
    for _ in range(2):
        visitor.sign_in(keys["ann"])
        numbers |= {cookie.value for cookie in visitor.http.cookies.jar if cookie.name == "aitap_visit"}
    assert len(numbers - {"chosen-by-somebody"}) >= 1
    first = arrive(guarded_company)
    first.http.cookies.set("aitap_visit", "chosen-by-somebody", domain="127.0.0.1")
    assert first.http.get("/sessions").status_code == 303


def test_a_visit_ends_with_its_key(guarded_company: Site, arrive: Arrive) -> None:
    key, key_id = guarded_company.keyed("leaving")
    visitor = arrive(guarded_company)
    assert visitor.sign_in(key).status_code == 303
    visitor.get("/sessions")
    guarded_company.revoke(key_id)
    assert until(lambda: visitor.http.get("/sessions").status_code == 303)


def test_a_role_holds_for_visits_that_go_on(guarded_company: Site, arrive: Arrive) -> None:
    visitor = arrive(guarded_company)
    visitor.sign_in(guarded_company.user("rising"))
    visitor.get("/users", 403)
    guarded_company.set_role("rising", "admin")
    assert until(lambda: visitor.http.get("/users").status_code == 200)


def test_visits_end_by_themselves(monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.time()
    clock = [now]
    monkeypatch.setattr(time, "time", lambda: clock[0])
    visits = Visits()
    number = visits.begin("digest")
    clock[0] += IDLE_SECONDS
    assert visits.key_digest(number) == "digest"
    clock[0] += IDLE_SECONDS + 1
    assert visits.key_digest(number) is None
    number = visits.begin("digest")
    while clock[0] < now + LONGEST_SECONDS + 2 * IDLE_SECONDS + 10:
        clock[0] += IDLE_SECONDS / 2
        visits.key_digest(number)
    assert visits.key_digest(number) is None


def test_visits_take_a_bounded_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aitap.server.pages.visits._MOST", 20)
    visits = Visits()
    numbers = [visits.begin(str(place)) for place in range(100)]
    kept = [number for number in numbers if visits.key_digest(number)]
    assert len(kept) <= 20
    assert numbers[-1] in kept
