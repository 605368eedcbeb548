"""Whether a call may be made."""

from __future__ import annotations

import fnmatch
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aitap.access.policy.decisions import ALLOWED, Call, Decision, Rules, decide
from aitap.access.policy.policy_rows import PolicyRow

CALL = Call(
    user="alice",
    user_id="id-of-alice",
    client="Claude Code",
    provider="anthropic",
    provider_name="anthropic",
    host="api.anthropic.com",
    models=("claude-opus-4",),
)
EVERYBODY_ELSE = PolicyRow("deny", users=("*",))

names = st.text("abAB*", min_size=1, max_size=4)
patterns = st.lists(names.map(str.lower), max_size=2).map(tuple)
rows = st.builds(
    PolicyRow,
    action=st.sampled_from(["allow", "deny"]),
    users=patterns,
    clients=patterns,
    providers=patterns,
    models=patterns,
    hosts=patterns,
    message=st.just(""),
)
words = st.text("abAB", min_size=1, max_size=4)
calls = st.builds(Call, user=words, user_id=st.just("-"), client=words, provider=words, provider_name=words, host=words)


def but(**more: Any) -> Call:
    return msgspec.structs.replace(CALL, **more)


def allowed(row: PolicyRow, call: Call) -> bool:
    decision = Rules([row]).decide(call)
    assert decision is not None
    return decision.allowed


def model(rules: list[PolicyRow], call: Call, asked: str) -> tuple[bool, int]:
    """The rules as they are promised, in the plainest words."""

    def fits(patterns: tuple[str, ...], *values: str) -> bool:
        return not patterns or any(fnmatch.fnmatchcase(value.lower(), p) for value in values for p in patterns)

    for number, row in enumerate(rules, 1):
        if (
            fits(row.users, call.user, call.user_id)
            and fits(row.clients, call.client or "")
            and fits(row.providers, call.provider, call.provider_name)
            and fits(row.hosts, call.host)
            and fits(row.models, asked)
        ):
            return row.action == "allow", number
    return True, 0


@given(st.lists(rows, max_size=5), calls, words)
def test_the_first_rule_that_fits_decides_and_none_allows(rules: list[PolicyRow], call: Call, asked: str) -> None:
    decision = Rules(rules).decide(msgspec.structs.replace(call, models=(asked,)))
    assert decision is not None
    assert (decision.allowed, decision.rule) == model(rules, call, asked)


@given(st.lists(rows, max_size=5), calls, words)
def test_a_decision_without_the_model_is_the_one_with_it(rules: list[PolicyRow], call: Call, asked: str) -> None:
    """Asked before the model is known, rules either say what they will say of any model, or that it matters."""
    early = Rules(rules).decide(call)
    if early is not None:
        assert Rules(rules).decide(msgspec.structs.replace(call, models=(asked,))) == early
    else:
        assert any(row.models for row in rules)


@given(st.lists(rows, max_size=5), calls, st.lists(words, min_size=1, max_size=3))
def test_a_call_that_names_several_models_is_allowed_only_if_each_of_them_is(
    rules: list[PolicyRow], call: Call, asked: list[str]
) -> None:
    decision = Rules(rules).decide(msgspec.structs.replace(call, models=tuple(asked)))
    assert decision is not None
    if decision.allowed:
        assert all(model(rules, call, name)[0] for name in asked)


@given(st.lists(rows, max_size=5), calls, words)
def test_a_call_whose_model_cannot_be_read_is_refused_where_any_model_would_be(
    rules: list[PolicyRow], call: Call, asked: str
) -> None:
    decision = Rules(rules).decide(msgspec.structs.replace(call, models=()))
    assert decision is not None
    if decision.allowed:
        assert model(rules, call, asked)[0]


@pytest.mark.parametrize("condition", ["users", "clients", "providers", "models", "hosts"])
def test_a_condition_looks_at_what_its_name_says(condition: str) -> None:
    values = {
        "users": "alice",
        "clients": "claude code",
        "providers": "anthropic",
        "models": "claude-*-4",
        "hosts": "*.anthropic.com",
    }
    assert not allowed(PolicyRow("deny", **{condition: (values[condition],)}), CALL)  # type: ignore[arg-type]
    assert allowed(PolicyRow("deny", **{condition: ("another",)}), CALL)  # type: ignore[arg-type]


def test_a_provider_is_known_by_type_and_by_name() -> None:
    azure = but(provider="openai", provider_name="azure")
    assert not allowed(PolicyRow("deny", providers=("openai",)), azure)
    assert not allowed(PolicyRow("deny", providers=("azure",)), azure)


def test_a_user_is_known_by_name_and_by_id() -> None:
    assert not allowed(PolicyRow("deny", users=("id-of-alice",)), CALL)


def test_a_client_that_nothing_is_known_of_has_a_name_too() -> None:
    assert not allowed(PolicyRow("deny", clients=("unknown",)), but(client=None))


def test_signs_of_other_pattern_languages_mean_themselves() -> None:
    assert allowed(PolicyRow("deny", models=("gpt-[45]", "gpt?5")), but(models=("gpt-5",)))
    assert not allowed(PolicyRow("deny", models=("gpt-[45]*",)), but(models=("gpt-[45]\n!",)))


def test_allow_some_and_deny_all_else() -> None:
    rules = Rules([PolicyRow("allow", providers=("anthropic",)), EVERYBODY_ELSE])
    assert rules.decide(CALL) == Decision(allowed=True, rule=1)
    refused = rules.decide(but(provider="openai", provider_name="openai"))
    assert refused == Decision(allowed=False, rule=2, message="This proxy does not allow this call (policy rule 2).")


def test_the_person_is_told_what_the_rule_says() -> None:
    rules = Rules([PolicyRow("deny", models=("claude-*",), message="Ask us.")])
    refused = rules.decide(CALL)
    assert refused is not None
    assert refused.message == "Ask us."


def test_where_no_model_can_be_read_the_message_says_so() -> None:
    refused = Rules([PolicyRow("deny", models=("claude-*",), message="Ask us.")]).decide(but(models=()))
    assert refused is not None
    assert refused.message == "This proxy cannot tell which model is asked, and policy rule 1 depends on it."


class Budget:
    """Another decider."""

    needs_client = idle = False
    enforced = True

    def decide(self, call: Call) -> Decision | None:
        return Decision(allowed=call.user != "alice", message="spent")


def test_any_decider_may_refuse_and_one_that_needs_the_model_does_not_hold_up_a_refusal() -> None:
    rules = Rules([PolicyRow("allow", models=("claude-*",))])
    assert decide([rules, Budget()], but(models=None)) == Decision(allowed=False, message="spent")
    assert decide([rules, Budget()], but(user="bob", models=None)) is None
    assert decide([rules, Budget()], but(user="bob")) == ALLOWED


def test_what_is_remembered_is_short() -> None:
    rules = Rules([PolicyRow("deny", models=("claude-*",))])
    long = [but(models=tuple(f"claude-{number}" for number in range(count))) for count in range(100, 110)]
    assert not any(decision.allowed for call in long if (decision := rules.decide(call)))
    assert rules._known.cache_info().currsize == 0
    rules.decide(CALL)
    assert rules._known.cache_info().currsize == 1
