"""``aitap serve``: from the command line to an answer, and to an end without a word."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.export.conftest import Invoke, Written

pytestmark = pytest.mark.skipif(os.name != "posix", reason="stops it with a signal")


class Served:
    """A running ``aitap serve`` and what it has said."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        assert process.stdout is not None
        self.said: dict[str, str] = {}
        for line in process.stdout:
            label, _, value = line.strip().partition(" ")
            self.said[label] = value.strip()
            if label == "try":
                break

    def get(self, path: str, key: str | None = None) -> tuple[int, Any]:
        headers = {"Coder-Session-Token": key} if key else {}
        request = urllib.request.Request(self.said["listens"].partition(" ")[2].strip() + path, headers=headers)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=30) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.load(error)

    def stop(self, number: int) -> tuple[int, str]:
        """Its exit status and what it wrote to stderr."""
        self.process.send_signal(number)
        _, told = self.process.communicate(timeout=30)
        return self.process.returncode, told


@contextlib.contextmanager
def serving(url: str, *args: str, **environ: str) -> Iterator[Served]:
    process = subprocess.Popen(
        [sys.executable, "-m", "aitap", "serve", "--port", "0", *args],
        env=os.environ | {"AITAP_DATABASE_URL": url} | environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    timer = threading.Timer(60, process.kill)
    timer.start()
    try:
        with process:
            yield Served(process)
            process.kill()
    finally:
        timer.cancel()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_answers_until_it_is_stopped_and_says_nothing_then(written: Written, number: int) -> None:
    with serving(written.url) as served:
        status, found = served.get("/api/v2/aibridge/interceptions?q=initiator:me")
        assert (status, found["count"]) == (200, 11)
        assert served.said["records"] == written.url
        assert served.stop(number) == (0, "")


def test_where_keys_are_required_it_says_how_to_make_one(written: Written, tmp_path: Path) -> None:
    with serving(written.url, AITAP_AUTH="required") as served:
        assert "aitap keys create" in served.said["who"]
        assert served.get("/api/v2/ai-gateway/sessions")[0] == 401
        assert served.get("/healthz") == (200, {"status": "ok"})


def test_on_another_address_everybody_needs_a_key(written: Written) -> None:
    with serving(written.url, "--host", "0.0.0.0") as served:
        where, _, more = served.said["listens"].partition(",")
        assert where.startswith("on  http://127.0.0.1:")
        assert more == " and every other address of this machine"
        assert served.said["try"].startswith("curl -H 'Coder-Session-Token: KEY' 'http://127.0.0.1:")
        served.said["listens"] = where
        assert served.get("/api/v2/ai-gateway/sessions")[0] == 401


def test_no_keys_on_another_address_is_refused(invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AITAP_AUTH", "none")
    assert "auth = none would show all records" in invoke("serve", "--host", "0.0.0.0", "--port", "0", status=1).stderr


def test_a_port_that_is_taken_is_one_line(invoke: Invoke) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        told = invoke("serve", "--port", str(taken.getsockname()[1]), status=1).stderr
    assert "choose another with --port" in told


def test_a_database_that_is_not_there_is_one_line(invoke: Invoke, tmp_path: Path) -> None:
    told = invoke("serve", "--port", "0", "--database-url", f"sqlite:///{tmp_path}/none.db", status=1).stderr
    assert "start the proxy with `aitap run` first" in told


def test_without_its_packages_it_says_what_to_install(invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert "pip install 'aitap[server]'" in invoke("serve", status=1).stderr


def test_no_other_command_loads_the_server(written: Written) -> None:
    code = (
        "import sys; from aitap.export.cli import main\n"
        "try: main(['sessions', 'list'])\n"
        "except SystemExit: pass\n"
        "sys.exit(any(name.split('.')[0] in ('starlette', 'uvicorn') for name in sys.modules))"
    )
    environ = os.environ | {"AITAP_DATABASE_URL": written.url}
    assert subprocess.run([sys.executable, "-c", code], env=environ, capture_output=True, check=False).returncode == 0
