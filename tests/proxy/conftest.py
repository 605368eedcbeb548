"""One provider, one CA and one proxy for the whole run; a proxy of its own for a test that ends it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from mitmproxy.certs import CertStore

from tests.proxy.mitmdump import Mitmdump
from tests.proxy.upstream import Upstream


@pytest.fixture(scope="session")
def _provider(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Upstream]:
    provider = Upstream(tmp_path_factory.mktemp("upstream"))
    yield provider
    provider.close()


@pytest.fixture(scope="session")
def confdir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """mitmproxy's folder with mitmproxy's own CA, which signs for any host."""
    folder = tmp_path_factory.mktemp("confdir")
    CertStore.create_store(folder, "mitmproxy", 2048)
    return folder


@pytest.fixture(scope="session")
def _shared(tmp_path_factory: pytest.TempPathFactory, confdir: Path, _provider: Upstream) -> Iterator[Mitmdump]:
    proxy = Mitmdump(tmp_path_factory.mktemp("proxy"), confdir, _provider)
    yield proxy
    proxy.stop()


@pytest.fixture
def upstream(_provider: Upstream) -> Upstream:
    """The provider, without a memory of earlier tests."""
    _provider.forget()
    return _provider


@pytest.fixture
def proxy(_shared: Mitmdump, upstream: Upstream) -> Mitmdump:
    """The proxy that tests share; earlier records are left out."""
    _shared.forget()
    return _shared


@pytest.fixture(scope="session")
def _decrypting(tmp_path_factory: pytest.TempPathFactory, confdir: Path, _provider: Upstream) -> Iterator[Mitmdump]:
    folder = tmp_path_factory.mktemp("decrypting")
    proxy = Mitmdump(folder, confdir, _provider, arguments=("--set", "aitap_decrypt=all"))
    yield proxy
    proxy.stop()


@pytest.fixture
def decrypting(_decrypting: Mitmdump, upstream: Upstream) -> Mitmdump:
    """As :func:`proxy`, but it decrypts hosts that are in no table, too."""
    _decrypting.forget()
    return _decrypting


@pytest.fixture
def start_proxy(tmp_path: Path, confdir: Path, upstream: Upstream) -> Iterator[Callable[..., Mitmdump]]:
    """Start a proxy that this test may end as it likes: all on one database."""
    started: list[Mitmdump] = []

    def start(*scripts: str, **how: Any) -> Mitmdump:
        started.append(Mitmdump(tmp_path, confdir, upstream, *scripts, **how))
        return started[-1]

    yield start
    for proxy in started:
        proxy.stop()
