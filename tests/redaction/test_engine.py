"""What rules describe is found wherever it stands in a text, and nothing else of the text changes."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aitap.redaction.engine import Counts, Engine
from aitap.redaction.rows import Rule, chosen_rules
from tests.redaction.planted import EXAMPLES, SECRETS

ENGINE = Engine(chosen_rules(("all",)))


def redacted(text: str) -> tuple[str, Counts]:
    counts: Counts = {}
    return ENGINE.text(text, counts), counts


@pytest.mark.parametrize(
    ("rule", "text", "secret"), EXAMPLES, ids=[f"{rule}-{i}" for i, (rule, *_) in enumerate(EXAMPLES)]
)
def test_json_within_json_is_searched_in_its_decoded_form(rule: str, text: str, secret: str) -> None:
    inner = json.dumps({"command": text, "n": [1, True, None]}, ensure_ascii=True)
    hidden = "".join(f"\\u{ord(char):04x}" for char in text)
    for outer, times in (
        (json.dumps({"path": "a.txt", "body": inner}), 1),
        (json.dumps([inner, {"deep": [json.dumps({"x": inner})]}]), 2),
        (f'{{"command": "{hidden}"}}', 1),
    ):
        kept, counts = redacted(outer)
        assert counts == {rule: times}
        plain = kept.encode().decode("unicode_escape").encode().decode("unicode_escape")
        assert secret not in kept
        assert secret not in plain
        json.loads(kept)


def test_only_what_goes_changes_in_json_text() -> None:
    text = '{ "a" : 1.50,  "b":"sk-ant-api03-9f8Zq3vK7rWm2TxLp6Yd", "a":"\\u00e9\\/", "n":4111111111111111 ,"c":[ ] }'
    kept, counts = redacted(text)
    assert kept == (
        '{ "a" : 1.50,  "b":"[redacted:anthropic_key]", "a":"\\u00e9\\/", "n":"[redacted:credit_card]" ,"c":[ ] }'
    )
    assert counts == {"anthropic_key": 1, "credit_card": 1}


def test_the_name_of_a_member_tells_that_its_text_is_a_secret() -> None:
    kept, counts = redacted(
        '{"user": "ann", "db_password": "x1y", "Token": "hello there", "tokens": "many", "pin": ""}'
    )
    assert json.loads(kept) == {
        "user": "ann",
        "db_password": "[redacted:assignment]",
        "Token": "[redacted:assignment]",
        "tokens": "many",
        "pin": "",
    }
    assert counts == {"assignment": 2}


def test_arguments_that_were_cut_off_are_searched_too() -> None:
    kept, counts = redacted('{"command": "export AWS=AKIAIOSFODNN7EXAMPLE\\nexport PASSWORD=hunter2x')
    assert kept == '{"command": "export AWS=[redacted:aws_access_key]\\nexport PASSWORD=[redacted:assignment]'
    assert counts == {"aws_access_key": 1, "assignment": 1}


@pytest.mark.parametrize("cut", ["\n", "\r\n", "\n    ", "\\n"])
def test_a_secret_that_a_line_break_divides_is_found(cut: str) -> None:
    for rule, text, secret in SECRETS:
        if rule in ("github_token", "anthropic_key", "stripe_key", "aws_access_key"):
            place = text.index(secret) + 3
            kept, counts = redacted(f"see {text[:place]}{cut}{text[place:]} and go on")
            assert counts == {rule: 1}
            assert kept.endswith(f"[redacted:{rule}] and go on")
            assert secret[3:] not in kept


def test_code_is_not_taken_for_json() -> None:
    code = '[x for x in "abc"]\n"""Docstring\nof two lines."""\n{"a": 1}\n'
    assert redacted(code) == (code, {})


parts = st.recursive(
    st.none() | st.booleans() | st.integers(-99, 99) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(parts, st.sampled_from(SECRETS), st.integers(0, 2), st.booleans())
def test_a_secret_anywhere_in_a_value_goes_and_the_rest_stays(
    value: Any, planted: tuple[str, str, str], depth: int, ascii_only: bool
) -> None:
    rule, text, secret = planted
    whole: Any = {"value": value, "planted": text}
    for _ in range(depth):
        whole = {"again": json.dumps(whole, ensure_ascii=ascii_only)}
    counts: Counts = {}
    kept = ENGINE.value(whole, counts)
    assert counts.get(rule, 0) >= 1
    for _ in range(depth):
        kept = json.loads(kept["again"])
    assert kept["value"] == value
    assert secret not in kept["planted"]


def test_ids_by_which_parts_are_known_again_stay() -> None:
    part = {"type": "tool_result", "id": "4111111111111111", "content": [{"type": "text", "text": "4111111111111111"}]}
    counts: Counts = {}
    assert ENGINE.value([part], counts) == [{**part, "content": [{"type": "text", "text": "[redacted:credit_card]"}]}]


def test_where_two_rules_find_the_same_all_of_it_goes() -> None:
    engine = Engine([Rule(name="a", pattern="bcd"), Rule(name="b", pattern="cdef"), Rule(name="c", pattern="x+")])
    counts: Counts = {}
    assert engine.text("abcdefg xx", counts) == "a[redacted:a]g [redacted:c]"
    assert counts == {"a": 1, "c": 1}


def test_replacements_are_a_label_stars_or_nothing() -> None:
    rules = [Rule(name=kind, pattern=kind[0] + r"\d+", replace=kind) for kind in ("label", "stars", "nothing")]
    assert Engine(rules).text("l12 s34 n56.", {}) == "[redacted:label] *** ."


SIZE = 30_000
HOSTILE = [
    *("a", "@", "a@", "a@a.", "4", "4 ", "4111-", "4111 1111 ", "+1 ", "+1", "(", "::", "a:", "1."),
    *("-----BEGIN PRIVATE KEY-----", "-----BEGIN ", "eyJ", "eyJaaaaaaaaa.", "://", "aa://b:", "password", "password="),
    *('password="', "sk-", "sk-aaaaaaa ", "AA00 ", "DE89 3704 ", "a\n", "\\n", '"', '"\\', "[", '{"a":', "bearer "),
    *(
        "secret_key",
        "curl ",
        "curl -u a",
        "SG.aaaaaaaaaaaaaaaaaaaa.",
        'password="aaaa bbb',
        "glpat-",
        "\\u0041",
        "_",
        "-",
        " ",
        "\n",
    ),
]


@pytest.mark.parametrize("unit", HOSTILE)
def test_no_text_takes_long(unit: str) -> None:
    # What begins like JSON and is none is searched in both ways.
    text = "{" + unit * (SIZE // len(unit))
    begun = time.process_time()
    redacted(text)
    # Some six times what the slowest takes; what grows with the square of the length takes far longer.
    assert time.process_time() - begun < 2.0
