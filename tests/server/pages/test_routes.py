"""Who sees which page, what is kept of it, and what every page says of itself."""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Callable

import pytest

from aitap.access.identity import user_id
from aitap.storage.audit import Readings, list_readings
from tests.server.conftest import Serve
from tests.server.pages import company
from tests.server.pages.conftest import Arrive, Visitor
from tests.server.site import Site

PAGES = ["/", "/sessions", f"/session?id={company.NIGHT}", "/usage", "/hosts"]
FOR_ADMINS = ["/users", "/keys", "/audit"]
Enter = Callable[[str], Visitor]


@pytest.mark.parametrize("path", [*PAGES, *FOR_ADMINS, "/login"])
def test_every_page_keeps_browsers_from_harm(local: Visitor, path: str) -> None:
    headers = local.http.get(path).headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "script-src 'self';" in policy
    assert headers["cache-control"] == "no-store"
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["content-type"] == "text/html; charset=utf-8"


@pytest.mark.parametrize("path", [*PAGES, *FOR_ADMINS, "/login", "/nowhere"])
def test_no_page_has_script_style_or_anything_from_elsewhere_in_it(local: Visitor, path: str) -> None:
    page = local.http.get(path).text
    assert re.findall(r"<script(?![^>]*\ssrc=)", page) == []
    assert re.findall(r"<style|\sstyle=|\son\w+=|javascript:", page) == []
    assert re.findall(r'(?:src|href|action)="(?!/|#)[^"]*"', page) == []


def test_the_style_and_the_script_are_there_and_may_be_kept(local: Visitor) -> None:
    assets = re.findall(r'(?:src|href)="(/static/[^"]+)"', local.get("/"))
    assert {path.rpartition(".")[2] for path in assets} == {"css", "js", "svg"}
    for path in assets:
        answer = local.http.get(path)
        assert answer.status_code == 200
        assert "immutable" in answer.headers["cache-control"]
    for path in ("/static/../routes.py", "/static/%2e%2e%2froutes.py", "/static/pages.css", "/static/x"):
        assert local.http.get(path).status_code == 404


@pytest.mark.parametrize("path", [*PAGES, *FOR_ADMINS, "/sessions.csv", "/usage.csv"])
def test_who_is_not_known_is_sent_to_sign_in_and_comes_back(
    guarded_company: Site, keys: dict[str, str], arrive: Arrive, path: str
) -> None:
    visitor = arrive(guarded_company)
    answer = visitor.http.get(path)
    assert answer.status_code == 303
    assert answer.headers["location"].startswith("/login")
    asked = re.search(r'name="next" value="([^"]*)"', visitor.get(answer.headers["location"]))
    assert asked
    assert visitor.sign_in(keys["dora"], next=asked[1]).headers["location"] == path
    assert visitor.http.get(path).status_code == 200


@pytest.mark.parametrize("path", FOR_ADMINS)
@pytest.mark.parametrize("name", ["ann", "audra"])
def test_users_and_keys_are_for_admins_alone(enter: Enter, name: str, path: str) -> None:
    visitor = enter(name)
    assert "for admins" in visitor.get(path, 403)
    assert path not in visitor.links("/", "/")
    assert visitor.post(path, "/", username="x", role="admin").status_code == (405 if path == "/audit" else 403)


def test_a_user_sees_their_own_rows_and_not_that_there_are_others(enter: Enter) -> None:
    ann, ben = enter("ann"), enter("ben")
    theirs = ben.links("/sessions", "/session?")
    assert theirs
    assert not set(theirs) & set(ann.links("/sessions", "/session?"))
    for link in theirs[:3]:
        ben.get(link)
        assert "no such session" in ann.get(link, 404)
    [step] = ben.links(theirs[0], "/interception/")[:1]
    ben.get(step)
    assert "no such interception" in ann.get(step, 404)
    assert ann.http.get(f"{step}/record.json").status_code == 404
    assert company.LONG not in ann.http.get("/sessions.jsonl").text
    for page in ("/", "/sessions", "/usage?by=user", "/hosts"):
        assert ">ben<" not in ann.get(page).replace(" ", "").replace("\n", "")


