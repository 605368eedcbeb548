"""What clients, models and addresses say is text on every page, whatever it says."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Iterator, Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import msgspec
import pytest

from aitap.access.identity import user_id
from aitap.export import human
from aitap.record import HostSeen, Interception, ModelThought, ToolUsage, UserPrompt
from aitap.storage.database import open_database
from aitap.storage.users import add_user
from aitap.storage.writer import Writer
from tests.server.pages import company
from tests.server.pages.conftest import Arrive, Visitor
from tests.server.site import Site, served

EVIL = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "javascript:alert(1)",
    "{{ 7 * 7 }}{% raw %}",
    "</textarea></pre></title><svg onload=alert(1)>",
    "'; DROP TABLE users; --",
    "../../../../etc/passwd",
    "a\u202eb\x1b[31m\x07",
    "%00%0d%0aSet-Cookie: a=b",
)


class _Elements(HTMLParser):
    """What a browser would make of a page that it must not."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "script" and not (given.get("src") or "").startswith("/static/"):
            self.found.append("script")
        self.found += [f"{tag} {name}" for name in given if name.startswith("on") or name == "style"]
        for name in ("href", "src", "action", "formaction", "xlink:href"):
            if (address := given.get(name)) and (address[:1] not in ("/", "#") or address.startswith(("//", "/\\"))):
                self.found.append(f"{tag} {name}={address}")
        if tag == "img" and not (given.get("src") or "").startswith("/static/"):
            self.found.append("img")

    def handle_data(self, data: str) -> None:
        # A value of an option is what is asked for; what is seen is its text.
        self.found += [repr(char) for char in data if char in "\u202e\x1b\x07"]


def dangers(page: str) -> list[str]:
    elements = _Elements()
    elements.feed(page)
    return elements.found


def evil_records(now: float, texts: Sequence[str] = EVIL) -> list[Interception]:
    """Each of these texts wherever a client or a model chooses the text."""
    records = []
    for number, text in enumerate(texts):
        chain = company._Chain()
        asked = chain.say("user", now, {"type": "text", "text": text}, {"type": text, "x": text})
        answered = chain.say("assistant", now, {"type": "tool_call", "id": text, "name": text, "input": {text: text}})
        clean = text.replace("\0", "")
        call: dict[str, Any] = {"provider_response_id": clean, "created_at": now}
        plain = company._call("ann", "Codex", clean, f"{clean}/{number}", now - 60 * number, 1.0)
        records.append(
            msgspec.structs.replace(
                plain,
                client=clean,
                client_version=clean,
                user_agent=clean,
                path=f"/{clean}",
                host=clean,
                provider_name=clean,
                error_type="unknown",
                error_message=clean,
                stop_reason=clean,
                metadata={"agent": clean, clean: clean} if number % 2 else {clean: {clean: clean}},
                provider_request_id=clean,
                capture="full",
                contents=list(chain.all),
                request_digest=asked,
                response_digest=answered,
                user_prompts=[UserPrompt(prompt=clean, metadata={clean: clean}, **call)],
                tool_usages=[
                    ToolUsage(tool=clean, input=clean, server_url=clean, invocation_error=clean, **call),
                    ToolUsage(tool="x", input=msgspec.json.encode({"command": clean}).decode("utf-8"), **call),
                ],
                model_thoughts=[ModelThought(content=clean, metadata={"source": clean}, **call)],
            )
        )
    return records


@contextlib.contextmanager
def evil_site(folder: Path, texts: Sequence[str] = EVIL) -> Iterator[Site]:
    """Pages on records of these texts."""
    url = f"sqlite:///{folder}/records.db"
    database = open_database(url, migrate=True)
    add_user(database, user_id("ann"), "ann", name=EVIL[0], email=EVIL[1])
    writer = Writer(database, flush_interval=0.01)
    writer.start()
    for text in (*texts[:4], *texts[len(EVIL) :]):
        writer.seen(
            HostSeen(host=text, mode="tunnelled", initiator_id=user_id("ann"), client=text, at=time.time(), error=text)
        )
    for record in evil_records(time.time(), texts):
        assert writer.submit(record)
        assert writer.flush(60)
    assert writer.close()
    assert writer.stats.lost == 0
    database.close()
    with served(url, folder) as site:
        yield site


