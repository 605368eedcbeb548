"""A log line is one line in every form, and says what it was given."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aitap.observe.log_formats import FORMATS, human, json_line, logfmt
from tests.observe.logfmt import parse

IDS = ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331")
TEXTS = st.text(st.characters()) | st.sampled_from(["", "a=b", 'say "x"', "\\", "two\nlines", "\x85\u2028", "\ud800"])
FIELDS = st.fixed_dictionaries(
    {"prompt": TEXTS, "injected": st.booleans(), "tokens": st.integers(), "unknown": st.none()},
    optional={"metadata": st.dictionaries(st.text(st.characters(codec="utf-8")), TEXTS | st.integers(0, 9))},
)


def said(text: str) -> str:
    """The text as UTF-8 can say it."""
    return text.encode("utf-8", "replace").decode()


@pytest.mark.parametrize("form", FORMATS.values())
@given(fields=FIELDS, ids=st.none() | st.just(IDS))
def test_whatever_the_values_hold_it_is_one_line(form: Any, fields: dict[str, Any], ids: Any) -> None:
    text = form(fields, 1_795_000_000.5, ids).decode()
    assert text.endswith("\n")
    assert text.splitlines() == [text[:-1]]


@given(fields=FIELDS)
def test_a_json_line_gives_every_field_back(fields: dict[str, Any]) -> None:
    line = json.loads(json_line(fields, 1_795_000_000.5, IDS))
    assert line["prompt"] == said(fields["prompt"])
    assert {name: line[name] for name in ("injected", "tokens", "unknown")} == {
        name: fields[name] for name in ("injected", "tokens", "unknown")
    }
    assert (line["trace_id"], line["span_id"], line["msg"]) == (*IDS, "interception log")


@given(fields=FIELDS)
def test_a_logfmt_line_gives_back_every_field_that_is_known(fields: dict[str, Any]) -> None:
    line = parse(logfmt(fields, 1_795_000_000.5, None).decode()[:-1])
    assert line["prompt"] == said(fields["prompt"])
    assert line["injected"] == ("true" if fields["injected"] else "false")
    assert line["tokens"] == str(fields["tokens"])
    assert "unknown" not in line
    assert json.loads(line.get("metadata", "{}")).keys() == fields.get("metadata", {}).keys()


def test_the_line_for_people_begins_with_time_level_and_message() -> None:
    line = human({"record_type": "interception_end", "error_message": "not now"}, 1_795_000_000.5, IDS).decode()
    assert line == (
        "2026-11-18 11:06:40.500 [info] aitap.interceptions: interception log "
        f'trace={IDS[0]} span={IDS[1]} record_type=interception_end error_message="not now"\n'
    )
