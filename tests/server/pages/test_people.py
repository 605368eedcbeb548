"""Users and keys, changed by an admin, and by nobody else."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from aitap.access.identity import user_id
from aitap.storage.audit import Readings, list_readings
from aitap.storage.database import open_database
from aitap.storage.keys import list_keys
from aitap.storage.users import find_user
from tests.server.conftest import Serve
from tests.server.pages.conftest import Arrive, Visitor
from tests.server.site import Site, served


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One of its own: these tests change it, each for people of its own."""
    folder = tmp_path_factory.mktemp("people")
    url = f"sqlite:///{folder}/records.db"
    open_database(url, migrate=True).close()
    with served(url, folder, keys_needed=True) as site:
        yield site


@pytest.fixture(scope="module")
def doras_key(site: Site) -> str:
    return site.user("dora", "admin")


@pytest.fixture
def admin(site: Site, doras_key: str, arrive: Arrive) -> Visitor:
    visitor = arrive(site)
    assert visitor.sign_in(doras_key).status_code == 303
    return visitor


def made_key(page: str) -> str:
    found = re.search(r'class="secret"[^>]*>(aitap_[^<]+)<', page)
    assert found
    return found[1]


def test_a_user_is_added_gets_a_key_and_signs_in(site: Site, admin: Visitor, arrive: Arrive) -> None:
    answer = admin.post("/users", "/users", username="eve", name="Eve Ek", role="auditor")
    assert (answer.status_code, answer.headers["location"]) == (303, "/keys?user=eve")
    made = admin.post("/keys", "/keys?user=eve", user=user_id("eve"), name="laptop", days="30")
    key = made_key(made.text)
    assert key not in admin.get("/keys?user=eve")
    assert "laptop" in admin.get("/keys?user=eve")
    eve = arrive(site)
    assert eve.sign_in(key).status_code == 303
    assert "eve" in eve.get("/sessions")
    with site.database() as database:
        [row] = list_keys(database, user_id("eve"))
    assert row["expires_at"] is not None
    assert row["name"] == "laptop"


def test_a_key_is_revoked(site: Site, admin: Visitor) -> None:
    _, key_id = site.keyed("frank")
    assert admin.post(f"/keys/{key_id}/revoke", "/keys").status_code == 303
    assert "No live key" in admin.get("/keys?user=frank")
    assert "revoked" in admin.get("/keys?user=frank&show=all")


def test_a_user_is_removed_and_brought_back(site: Site, admin: Visitor) -> None:
    site.user("gina")
    own_id = user_id("gina")
    assert admin.post(f"/users/{own_id}/remove", "/users").status_code == 303
    assert "gina" not in admin.get("/users")
    assert "gina" in admin.get("/users?show=all")
    assert admin.post(f"/users/{own_id}/restore", "/users?show=all").status_code == 303
    with site.database() as database:
        user = find_user(database, "gina")
        assert user is not None
        assert not user["deleted"]
        assert [key["state"] for key in list_keys(database, own_id)] == ["revoked"]


def test_a_role_is_set(site: Site, admin: Visitor) -> None:
    site.user("hugo")
    assert admin.post(f"/users/{user_id('hugo')}/role", "/users", role="auditor").status_code == 303
    assert admin.post(f"/users/{user_id('hugo')}/role", "/users", role="emperor").status_code == 400
    with site.database() as database:
        user = find_user(database, "hugo")
    assert user is not None
    assert user["role"] == "auditor"


