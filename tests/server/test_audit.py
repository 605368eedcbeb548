"""The audit over REST: for admins alone, with who did what to whom when from where."""

from __future__ import annotations

from typing import Any

import pytest

from aitap.access.identity import user_id
from aitap.storage.administration import acting
from aitap.storage.audit import Reader
from tests.export import sample
from tests.server.site import LISTS, Site

AUDIT = f"{LISTS}/audit"


@pytest.fixture
def audited(guarded: Site) -> Site:
    """Carol read of two people; dora made a key for bob."""
    guarded.list("sessions", guarded.user("carol", "auditor"))
    doer = Reader(user_id=user_id("dora"), api_key_id="k", address="10.0.0.9", path="/keys", query="")
    with guarded.database() as database, acting(database, doer) as act:
        act.note("key.create", sample.BOB, key="some id", expires_at=None)
        act.note("group.add", group="team")
    return guarded


def test_an_admin_sees_who_did_what(audited: Site) -> None:
    dora = audited.user("dora", "admin")
    lines = audited.list("audit", dora)["results"]
    assert [line["action"] for line in lines] == ["group.add", "key.create", None, None]
    made = lines[1]
    assert (made["reader"]["username"], made["address"], made["path"]) == ("dora", "10.0.0.9", "/keys")
    assert (made["subject"]["id"], made["detail"]) == (sample.BOB, {"key": "some id", "expires_at": None})
    assert lines[0]["subject"] is None
    assert lines[2]["reader"]["username"] == "carol"
    assert audited.get("/api/v2/aibridge/audit", dora).json == {"results": lines}


@pytest.mark.parametrize("role", ["user", "auditor"])
def test_nobody_else_does(audited: Site, role: Any) -> None:
    reply = audited.get(AUDIT, audited.user("eve", role))
    assert (reply.status, reply.json["message"]) == (403, "The audit is for admins.")
    assert audited.get(AUDIT).status == 401


def test_lines_are_chosen_and_paged(audited: Site) -> None:
    dora = audited.user("dora", "admin")
    whole = audited.list("audit", dora)["results"]
    paged: list[Any] = []
    while page := audited.list("audit", dora, limit=1, **({"after_id": paged[-1]["id"]} if paged else {}))["results"]:
        paged += page
    assert paged == whole
    for question, count in (
        ({"action": "read"}, 2),
        ({"action": "key"}, 1),
        ({"reader": "carol"}, 2),
        ({"reader": "me"}, 2),
        ({"subject": sample.BOB}, 2),
        ({"read_before": "1h"}, 0),
        ({"read_after": "1h"}, 4),
    ):
        assert len(audited.list("audit", dora, **question)["results"]) == count, question


@pytest.mark.parametrize(
    ("question", "field"),
    [
        ({"reader": "nobody"}, "reader"),
        ({"action": "x"}, "action"),
        ({"read_after": "soon"}, "read_after"),
        ({"limit": "0"}, None),
        ({"after_id": "x"}, None),
        ({"after_id": sample.BOB}, None),
        ({"offset": "1"}, "offset"),
        ({"limit": "9" * 30}, None),
    ],
)
def test_what_cannot_be_meant_is_a_400(audited: Site, question: dict[str, str], field: str | None) -> None:
    reply = audited.get(AUDIT, audited.user("dora", "admin"), **question)
    assert reply.status == 400
    assert [one["field"] for one in reply.json.get("validations", ())] == ([field] if field else [])
