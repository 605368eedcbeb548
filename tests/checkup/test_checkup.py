"""All checks at once: none hangs the others, none breaks them."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

from aitap.checkup.checkup import GROUPS, examine
from aitap.checkup.finding import Finding, ok
from aitap.checkup.situation import Situation
from tests.checkup.making import situation


def fine(_: Situation) -> Iterator[Finding]:
    yield ok("a.fine", "fine")


def broken(_: Situation) -> Iterator[Finding]:
    yield ok("a.first", "first")
    raise ValueError("http://alice:planted-secret@proxy")


def test_a_check_that_fails_hides_nothing_and_tells_no_secret(tmp_path: Path) -> None:
    found = examine(situation(tmp_path), {"this one": broken, "other": fine})
    assert [one.check for one in found["this one"]] == ["a.first", "one.failed"]
    assert found["other"] == [ok("a.fine", "fine")]
    assert "planted-secret" not in str(found)


def test_a_check_that_hangs_is_not_waited_for(tmp_path: Path) -> None:
    release = threading.Event()

    def hanging(_: Situation) -> Iterator[Finding]:
        yield ok("a.first", "first")
        release.wait(60)

    started = time.monotonic()
    found = examine(situation(tmp_path), {"hanging": hanging, "other": fine}, seconds=0.2)
    release.set()
    assert time.monotonic() - started < 5
    assert [one.status for one in found["hanging"]][-1] == "problem"
    assert found["other"] == [ok("a.fine", "fine")]


def test_a_look_at_everything_changes_no_file(tmp_path: Path) -> None:
    examine(situation(tmp_path / "conf", environ={}), {name: GROUPS[name] for name in GROUPS if name != "proxy"})
    assert list(tmp_path.iterdir()) == []
