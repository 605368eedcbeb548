"""The part of the lock that the image gets: all that runs, nothing that tests, every hash."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

CHECKOUT = Path(__file__).parents[2]


def lock(*roots: str) -> str:
    done = subprocess.run(
        [sys.executable, CHECKOUT / "deploy" / "runtime_lock.py", *roots], capture_output=True, text=True, check=True
    )
    return done.stdout


def names(text: str) -> set[str]:
    return set(re.findall(r"^([A-Za-z0-9._-]+)(?:\[.*?\])?==", text, re.MULTILINE))


def test_what_runs_is_there_and_what_tests_is_not() -> None:
    found = names(lock())
    assert found >= {"mitmproxy", "peewee", "msgspec", "click", "rich", "cryptography", "h2", "mitmproxy-rs"}
    assert found.isdisjoint({"pytest", "mypy", "ruff", "boto3", "openai", "anthropic", "hatchling", "pydantic"})


def test_every_line_is_of_the_lock_and_every_package_has_its_hashes() -> None:
    whole = CHECKOUT.joinpath("requirements.txt").read_text("utf-8")
    found = lock()
    assert all(line in whole for line in found.splitlines())
    for block in re.split(r"^(?=\S)", found, flags=re.MULTILINE)[1:]:
        assert "--hash=sha256:" in block


def test_both_lines_of_a_package_with_one_for_each_python_are_kept() -> None:
    assert len(re.findall(r"^mitmproxy==", lock(), re.MULTILINE)) == len(
        re.findall(r"^mitmproxy==", CHECKOUT.joinpath("requirements.txt").read_text("utf-8"), re.MULTILINE)
    )


def test_a_build_tool_comes_with_what_it_needs() -> None:
    assert names(lock("hatchling")) >= {"hatchling", "packaging", "pluggy"}


def test_extras_bring_what_they_name_and_what_that_needs() -> None:
    found = names(lock("--extra", "postgres,otel,server"))
    assert found >= names(lock())
    assert found >= {"psycopg", "psycopg-binary", "opentelemetry-sdk", "grpcio", "protobuf", "starlette", "uvicorn"}
    assert lock("--extra", "") == lock()


def test_a_name_that_the_lock_lacks_is_an_error() -> None:
    for words in (("no-such-package",), ("--extra", "no-such-extra")):
        done = subprocess.run(
            [sys.executable, CHECKOUT / "deploy" / "runtime_lock.py", *words],
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, done.stdout) == (1, "")
        assert words[-1] in done.stderr
