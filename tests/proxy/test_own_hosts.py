"""A user's own hosts in ``aitap.toml``, through a real proxy."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import openai
import pytest

from tests.proxy.mitmdump import Mitmdump
from tests.proxy.upstream import Upstream, answer
from tests.proxy.wire import chat_json

ROW = '[[provider]]\nname = "our-vllm"\ntype = "openai"\nhosts = ["llm.example.com"]\nroutes = "compatible"\n'


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "aitap.toml"
    monkeypatch.setenv("AITAP_CONFIG", str(path))
    return path


def test_a_users_own_host_is_recorded_without_code(
    file: Path, start_proxy: Callable[..., Mitmdump], upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.write_text(ROW)
    proxy = start_proxy()
    monkeypatch.setenv("HTTPS_PROXY", proxy.url)
    monkeypatch.setenv("SSL_CERT_FILE", str(proxy.certificate))
    upstream.serve(answer(chat_json("c1", text="Hi")))
    client = openai.OpenAI(api_key="not-a-real-key-0123456789", base_url="https://llm.example.com/serve/v1")

    client.chat.completions.create(model="own-model", messages=[{"role": "user", "content": "Say hi"}])

    record = proxy.record()
    assert (record["provider"], record["provider_name"]) == ("openai", "our-vllm")
    assert (record["host"], record["path"]) == ("llm.example.com", "/serve/v1/chat/completions")
    assert (record["outcome"], record["model"]) == ("completed", "own-model")


def test_a_proxy_with_a_row_that_is_wrong_does_not_come_up_and_says_which(
    file: Path, start_proxy: Callable[..., Mitmdump]
) -> None:
    file.write_text(ROW.replace("compatible", "compatibel"))
    with pytest.raises(AssertionError) as caught:
        start_proxy()
    problem = f"aitap: {file}: provider 'our-vllm': unknown routes 'compatibel', did you mean 'compatible'?"
    assert "the proxy ended" in str(caught.value)
    assert problem in str(caught.value)
