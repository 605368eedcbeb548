"""Credentials: told apart, masked, taken out."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aitap.capture.credentials import credential_of, mask, scrub, secrets_of

CORE = "9f8Zq3vK7rWm2TxLp6Yd"
JWT = f"eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiI{CORE}.sig_{CORE}"
SIGNED = f"AWS4-HMAC-SHA256 Credential=AKIA{CORE}/20261120/eu/bedrock/aws4_request, Signature={CORE}"


@pytest.mark.parametrize(
    ("secret", "hint"),
    [
        ("", ""),
        ("abcd", "..."),
        ("abcde", "a...e"),
        ("abcdefghi", "a...i"),
        ("abcdefghij", "ab...ij"),
        ("a" * 18 + "z", "aa...az"),
        ("sk-ant-api03-abcdefg", "sk-a...defg"),
    ],
)
def test_a_mask_shows_no_more_than_its_length_allows(secret: str, hint: str) -> None:
    assert mask(secret) == hint


@pytest.mark.parametrize(
    ("headers", "query", "kind", "hint"),
    [
        ({}, "", "centralized", ""),
        ({"x-api-key": " "}, "beta=true", "centralized", ""),
        ({"x-api-key": f"sk-ant-api03-{CORE}"}, "", "byok_api_key", "sk-a...p6Yd"),
        ({"authorization": f"Bearer sk-proj-{CORE}"}, "", "byok_api_key", "sk-p...p6Yd"),
        ({"authorization": f"Bearer sk-ant-oat01-{CORE}"}, "", "byok_subscription", "sk-a...p6Yd"),
        ({"authorization": f"Bearer {JWT}"}, "", "byok_subscription", "eyJh...p6Yd"),
        ({"authorization": f"Bearer gho_{CORE}"}, "", "byok_subscription", "gho_...p6Yd"),
        ({"authorization": f"Bearer ghu_{CORE}"}, "", "byok_subscription", "ghu_...p6Yd"),
        ({"authorization": f"token github_pat_{CORE}"}, "", "byok_subscription", "gith...p6Yd"),
        ({"authorization": f"Bearer tid={CORE};exp=1"}, "", "byok_subscription", "tid=...xp=1"),
        ({"authorization": f"Bearer ya29.{CORE}"}, "", "byok_subscription", "ya29...p6Yd"),
        ({"authorization": CORE}, "", "byok_api_key", "9f8Z...p6Yd"),
        ({"x-litellm-api-key": f"Bearer sk-{CORE}"}, "", "byok_api_key", "sk-9...p6Yd"),
        ({"authorization": SIGNED}, "", "byok_api_key", "AKIA...p6Yd"),
        ({"x-goog-api-key": f"AIza{CORE}"}, "", "byok_api_key", "AIza...p6Yd"),
        ({"api-key": CORE}, "", "byok_api_key", "9f8Z...p6Yd"),
        ({}, f"alt=sse&key=AIza{CORE}", "byok_api_key", "AIza...p6Yd"),
        ({}, f"access_token=auth_tokens/{CORE}", "byok_api_key", "auth...p6Yd"),  # Google, "Ephemeral tokens"
        ({"x-litellm-api-key": f"sk-{CORE}"}, "", "byok_api_key", "sk-9...p6Yd"),
        ({"cf-aig-authorization": f"Bearer {CORE}"}, "", "byok_api_key", "9f8Z...p6Yd"),
        (
            {"sec-websocket-protocol": f"realtime, openai-insecure-api-key.ek_{CORE}, openai-beta.realtime-v1"},
            *("", "byok_api_key", "ek_9...p6Yd"),
        ),
        ({"x-api-key": f"sk-{CORE}", "authorization": f"Bearer {JWT}"}, "", "byok_api_key", "sk-9...p6Yd"),
    ],
)
def test_kind_and_hint_of_a_credential(headers: dict[str, str], query: str, kind: str, hint: str) -> None:
    assert credential_of(headers, query) == (kind, hint)


@pytest.mark.parametrize(
    "name",
    [
        "x-api-key",
        "x-goog-api-key",
        "api-key",
        "authorization",
        "proxy-authorization",
        "cookie",
        "x-amz-security-token",
    ],
)
def test_every_secret_header_is_taken_out_of_texts(name: str) -> None:
    value = f"Basic {CORE}" if "authorization" in name else CORE
    secrets = secrets_of({name: value})
    assert CORE not in scrub(f"You sent {value}, that is {CORE}!", secrets)


@pytest.mark.parametrize("name", ["key", "api_key", "api-key", "token", "access_token", "X-Amz-Signature", "sig"])
def test_every_secret_parameter_is_taken_out_of_texts(name: str) -> None:
    secrets = secrets_of({}, f"alt=sse&{name}={CORE}")
    assert CORE not in scrub(f"bad value {CORE}", secrets)
    assert CORE not in scrub(f"see https://example.com/v1?alt=sse&{name}={CORE}")


def test_both_credentials_of_a_request_are_taken_out() -> None:
    secrets = secrets_of({"x-api-key": "first-secret", "authorization": "Bearer second-secret"})
    assert scrub("first-secret second-secret", secrets) == "fi...et se...et"


@pytest.mark.parametrize(
    "secret",
    [
        f"sk-proj-{CORE}",
        f"sk-ant-api03-{CORE}",
        f"gsk_{CORE}",
        f"xai-{CORE}",
        f"AIza{CORE}tail",
        f"ghp_{CORE}",
        f"github_pat_{CORE}",
        "AKIA9F8ZQ3VK7RWM2TXL",
        f"ya29.{CORE}",
        JWT,
        f"Bearer {CORE}",
        f"bearer {base64.b64encode(CORE.encode()).decode()}",
    ],
)
def test_what_looks_like_a_secret_is_masked_also_where_nobody_sent_it(secret: str) -> None:
    core = secret.partition(" ")[2] or secret
    scrubbed = scrub(f"Incorrect API key provided: {secret}. See https://example.com.")
    assert core not in scrubbed
    assert core[6:-6] not in scrubbed
    assert scrubbed.startswith("Incorrect API key provided: ")
    assert "See https://example.com." in scrubbed


def test_a_hint_of_the_provider_stays() -> None:
    words = "Incorrect API key provided: sk-proj-********************tail."
    assert scrub(words) == words


@pytest.mark.parametrize("words", ["", "max_tokens: required", "api_error", "key: value", "sk-short", "Bearer token"])
def test_words_without_a_secret_stay_as_they_are(words: str) -> None:
    assert scrub(words) == words


@given(st.text(min_size=8, max_size=60).map(str.strip).filter(lambda text: len(text) >= 8), st.text(), st.text())
def test_a_secret_that_was_sent_is_never_repeated(secret: str, before: str, after: str) -> None:
    secrets = secrets_of({"x-api-key": secret})
    assert secret not in scrub(before + secret + after, secrets).replace(mask(secret), "")


@given(st.dictionaries(st.sampled_from(["x-api-key", "authorization", "cookie"]), st.text()), st.text(), st.text())
def test_any_header_query_and_text_is_answered(headers: dict[str, str], query: str, words: str) -> None:
    kind, hint = credential_of(headers, query)
    assert kind in ("centralized", "byok_api_key", "byok_subscription")
    assert len(hint) <= 11
    assert isinstance(scrub(words, secrets_of(headers, query)), str)


@pytest.mark.parametrize(
    "headers",
    [
        {"cf-aig-authorization": f"Bearer {CORE}"},
        {"x-portkey-api-key": CORE},
        {"x-portkey-virtual-key": CORE},
        {"sec-websocket-protocol": f"realtime, xai-client-secret.{CORE}"},
    ],
)
def test_what_gateways_and_browsers_authenticate_by_is_not_repeated(headers: dict[str, str]) -> None:
    assert CORE not in scrub(f"unknown key {CORE}", secrets_of(headers))
