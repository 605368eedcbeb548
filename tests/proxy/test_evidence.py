"""What a real proxy records with ``tamper_evidence`` is chained, signed and verified while it runs."""

from __future__ import annotations

import json
import os
import sqlite3
import stat
from collections.abc import Callable

import pytest

from tests.proxy.client import ANTHROPIC, exchange
from tests.proxy.mitmdump import Mitmdump, aitap
from tests.proxy.upstream import Upstream, answer
from tests.proxy.wire import MESSAGES, ask_messages, message_json


def test_a_chain_is_verified_beside_the_proxy_and_after_it(
    start_proxy: Callable[..., Mitmdump], upstream: Upstream
) -> None:
    """A call whose tool's result comes with the next; then somebody changes what was said."""
    proxy = start_proxy(arguments=("--set", "aitap_tamper_evidence=true"))
    environment = {"AITAP_DATABASE_URL": proxy.database_url}
    verify = ("verify", "--confdir", str(proxy.confdir))
    upstream.serve(answer(message_json("msg_1", call=("toolu_1", "Bash", {"command": "ls"}))))
    assert exchange(proxy, ANTHROPIC, MESSAGES, ask_messages("Look"))[0] == 200
    proxy.record()
    upstream.serve(answer(message_json("msg_2", text="Done")))
    result = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "a.txt"}
    asked = json.loads(ask_messages("Look"))
    asked["messages"].append({"role": "user", "content": [result]})
    assert exchange(proxy, ANTHROPIC, MESSAGES, json.dumps(asked).encode())[0] == 200
    proxy.record()
    beside = aitap(*verify, **environment)
    assert beside.returncode == 0, beside.stderr
    assert json.loads(beside.stdout)["interceptions"] == 2
    assert proxy.stop() == 0
    assert "Traceback" not in proxy.said()
    with sqlite3.connect(proxy.database) as connection:
        assert connection.execute("SELECT result_status FROM aibridge_tool_usages").fetchall() == [("ok",)]
    assert aitap(*verify, **environment).returncode == 0
    with connection:
        connection.execute("UPDATE aibridge_user_prompts SET prompt = 'Look away'")
    connection.close()
    changed = aitap(*verify, **environment)
    assert changed.returncode == 1
    assert json.loads(changed.stdout)["problems"][0]["kind"] == "changed"
    key = proxy.confdir / "aitap-evidence.pem"
    if os.name == "posix":
        assert stat.S_IMODE(key.stat().st_mode) == 0o600


@pytest.mark.skipif(os.name != "posix", reason="permissions are POSIX's")
def test_a_key_that_cannot_be_read_keeps_the_proxy_from_starting(start_proxy: Callable[..., Mitmdump]) -> None:
    with pytest.raises(AssertionError, match="holds no unencrypted Ed25519 key"):
        start_proxy(arguments=("--set", "aitap_tamper_evidence=true", "--set", "aitap_tamper_evidence_key=/dev/null"))
