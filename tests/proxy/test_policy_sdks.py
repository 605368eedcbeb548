"""What a person sees of a refusal: the error that each official SDK makes of it, without a second try."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anthropic
import boto3
import botocore.exceptions
import ollama
import openai
import pytest
from google import genai
from google.genai import errors as google_errors
from google.oauth2.credentials import Credentials
from mistralai.client import Mistral

from tests.proxy.mitmdump import Mitmdump
from tests.proxy.upstream import Upstream

WORDS = "Ask the platform team, Gr\u00fc\u00dfe."
KEY = "not-a-real-key-0123456789"
MESSAGES: Any = [{"role": "user", "content": "Say hi"}]
CLAUDE: Any = {"model": "claude-test-1", "max_tokens": 64, "messages": MESSAGES}


@pytest.fixture(scope="module")
def _refusing(tmp_path_factory: pytest.TempPathFactory, confdir: Path, _provider: Upstream) -> Iterator[Mitmdump]:
    folder = tmp_path_factory.mktemp("refusing")
    file = folder / "aitap.toml"
    file.write_text(f'policy = "enforce"\n[[rule]]\naction = "deny"\nmodels = "*-*"\nmessage = "{WORDS}"\n', "utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AITAP_CONFIG", str(file))
        found = Mitmdump(folder, confdir, _provider)
    yield found
    found.stop()


@pytest.fixture
def proxy(_refusing: Mitmdump, upstream: Upstream, monkeypatch: pytest.MonkeyPatch) -> Mitmdump:
    """A proxy that refuses every model, by its name."""
    _refusing.forget()
    monkeypatch.setenv("HTTPS_PROXY", _refusing.url)
    for name in ("SSL_CERT_FILE", "AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE"):
        monkeypatch.setenv(name, str(_refusing.certificate))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    return _refusing


def message() -> Any:
    return anthropic.Anthropic(api_key=KEY).messages.create(**CLAUDE)


def message_stream() -> Any:
    with anthropic.Anthropic(api_key=KEY).messages.stream(**CLAUDE) as stream:
        return stream.get_final_message()


def count_tokens() -> Any:
    return anthropic.Anthropic(api_key=KEY).messages.count_tokens(model="claude-test-1", messages=MESSAGES)


def anthropic_bedrock() -> Any:
    made = anthropic.AnthropicBedrock(aws_access_key="AKIA", aws_secret_key=KEY, aws_region="eu-west-1")
    return made.messages.create(**CLAUDE)


def anthropic_vertex() -> Any:
    made = anthropic.AnthropicVertex(access_token=KEY, project_id="p", region="europe-west4")
    return made.messages.create(**CLAUDE)


def chat() -> Any:
    return openai.OpenAI(api_key=KEY).chat.completions.create(model="gpt-test-1", messages=MESSAGES)


def chat_stream() -> Any:
    return list(openai.OpenAI(api_key=KEY).chat.completions.create(model="gpt-1", messages=MESSAGES, stream=True))


def response() -> Any:
    return openai.OpenAI(api_key=KEY).responses.create(model="gpt-test-1", input="Say hi")


def response_stream() -> Any:
    with openai.OpenAI(api_key=KEY).responses.stream(model="gpt-test-1", input="Say hi") as stream:
        return stream.get_final_response()


def azure() -> Any:
    made = openai.AzureOpenAI(api_key=KEY, azure_endpoint="https://our.openai.azure.com", api_version="2025-01-01")
    return made.chat.completions.create(model="our-gpt", messages=MESSAGES)


def gemini() -> Any:
    made = genai.Client(api_key=KEY)
    return made.models.generate_content(model="gemini-1", contents="Say hi")


def gemini_stream() -> Any:
    made = genai.Client(api_key=KEY)
    return list(made.models.generate_content_stream(model="gemini-1", contents="Say hi"))


def vertex() -> Any:
    made = genai.Client(vertexai=True, project="p", location="europe-west4", credentials=Credentials(token=KEY))
    return made.models.generate_content(model="gemini-1", contents="Say hi")


def _bedrock() -> Any:
    return boto3.client("bedrock-runtime", region_name="eu-west-1", aws_access_key_id="AKIA", aws_secret_access_key=KEY)


def converse() -> Any:
    return _bedrock().converse(modelId="eu.a-1", messages=[{"role": "user", "content": [{"text": "Say hi"}]}])


def invoke_stream() -> Any:
    return _bedrock().invoke_model_with_response_stream(modelId="eu.a-1", body=json.dumps({"prompt": "Say hi"}))


def llama() -> Any:
    return ollama.Client("https://ollama.com").chat(model="llama-1", messages=MESSAGES)


def mistral() -> Any:
    return Mistral(api_key=KEY).chat.complete(model="mistral-1", messages=MESSAGES)


def _status(error: Any) -> int:
    if isinstance(error, botocore.exceptions.ClientError):
        assert error.response["Error"]["Code"] == "AccessDeniedException"
        assert error.response["ResponseMetadata"]["RetryAttempts"] == 0
        return int(error.response["ResponseMetadata"]["HTTPStatusCode"])
    return int(error.code if isinstance(error, google_errors.APIError) else error.status_code)


@pytest.mark.parametrize(
    ("program", "kind"),
    [
        *((each, anthropic.PermissionDeniedError) for each in (message, message_stream, count_tokens)),
        *((each, anthropic.PermissionDeniedError) for each in (anthropic_bedrock, anthropic_vertex)),
        *((each, openai.PermissionDeniedError) for each in (chat, chat_stream, response, response_stream, azure)),
        *((each, google_errors.ClientError) for each in (gemini, gemini_stream, vertex)),
        *((each, botocore.exceptions.ClientError) for each in (converse, invoke_stream)),
        (llama, ollama.ResponseError),
        (mistral, Exception),
    ],
    ids=lambda value: value.__name__,
)
def test_an_sdk_raises_its_error_for_forbidden_with_our_words_at_the_first_try(
    program: Callable[[], Any], kind: type[Exception], proxy: Mitmdump, upstream: Upstream
) -> None:
    with pytest.raises(kind) as caught:
        program()
    assert _status(caught.value) == 403
    assert WORDS in str(caught.value) or WORDS in str(caught.value.__dict__)
    assert upstream.exchanges == []
    record = proxy.record()
    assert (record["outcome"], record["status_code"], record["error_type"]) == ("failed", 403, "unauthorized")
    assert record["error_message"] == WORDS
    assert record["metadata"]["policy"] == {"action": "deny", "rule": 1, "mode": "enforce"}
    assert [each for each in proxy.all_records() if each["ended_at"] is None] == []
