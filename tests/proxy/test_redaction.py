"""What redaction removes is nowhere afterwards: a real proxy, its database, log and exports, and saved traffic."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from aitap.export.cli import main
from tests.proxy.client import ANTHROPIC, exchange
from tests.proxy.mitmdump import Mitmdump
from tests.proxy.upstream import Upstream, answer, in_turn
from tests.proxy.wire import MESSAGES, ask_messages, message_sse

SECRET = "9f8Zq3vK7rWm2TxLp6Yd"
KEY = f"sk-ant-api03-{SECRET}"
CARD = "4111 1111 1111 1111"
CUSTOMER = "CUST-20261120"
WORDS = (SECRET, CARD, CUSTOMER)
EVENTS = "text/event-stream"


def test_what_is_redacted_is_found_nowhere_and_turns_still_find_each_other(
    start_proxy: Callable[..., Mitmdump], upstream: Upstream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "aitap.toml"
    config.write_text(
        'redact = "all"\n[[redaction]]\nname = "customer"\npattern = \'CUST-[0-9]{6,10}\'\nreplace = "stars"\n'
    )
    monkeypatch.setenv("AITAP_CONFIG", str(config))
    log, saved = tmp_path / "aitap.log", tmp_path / "saved.mitm"
    told = ("--set", "aitap_structured_logging=true", "--set", f"aitap_log_to={log}", "--set", "aitap_capture=full")
    proxy = start_proxy(arguments=(*told, "-w", str(saved)))
    call = ("toolu_1", "Bash", {"command": f"curl -u {CUSTOMER} --token {KEY}\n# {CARD}"})
    upstream.serve(
        in_turn(
            answer(message_sse("msg_1", thinking=f"the card is {CARD}", call=call, text=f"I take {KEY}"), EVENTS),
            answer(message_sse("msg_2", text=f"charged {CARD}"), EVENTS),
        )
    )
    exchange(proxy, ANTHROPIC, MESSAGES, ask_messages(f"bill {CUSTOMER} with {KEY}", stream=True))
    first = proxy.record()
    results = [{"type": "tool_result", "tool_use_id": "toolu_1", "content": f'{{"password": "{SECRET}"}}'}]
    again = json.loads(ask_messages("x", stream=True)) | {"messages": [{"role": "user", "content": results}]}
    exchange(proxy, ANTHROPIC, MESSAGES, json.dumps(again).encode())
    second = proxy.record()

    assert first["user_prompts"][0]["prompt"] == f"bill {'*' * len(CUSTOMER)} with [redacted:anthropic_key]"
    assert first["metadata"]["redacted"]["tool_usages.0.input"] == {
        "customer": 1,
        "anthropic_key": 1,
        "credit_card": 1,
    }
    assert second["thread_parent_id"] == first["id"]

    def said(database: str, *words: str) -> str:
        monkeypatch.setenv("AITAP_DATABASE_URL", database)
        result = CliRunner().invoke(main, list(words))
        assert result.exit_code == 0, result.output
        return result.output

    shown = {words[0]: said(proxy.database_url, *words) for words in (
        ("export", "--contents"), ("interceptions", "show", first["id"]), ("sessions", "list"),
    )}  # fmt: skip
    proxy.stop()
    assert SECRET.encode() in saved.read_bytes()
    other = f"sqlite:///{tmp_path}/other.db"
    monkeypatch.setenv("AITAP_CAPTURE", "full")
    assert said(other, "ingest", str(saved)).startswith("2 recorded")
    ingested = json.loads(said(other, "export", "--format", "json", "--contents"))
    assert next(record["user_prompts"] for record in ingested)[0]["prompt"] == first["user_prompts"][0]["prompt"]

    files = {path for folder in (proxy.folder, tmp_path) for path in folder.rglob("*") if path.is_file()}
    places = {path.name: path.read_bytes() for path in files - {saved, config}}
    places |= {words: text.encode() for words, text in shown.items()}
    assert {"aitap.log", "aitap.db", "other.db"} <= places.keys()
    assert [place for place, data in places.items() if any(word.encode() in data for word in WORDS)] == []
