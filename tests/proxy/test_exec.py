"""``aitap exec`` and a proxy that wants keys: real clients, set up by variables alone."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.proxy.mitmdump import Mitmdump, aitap, until
from tests.proxy.upstream import Upstream, answer
from tests.proxy.wire import chat_json

BODY = json.dumps({"model": "m", "messages": [{"role": "user", "content": "Say hi"}]})
URL = "https://api.openai.com/v1/chat/completions"
PYTHON = f"import urllib.request as u; u.urlopen(u.Request({URL!r}, {BODY!r}.encode())).read()"
# Node looks for a proxy by itself only from 22.21 on; fetch of plain Node is left to the SDK tests.
CLIENTS = {
    "curl": ["curl", "--silent", "--show-error", "--fail", "--json", BODY, URL],
    "python": [sys.executable, "-c", PYTHON],
}


@pytest.fixture
def guarded(start_proxy: Callable[..., Mitmdump], monkeypatch: pytest.MonkeyPatch) -> Mitmdump:
    """A proxy that wants keys."""
    monkeypatch.setenv("AITAP_AUTH", "required")
    return start_proxy()


@pytest.mark.parametrize("client", CLIENTS)
def test_a_client_that_exec_starts_gets_through_with_its_key_and_only_with_it(
    client: str, guarded: Mitmdump, upstream: Upstream, tmp_path: Path
) -> None:
    if shutil.which(CLIENTS[client][0]) is None:
        pytest.skip(f"needs {client}")
    upstream.serve(answer(chat_json("c1", text="Hi")))
    made = aitap("keys", "create", "--user", "alice", "--create-user", "--database-url", guarded.database_url, "--json")
    (tmp_path / "key").write_text(json.loads(made.stdout)["key"])
    common = ["exec", "--proxy", f"alice@127.0.0.1:{guarded.port}", "--confdir", str(guarded.confdir)]

    denied = aitap(*common, "--", *CLIENTS[client])
    assert denied.returncode != 0
    assert upstream.exchanges == []

    def through() -> bool:
        return aitap(*common, "--key-file", str(tmp_path / "key"), "--", *CLIENTS[client]).returncode == 0

    until(through, "the client with the new key")
    record = guarded.record()
    assert record["initiator"]["username"] == "alice"
    assert (record["model"], record["outcome"]) == ("m", "completed")
