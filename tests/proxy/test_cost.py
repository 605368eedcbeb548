"""What a call costs is known as soon as it is recorded, through a real proxy."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import openai
import pytest

from aitap.prices.book import builtin_book
from tests.proxy.mitmdump import Mitmdump, aitap
from tests.proxy.upstream import Upstream, answer
from tests.proxy.wire import chat_json

FILE = """
[[provider]]
name = "our-vllm"
type = "openai"
hosts = ["llm.example.com"]
routes = "compatible"

[[price]]
provider = "our-vllm"
input = 0.5
output = 2
"""


def test_list_prices_and_ones_own_are_written_with_the_record(
    start_proxy: Callable[..., Mitmdump], upstream: Upstream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A host of the book, one with a price of the user's, one with none; ``aitap usage`` tells the three apart."""
    file = tmp_path / "aitap.toml"
    file.write_text(FILE)
    monkeypatch.setenv("AITAP_CONFIG", str(file))
    proxy = start_proxy()
    monkeypatch.setenv("HTTPS_PROXY", proxy.url)
    monkeypatch.setenv("SSL_CERT_FILE", str(proxy.certificate))
    document = json.loads(chat_json("c1", text="Hi"))
    document["usage"] = {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100}
    for number, (base, model) in enumerate(
        (
            ("https://api.openai.com/v1", "gpt-5.5"),
            ("https://llm.example.com/v1", "own-model"),
            ("https://integrate.api.nvidia.com/v1", "nemotron"),
        ),
        1,
    ):
        document |= {"id": f"c{number}", "model": model}
        upstream.serve(answer(json.dumps(document).encode()))
        client = openai.OpenAI(api_key="not-a-real-key-0123456789", base_url=base)
        client.chat.completions.create(model=model, messages=[{"role": "user", "content": "Say hi"}])
    records = {record["model"]: record["token_usages"][0] for record in proxy.records(3)}
    # $5 and $30; $0.50 and $2.
    assert {model: usage["cost_micros"] for model, usage in records.items()} == {
        "gpt-5.5": 5_000 + 3_000,
        "own-model": 500 + 200,
        "nemotron": None,
    }
    assert all(usage["price_book"].startswith(builtin_book().version + "+") for usage in records.values())
    environment = {"AITAP_DATABASE_URL": proxy.database_url, "AITAP_CONFIG": str(file)}
    total = json.loads(aitap("usage", **environment).stdout)["total"]
    assert (total["cost_micros"], total["unpriced"], total["input_tokens"]) == (8_700, 1, 3_000)
    [row] = json.loads(aitap("usage", "--unpriced", **environment).stdout)
    assert (row["model"], row["reason"]) == ("nemotron", "no list price for this provider")