def test_every_change_is_on_record_and_admins_can_read_it(site: Site, admin: Visitor, arrive: Arrive) -> None:
    """Who, what, to whom, from where and with which key; never the key that was made."""
    kim = user_id("kim")
    admin.post("/users", "/users", username="kim", role="user")
    key = made_key(admin.post("/keys", "/keys", user=kim, name="laptop", days="30").text)
    admin.post(f"/users/{kim}/role", "/users", role="auditor")
    with site.database() as database:
        [row] = list_keys(database, kim)
        [doras] = list_keys(database, user_id("dora"))
    admin.post(f"/keys/{row['id']}/revoke", "/keys")
    admin.post(f"/users/{kim}/remove", "/users")
    admin.post(f"/users/{kim}/remove", "/users?show=all")  # it was before
    admin.post(f"/users/{kim}/restore", "/users?show=all")
    assert admin.post(f"/users/{kim}/role", "/users", role="emperor").status_code == 400
    with site.database() as database:
        lines = list_readings(database, Readings(subject_id=kim))[::-1]
    assert [line["action"] for line in lines] == [
        *("user.add", "key.create", "user.role", "key.revoke", "user.remove", "user.restore"),
    ]
    told = {(line["reader"]["username"], line["api_key_id"], line["address"]) for line in lines}
    assert told == {("dora", doras["id"], "127.0.0.1")}
    assert lines[2]["path"] == f"/users/{kim}/role"
    assert lines[2]["detail"] == {"role": "auditor", "before": "user"}
    assert key not in str(lines)
    page = admin.get("/audit", subject="kim")
    assert page.count('data-label="To whom">kim</td>') == len(lines)
    assert "role=auditor before=user" in page
    assert "user.role" in page
    assert "Nothing fits" in admin.get("/audit", subject="kim", action="group")
    assert "is no page" not in admin.get("/audit", 400, action="x")
    other = arrive(site)
    other.sign_in(site.user("lena", "auditor"))
    assert "for admins" in other.get("/audit", 403)
    assert "/audit" not in other.get("/sessions")


@pytest.mark.parametrize("what", ["remove", "role"])
def test_nobody_shuts_themselves_out(site: Site, admin: Visitor, what: str) -> None:
    fields = {"role": "user"} if what == "role" else {}
    assert admin.post(f"/users/{user_id('dora')}/{what}", "/users", **fields).status_code == 400
    with site.database() as database:
        user = find_user(database, "dora")
    assert user is not None
    assert (user["role"], user["deleted"]) == ("admin", False)


@pytest.mark.parametrize("name", ["", " ", "a b", "me", "x" * 200, "../../x", "a:b", "<script>alert(1)</script>/"])
def test_a_name_that_cannot_be_one_is_told_so(admin: Visitor, name: str) -> None:
    answer = admin.post("/users", "/users", username=name, role="user")
    assert answer.status_code == 400
    assert 'role="alert"' in answer.text
    assert "<script>alert" not in answer.text


def test_nothing_changes_by_a_form_that_is_not_ours(site: Site, admin: Visitor, arrive: Arrive) -> None:
    site.user("ida")
    ida = user_id("ida")
    forms = {
        "/users": {"username": "mallory", "name": "", "email": "", "role": "admin"},
        "/keys": {"user": ida, "name": "", "days": ""},
        f"/users/{ida}/remove": {},
        f"/users/{ida}/role": {"role": "admin"},
    }
    other = arrive(site)
    other.sign_in(site.user("otto", "admin"))
    theirs, ours = other.token("/users"), admin.token("/users")
    for path, fields in forms.items():
        for token in ("", "x.y", theirs):
            assert admin.post(path, token=token, **fields).status_code == 403
        sent = {"token": ours, **fields}
        assert admin.http.post(path, data=sent, headers={"Sec-Fetch-Site": "cross-site"}).status_code == 403
        assert admin.http.post(path, json=sent).status_code == 415
        assert admin.http.get(path, params=sent).status_code in (400, 404, 405)
    with site.database() as database:
        assert find_user(database, "mallory") is None
        user = find_user(database, "ida")
        assert user is not None
        assert (user["role"], user["deleted"]) == ("user", False)
        assert len(list_keys(database, ida)) == 1


def test_a_form_of_any_size_is_read_within_bounds(admin: Visitor) -> None:
    def endless() -> Iterator[bytes]:
        for _ in range(64):
            yield b"a=" + b"x" * 4096

    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    assert admin.http.post("/users", content=endless(), headers=kind).status_code == 413
    assert admin.http.post("/users", content=b"x" * (1 << 20), headers=kind).status_code == 413
    assert admin.http.post("/users", content=b"a=%ff", headers=kind).status_code == 400
    assert admin.http.post("/users", content=b"role=a&role=b", headers=kind).status_code == 400
    assert admin.http.post("/users", content=b"unknown=1", headers=kind).status_code == 400


@pytest.mark.parametrize("path", ["/keys/x/revoke", f"/keys/{user_id('x')}/revoke", f"/users/{user_id('x')}/remove"])
def test_what_is_not_there_is_not_changed(admin: Visitor, path: str) -> None:
    assert admin.post(path, "/users").status_code == 404


def test_it_works_on_either_database(filled: str, serve: Serve, arrive: Arrive) -> None:
    local = arrive(serve())
    assert local.post("/users", "/users", username="eve", role="user").status_code == 303
    assert made_key(local.post("/keys", "/keys", user=user_id("eve"), days="").text)
