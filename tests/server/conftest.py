"""A server on the sample's records: on an SQLite file, and the same again on a real PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests import postgres
from tests.export import sample
from tests.server.site import Site, served

Serve = Callable[..., Site]


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A database of its own."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/records.db"
    else:
        url = postgres.fresh()
        yield url
        postgres.drop(url)


@pytest.fixture
def serve(url: str, tmp_path: Path) -> Iterator[Serve]:
    """Starts a server on what is in the database of ``url``."""
    with ExitStack() as stack:
        yield lambda *, keys_needed=False: stack.enter_context(served(url, tmp_path, keys_needed=keys_needed))


@pytest.fixture
def filled(url: str) -> str:
    """The database with the sample in it."""
    sample.write(url, sample.sample())
    return url


@pytest.fixture
def site(filled: str, serve: Serve) -> Site:
    """Without keys, as on one's own machine."""
    return serve()


@pytest.fixture
def guarded(filled: str, serve: Serve) -> Site:
    """With keys."""
    return serve(keys_needed=True)


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The same on an SQLite file, for tests that change nothing."""
    folder = tmp_path_factory.mktemp("shared")
    url = f"sqlite:///{folder}/records.db"
    sample.write(url, sample.sample())
    with served(url, folder) as site:
        yield site
