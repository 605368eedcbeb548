"""The setting and the user's own rules are checked, and reach the recorder as they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from aitap.capture.recorder import RecorderSettings
from aitap.redaction.rows import OwnRule, OwnRuleError, builtin_rules, choice, chosen_rules, own_rules
from aitap.settings import SettingsError, load

SECRETS = {rule.name for rule in builtin_rules() if rule.set == "secrets"}
PERSONAL = {rule.name for rule in builtin_rules() if rule.set == "personal"}


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("off", set()),
        ("", set()),
        ("secrets", SECRETS),
        ("personal", PERSONAL),
        ("all", SECRETS | PERSONAL),
        ("Secrets, ip_address", SECRETS | {"ip_address"}),
        ("all,-phone -email", SECRETS | PERSONAL - {"phone", "email"}),
        ("email", {"email"}),
    ],
)
def test_the_setting_chooses(text: str, names: set[str]) -> None:
    assert {rule.name for rule in chosen_rules(choice(text))} == (
        names if "phone" not in text else names - {"phone", "email"}
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("secret", "did you mean 'secrets'?"),
        ("all, off", "off goes with nothing else"),
        ("-phone", "say what to take out first"),
        ("true", "is neither a set nor a rule"),
    ],
)
def test_a_setting_that_makes_no_sense_is_one_line(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        choice(text)


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"pattern": "x"}, "redaction 1 needs a name"),
        ({"name": "Big", "pattern": "x"}, "needs a name of small letters"),
        ({"name": "email", "pattern": "x"}, "'email' is a name of aitap's own"),
        ({"name": "withheld", "pattern": "x"}, "is a name of aitap's own"),
        ({"name": "a"}, r"\(a\) needs a pattern"),
        ({"name": "a", "pattern": "("}, "is no regular expression"),
        ({"name": "a", "pattern": "x*"}, "fits no text at all"),
        ({"name": "a", "pattern": "x" * 3000}, "at most 2000"),
        ({"name": "a", "pattern": "x", "replace": "hash"}, "replace is one of label, stars, nothing"),
        ({"name": "a", "patern": "x"}, "unknown key 'patern', did you mean 'pattern'?"),
    ],
)
def test_what_is_wrong_with_a_rule_is_one_line(row: dict[str, Any], words: str) -> None:
    with pytest.raises(OwnRuleError, match=words) as caught:
        own_rules([row])
    assert "\n" not in str(caught.value)


def test_two_rules_of_one_name_are_told() -> None:
    with pytest.raises(OwnRuleError, match="two redactions are named 'a'"):
        own_rules([{"name": "a", "pattern": "x"}, {"name": "a", "pattern": "y"}])


def test_setting_and_rules_stand_in_the_file_and_reach_the_recorder(tmp_path: Path) -> None:
    file = tmp_path / "aitap.toml"
    file.write_text(
        'redact = "secrets"\n[[redaction]]\nname = "customer"\npattern = \'CUST-\\d+\'\nreplace = "stars"\n'
    )
    found = load(environ={"AITAP_CONFIG": str(file)})
    assert found.redact == ("secrets",)
    assert found.redactions == (OwnRule("customer", r"CUST-\d+", "stars"),)
    sent = RecorderSettings(
        "sqlite:////x.db", "u", "full", 1.0, 1.0, 1.0, redact=found.redact, redactions=found.redactions
    )
    came = msgspec.convert(msgspec.msgpack.decode(msgspec.msgpack.encode(sent)), RecorderSettings)
    assert (came.redact, came.redactions) == (found.redact, found.redactions)
    file.write_text('[[redact]]\nname = "customer"\n')
    with pytest.raises(SettingsError, match=r"write the rules as \[\[redaction\]\]"):
        load(environ={"AITAP_CONFIG": str(file)})
    file.write_text('[[redaction]]\nname = "customer"\n')
    with pytest.raises(SettingsError, match=r"aitap.toml: redaction 1 \(customer\) needs a pattern"):
        load(environ={"AITAP_CONFIG": str(file)})


def test_it_is_off_unless_somebody_says_so() -> None:
    assert load(environ={}).redact == ()
