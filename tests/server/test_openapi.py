"""The OpenAPI document tells the truth: schemathesis asks everything in it, rightly and wrongly."""

from __future__ import annotations

from typing import Any

import hypothesis
import pytest
import schemathesis

from aitap.server.endpoints import ENDPOINTS, PREFIXES
from aitap.server.openapi import document
from aitap.server.schemas import SCHEMAS
from tests.export import sample
from tests.server.site import Site

schema = schemathesis.openapi.from_dict(document())


@schema.parametrize()
@hypothesis.settings(
    max_examples=hypothesis.settings.default.max_examples * 2 // 5,
    deadline=None,
    suppress_health_check=list(hypothesis.HealthCheck),
)
def test_every_answer_is_as_the_document_says(shared: Site, case: schemathesis.Case) -> None:
    """Status, content type, headers and body, of good questions and of bad ones; no question is a 5xx."""
    case.call_and_validate(base_url=f"http://127.0.0.1:{shared.port}", excluded_checks=EXCLUDED)


EXCLUDED = [
    # On one's own machine no key is needed; test_callers.py has what holds where one is.
    schemathesis.checks.ignored_auth,
    # A moment or a cursor that is no moment or cursor fits its schema, and is refused.
    schemathesis.checks.positive_data_acceptance,
    # A parameter that is there and empty is taken for one that is not there.
    schemathesis.checks.negative_data_rejection,
]


def test_the_served_document_is_the_table_and_complete(shared: Site) -> None:
    served = shared.get("/api/v2/openapi.json").json
    assert served == document()
    assert {prefix + endpoint.path for prefix in PREFIXES for endpoint in ENDPOINTS} < set(served["paths"])
    names = [operation["get"]["operationId"] for operation in served["paths"].values()]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("path", ["interceptions", "sessions", f"sessions/{sample.CLAUDE_SESSION}"])
def test_full_answers_have_nothing_that_the_schema_lacks_of_the_reference(shared: Site, path: str) -> None:
    """The schema says what every answer has; here it is held against answers with everything in them."""
    name = {"interceptions": "Interceptions", "sessions": "Sessions"}.get(path, "SessionThreads")
    assert wrong(shared.list(path), name, SCHEMAS) == []


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("interceptions", "Interceptions"),
        ("sessions", "Sessions"),
        (f"sessions/{sample.CLAUDE_SESSION}", "SessionThreads"),
        ("usage?by=user,model,day", "Usage"),
    ],
)
def test_no_answer_has_a_field_that_the_document_does_not_name(shared: Site, path: str, name: str) -> None:
    assert wrong(shared.list(path), name, closed(SCHEMAS)) == []


def wrong(answer: Any, name: str, schemas: dict[str, Any]) -> list[str]:
    """What of an answer is not as one of these schemas says."""
    jsonschema_rs = pytest.importorskip("jsonschema_rs")
    whole = {"$ref": f"#/components/schemas/{name}", "components": {"schemas": schemas}}
    validator = jsonschema_rs.Draft202012Validator(whole, validate_formats=True)
    return [str(error) for error in validator.iter_errors(answer)]


def closed(schema: Any) -> Any:
    """The same schemas, of objects that have nothing but what is named."""
    if isinstance(schema, list):
        return [closed(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    found = {name: closed(one) for name, one in schema.items()}
    return found | {"additionalProperties": False} if isinstance(schema.get("properties"), dict) else found