@pytest.fixture(scope="module")
def evil(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with evil_site(tmp_path_factory.mktemp("evil")) as site:
        yield site


@pytest.fixture
def visitor(evil: Any, arrive: Arrive) -> Visitor:
    return arrive(evil)


def test_no_text_becomes_markup_on_any_page(visitor: Visitor) -> None:
    pages = ["/", "/sessions", "/sessions?text=alert", "/usage?by=model&then=client", "/hosts", "/users", "/keys"]
    sessions = visitor.links("/sessions", "/session?")
    assert len(sessions) == len(EVIL)
    pages += sessions + [f"{one}&find=a" for one in sessions]
    pages += [step for one in sessions for step in visitor.links(one, "/interception/")]
    for path in pages:
        page = visitor.get(path)
        assert dangers(page) == [], path
        assert "49{" not in page
    assert any("&lt;script&gt;alert(1)&lt;/script&gt;" in visitor.get(path) for path in pages)


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/sessions", "text"),
        ("/sessions", "model"),
        ("/session", "id"),
        ("/usage", "by"),
        ("/", "client"),
        ("/login", "next"),
    ],
)
def test_no_query_becomes_markup_or_anything_but_a_value(visitor: Visitor, path: str, name: str) -> None:
    for text in EVIL:
        answer = visitor.http.get(path, params={name: text})
        assert answer.status_code in (200, 400, 404), text
        assert dangers(answer.text) == [], text
        assert "set-cookie" not in answer.headers or path == "/login"
    assert len(visitor.links("/sessions", "/session?")) == len(EVIL)


@pytest.mark.parametrize(
    "path",
    [
        "/static/..%2f..%2froutes.py",
        "/interception/..%2f..%2fx",
        "/static/%00",
        "/%2e%2e/etc/passwd",
        "/users/../keys/x",
    ],
)
def test_no_path_leads_out(visitor: Visitor, path: str) -> None:
    answer = visitor.http.get(path)
    assert answer.status_code == 404
    assert "root:" not in answer.text


def test_templates_escape_everything() -> None:
    folder = Path(__file__).parents[3] / "aitap" / "server" / "pages"
    templates = sorted((folder / "templates").glob("*.html"))
    assert len(templates) > 10
    for path in templates:
        assert not re.search(r"\|\s*safe\b|autoescape|<script>|Markup", path.read_text("utf-8")), path
    for path in sorted(folder.glob("*.py")):
        assert "Markup" not in path.read_text("utf-8"), path


def test_what_shows_nothing_leads_somewhere_all_the_same(tmp_path: Path, arrive: Arrive) -> None:
    """A model that a request does not name, a prompt of characters that have no shape: a link still has words."""
    with evil_site(tmp_path, ("\u200b", "\x07")) as site:
        with site.database() as database:
            nothing = "model = '', error_message = 'broken', error_type = NULL"
            database.execute_sql(f"UPDATE aibridge_interceptions SET {nothing} WHERE model = '\u200b'")
            database.execute_sql("UPDATE aitap_daily_usage SET model = '' WHERE model = '\u200b'")
            database.execute_sql("UPDATE aitap_daily_models SET model = '' WHERE model = '\u200b'")
        visitor = arrive(site)
        sessions = visitor.links("/sessions", "/session?")
        assert len(sessions) == 2
        for path in ("/", "/sessions", "/usage?by=model", "/hosts", *sessions):
            page = visitor.get(path)
            links = re.findall(r"<(a|h1|h2|summary)\b[^>]*>(.*?)</\1>", page, re.DOTALL)
            assert len(links) > 5
            empty = [text for _, text in links if not human.one_line(re.sub("<[^>]*>", "", text))]
            assert empty == [], path


def test_what_is_dangerous_would_be_found() -> None:
    assert dangers("<p onclick='x'>") == ["p onclick"]
    assert dangers('<script>1</script><a href="javascript:x">') == ["script", "a href=javascript:x"]
    assert dangers('<p title="<script>">') == []
