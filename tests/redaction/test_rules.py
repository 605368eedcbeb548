"""Each built-in rule finds what it describes, and leaves what only looks like it."""

from __future__ import annotations

import pytest

from aitap.redaction.redactor import Redactor
from aitap.redaction.rows import builtin_rules, chosen_rules
from tests.redaction.planted import EXAMPLES

REDACTOR = Redactor(chosen_rules(("all", "ip_address")))


@pytest.mark.parametrize(
    ("rule", "text", "secret"), EXAMPLES, ids=[f"{rule}-{i}" for i, (rule, *_) in enumerate(EXAMPLES)]
)
def test_what_a_rule_describes_goes_and_is_counted(rule: str, text: str, secret: str) -> None:
    for words in (text, f"before\n{text}\nafter", f"({text})", f"“{text}”"):
        kept, counts = REDACTOR.text(words)
        assert secret not in kept
        assert counts == {rule: 1}
        assert f"[redacted:{rule}]" in kept
        assert REDACTOR.text(kept) == (kept, {}), "what stands there instead is nothing to remove"


def test_every_rule_has_an_example() -> None:
    assert {rule.name for rule in builtin_rules()} == {rule for rule, *_ in EXAMPLES} | {"ip_address"}


@pytest.mark.parametrize(
    "text",
    [
        "4111 1111 1111 1112",  # Luhn
        "1234567890123456789",
        "DE89 3704 0044 0532 0130 01",
        "git@github.com:someone/something.git",
        "npm install left-pad@1.3.0",
        "max_tokens: 100000, total_tokens=8192",
        "token = self.tokens.next_token()",
        "password: string",
        "password = os.environ['PASSWORD']",
        "PASSWORD=$DB_PASSWORD PASSWORD=${SECRET} password=<password> password=****",
        "https://example.com:8443/a/b@c",
        "postgres://user:${PASSWORD}@host/db",
        "class sk-loading-spinner-with-a-long-name",
        "12:30:45 and std::vector::iterator",
        "000-12-3456, 666-12-3456, 2026-11-20",
        "commit 9f8a7b6c5d4e3f2a1b0c9d8e7f6a5b4c3d2e1f0a",
        "bearer of bad news",
        "id 01a1fb28-85b9-7bd3-a78f-36736bbbc129 took 1732142339.123456 s",
        "127.0.0.1 ::1 0.0.0.0 1.2.3",
        "--- PASS: TestLogin1 (0.00s), pass: 412345, one-time-password abc1234, bypass=abc12345x",
        "use --password or --token $TOKEN1, --password <your-password1>, --password-stdin, --max-token 4096",
        "mysql -u root -p shop; docker run -p 8080:80 x; redis-cli -h host -p 6379",
        "<token>x</token> and login as root, password wanted",
        "design=abcdefghijklmnopqrstuvwxyz, Cookie policy: we use a=b",
        "toolu_01AbCdEfGhIjKlMnOpQrStUv call_9f8Zq3vK7rWm2TxLp6Yd",
    ],
)
def test_what_only_looks_like_it_stays(text: str) -> None:
    assert REDACTOR.text(text) == (text, {})


def test_addresses_of_machines_go_only_where_the_setting_names_them() -> None:
    text = "from 10.20.30.40 to 2001:db8::17"
    assert REDACTOR.text(text)[1] == {"ip_address": 2}
    assert Redactor(chosen_rules(("all",))).text(text) == (text, {})
