"""A database with the sample in it, and the command line run in this process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner, Result

from aitap.export.cli import main
from aitap.record import Interception
from tests.export import sample

Invoke = Callable[..., Result]


class Written(msgspec.Struct, frozen=True):
    """A database and what was written to it."""

    url: str
    records: list[Interception]


@pytest.fixture(scope="session")
def written(tmp_path_factory: pytest.TempPathFactory) -> Written:
    found = Written(f"sqlite:///{tmp_path_factory.mktemp('sample')}/records.db", sample.sample())
    sample.write(found.url, found.records)
    return found


@pytest.fixture
def invoke(written: Written, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Invoke:
    """``aitap ARGS`` on the sample; asserts the exit status and that a failure is one line."""
    monkeypatch.setenv("AITAP_DATABASE_URL", written.url)
    monkeypatch.chdir(tmp_path)

    def run(*args: str, status: int = 0) -> Result:
        result = CliRunner().invoke(main, list(args))
        assert result.exit_code == status, result.output
        if status:
            assert result.stderr.startswith("aitap: ")
            assert result.stderr.count("\n") == 1
        return result

    return run
