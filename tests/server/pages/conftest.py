"""A company's pages: with keys, and as on one's own machine; and visitors that come like a browser."""

from __future__ import annotations

import html
import re
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest

from aitap.access.identity import user_id
from aitap.storage.keys import create_key
from tests.server.pages import company
from tests.server.site import Site, served

STEPS = 2000


class Visitor:
    """Somebody with a browser that has no script."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.http = httpx.Client(
            base_url=f"http://127.0.0.1:{site.port}",
            trust_env=False,
            timeout=60,
            headers={"Accept": "text/html", "Sec-Fetch-Site": "same-origin"},
        )

    def get(self, path: str, status: int = 200, **query: Any) -> str:
        """The page, which must answer so."""
        address = path + ("&" if "?" in path else "?") + urlencode(query) if query else path
        answer = self.http.get(address)
        assert answer.status_code == status, answer.text
        return answer.text

    def token(self, path: str = "/") -> str:
        """The token of a form on this page."""
        found = re.search(r'name="token" value="([^"]+)"', self.get(path))
        assert found
        return found[1]

    def post(self, path: str, page: str = "/", token: str | None = None, **fields: str) -> httpx.Response:
        """Send a form that stands on ``page``."""
        return self.http.post(path, data={"token": self.token(page) if token is None else token, **fields})

    def sign_in(self, key: str, **fields: str) -> httpx.Response:
        return self.post("/login", "/login", key=key, **fields)

    def links(self, path: str, beginning: str, **query: Any) -> list[str]:
        """Addresses on this page that begin so, each once."""
        found = re.findall(r'href="([^"]*)"', self.get(path, **query))
        return list(dict.fromkeys(link for one in found if (link := html.unescape(one)).startswith(beginning)))


Arrive = Callable[[Site], Visitor]


@pytest.fixture(scope="session")
def keys() -> dict[str, str]:
    """Filled by ``guarded_company``: keys by name."""
    return {}


@pytest.fixture(scope="session")
def company_url(tmp_path_factory: pytest.TempPathFactory) -> str:
    url = f"sqlite:///{tmp_path_factory.mktemp('company')}/records.db"
    now = time.time()
    company.write(url, company.month(now, 9, 4), list(company.long_session(now - 3600, STEPS)), company.night(now))
    return url


@pytest.fixture(scope="session")
def guarded_company(company_url: str, keys: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """With keys, for tests that change nothing that others look at."""
    with served(company_url, tmp_path_factory.mktemp("confdir"), keys_needed=True) as site:
        keys |= {"dora": site.user("dora", "admin"), "audra": site.user("audra", "auditor")}
        with site.database() as database:
            keys |= {name: create_key(database, user_id(name))[0] for name in ("ann", "ben")}
        yield site


@pytest.fixture(scope="session")
def open_company(company_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Without keys, on the same records."""
    with served(company_url, tmp_path_factory.mktemp("confdir")) as site:
        yield site


@pytest.fixture
def arrive() -> Iterator[Arrive]:
    """Somebody comes to a site, with a browser of their own."""
    with ExitStack() as stack:

        def arrived(site: Site) -> Visitor:
            visitor = Visitor(site)
            stack.callback(visitor.http.close)
            return visitor

        yield arrived


@pytest.fixture
def local(open_company: Site, arrive: Arrive) -> Visitor:
    """The person whose machine it is."""
    return arrive(open_company)


@pytest.fixture
def enter(guarded_company: Site, keys: dict[str, str], arrive: Arrive) -> Callable[[str], Visitor]:
    """Somebody signs in."""

    def entered(name: str) -> Visitor:
        visitor = arrive(guarded_company)
        assert visitor.sign_in(keys[name]).status_code == 303
        return visitor

    return entered