@pytest.mark.parametrize("path", ["/sessions", "/", "/usage", "/sessions.csv"])
def test_to_ask_for_somebody_else_is_to_ask_for_nobody(enter: Enter, path: str) -> None:
    page = enter("ann").get(path, 400, initiator="ben")
    assert "does not exist" in page
    assert page.replace("ben", "nobody") == enter("ann").get(path, 400, initiator="nobody")


def test_what_others_wrote_is_shown_only_with_a_note_of_it(enter: Enter, guarded_company: Site) -> None:
    audra, ann = enter("audra"), user_id("ann")

    def notes() -> list[tuple[str, str]]:
        with guarded_company.database() as database:
            found = list_readings(database, Readings(subject_id=ann), limit=1000)
        return [(one["path"], one["query"]) for one in found if one["reader_id"] == user_id("audra")]

    before = len(notes())
    audra.get("/sessions", initiator="ann")
    audra.get("/session", id=company.NIGHT)
    [step] = audra.links(f"/session?id={company.NIGHT}", "/interception/")[:1]
    audra.get(step)
    audra.http.get("/sessions.jsonl", params={"initiator": "ann"})
    paths = [path for path, _ in notes()[: len(notes()) - before]]
    assert paths == ["/sessions.jsonl", step, "/session", "/session", "/sessions"]
    audra.get("/")
    audra.get("/usage")
    enter("ann").get("/sessions")
    assert len(notes()) == before + 5


def test_a_list_that_is_still_the_same_is_not_sent_nor_noted_again(enter: Enter, guarded_company: Site) -> None:
    audra = enter("audra")
    first = audra.http.get("/sessions")
    with guarded_company.database() as database:
        before = len(list_readings(database, limit=1000))
    again = audra.http.get("/sessions", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    with guarded_company.database() as database:
        assert len(list_readings(database, limit=1000)) == before


def test_long_pages_are_packed_for_who_can_unpack_them(local: Visitor) -> None:
    with local.http.stream("GET", "/sessions", headers={"Accept-Encoding": "gzip"}) as answer:
        data = b"".join(answer.iter_raw())
    assert answer.headers["content-encoding"] == "gzip"
    assert b"<h1>Sessions</h1>" in gzip.decompress(data)
    plain = local.http.get("/sessions", headers={"Accept-Encoding": "identity"})
    assert "content-encoding" not in plain.headers
    assert zlib.crc32(plain.content) != zlib.crc32(data)


@pytest.mark.parametrize("path", ["/sessions?sort=nothing", "/sessions?nobody=knows", "/usage?by=x", "/hosts?mode=x"])
def test_a_question_that_is_wrong_is_told_so_on_a_page(local: Visitor, path: str) -> None:
    assert "<h1>" in local.get(path, 400)


def test_a_browser_that_is_lost_gets_a_page_and_a_program_json(local: Visitor) -> None:
    assert "There is no such page" in local.get("/nowhere", 404)
    assert local.http.get("/nowhere", headers={"Accept": "*/*"}).json() == {"message": "Route not found."}
    assert local.http.get("/api/nowhere").json() == {"message": "Route not found."}


def test_every_page_answers_from_either_database(filled: str, serve: Serve, arrive: Arrive) -> None:
    visitor = arrive(serve())
    for path in (
        "/",
        "/?days=all",
        "/?days=365",
        "/sessions",
        "/sessions?text=login",
        "/hosts",
        "/usage?by=day&then=user",
    ):
        visitor.get(path)
    for path in ("/users", "/keys", "/sessions.csv", "/sessions?sort=tokens&order=asc&from=2020-01-01&to=2099-01-01"):
        visitor.get(path)
    sessions = visitor.links("/sessions", "/session?")
    assert len(sessions) >= 3
    for session in sessions:
        for step in visitor.links(session, "/interception/"):
            visitor.get(step)
        visitor.get(f"{session}&find=a")
