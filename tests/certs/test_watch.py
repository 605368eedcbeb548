"""A proxy that runs for months looks after its CA by itself."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from mitmproxy import certs
from mitmproxy.test import taddons

from aitap.certs.authority import ROOT, SIGNING
from aitap.certs.confdir import write_key
from aitap.certs.issue import make_intermediate
from aitap.certs.own_ca import create, signing_chain
from aitap.certs.permitted import decrypted_hosts, permitted_names
from aitap.certs.watch import CertificateWatch

BUILT_IN = permitted_names(decrypted_hosts())


class Loop:
    """An event loop that waits for nothing; ``waiting`` is what it was asked to do later."""

    def __init__(self) -> None:
        self.waiting: list[tuple[float, Callable[[], None]]] = []
        self.held: list[Callable[[], None]] | None = None

    def call_later(self, seconds: float, callback: Callable[[], None]) -> SimpleNamespace:
        entry = (seconds, callback)
        self.waiting.append(entry)
        return SimpleNamespace(cancel=lambda: entry in self.waiting and self.waiting.remove(entry))

    def run_in_executor(self, _: None, work: Callable[[], Any]) -> SimpleNamespace:
        def done(callback: Callable[[Any], None]) -> None:
            def run() -> None:
                result = work()
                callback(SimpleNamespace(exception=lambda: None, result=lambda: result))

            run() if self.held is None else self.held.append(run)

        return SimpleNamespace(add_done_callback=done)

    def pass_time(self) -> float:
        seconds, callback = self.waiting.pop()
        callback()
        return seconds


@pytest.fixture
def loop() -> Loop:
    return Loop()


@pytest.fixture
def startup(loop: Loop) -> Any:
    settings = SimpleNamespace(providers=(), decrypt="providers")
    return SimpleNamespace(settings=settings, directory=SimpleNamespace(host_modes={}, on_change=[]), loop=loop)


@pytest.fixture
def watch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[CertificateWatch]:
    monkeypatch.setattr(certs, "CERT_EXPIRY", certs.CERT_EXPIRY)
    create(tmp_path, BUILT_IN)
    watch = CertificateWatch()
    with taddons.context(watch) as context:
        context.options.confdir = str(tmp_path)
        yield watch


def grow_old(confdir: Path, left: timedelta) -> None:
    text = (confdir / ROOT).read_bytes()
    root, root_key = x509.load_pem_x509_certificate(text), load_pem_private_key(text, None)
    made = datetime.now(UTC) - timedelta(days=365) + left
    key, old = make_intermediate(root_key, root, BUILT_IN, made)  # type: ignore[arg-type]
    write_key(confdir / SIGNING, key, [old, root])


def test_it_looks_every_hour_and_renews_when_it_is_time(
    watch: CertificateWatch, startup: Any, loop: Loop, tmp_path: Path
) -> None:
    watch.start(startup)
    before = signing_chain(tmp_path)
    assert loop.pass_time() == 3600
    assert signing_chain(tmp_path) == before
    grow_old(tmp_path, timedelta(days=59))
    loop.pass_time()
    after = signing_chain(tmp_path)
    assert after[0].not_valid_after_utc - datetime.now(UTC) > timedelta(days=364)
    assert after[1] == before[1]
    assert len(loop.waiting) == 1


def test_changes_while_it_looks_are_looked_at_once_and_afterwards(
    watch: CertificateWatch, startup: Any, loop: Loop, tmp_path: Path
) -> None:
    watch.start(startup)
    (changed,) = startup.directory.on_change
    loop.held = []
    for _ in range(5):
        changed()
    assert len(loop.held) == 1
    startup.directory.host_modes = {"gateway.example.com": "decrypt"}
    first, loop.held = loop.held[0], None
    first()
    assert permitted_names(["gateway.example.com"]).dns[0] in str(signing_chain(tmp_path)[0].extensions)
    assert len(loop.waiting) == 1


def test_what_is_wrong_is_said_once(
    watch: CertificateWatch, startup: Any, loop: Loop, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / ROOT).unlink()
    startup.directory.host_modes = {"gateway.example.com": "decrypt"}
    with caplog.at_level(logging.WARNING):
        watch.start(startup)
        loop.pass_time()
        loop.pass_time()
    said = [record.getMessage() for record in caplog.records if "should be renewed" in record.getMessage()]
    assert len(said) == 1
    assert "put it back" in said[0]


def test_a_pattern_that_no_ca_can_be_held_to_is_named(
    watch: CertificateWatch, startup: Any, caplog: pytest.LogCaptureFixture
) -> None:
    startup.directory.host_modes = {"llm*": "decrypt"}
    with caplog.at_level(logging.WARNING):
        watch.start(startup)
    assert "cannot be made to sign for llm* alone" in caplog.text


def test_it_ends_with_the_proxy(watch: CertificateWatch, startup: Any, loop: Loop) -> None:
    watch.start(startup)
    watch.stop()
    assert loop.waiting == []
    startup.directory.on_change[0]()
    assert loop.waiting == []
