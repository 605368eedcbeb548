"""Exports of providers' consoles, and any other CSV by a mapping, are held against the sums of days."""

from __future__ import annotations

import io
from typing import Any

import pytest

from aitap.reconcile.invoice import InvoiceError, compare_invoice, mapped_form, read_invoice
from tests.storage.making import T0, Recording, interception, tokens

ANTHROPIC = (
    "usage_date_utc,model_version,api_key,workspace,usage_type,context_window,usage_input_tokens_no_cache,"
    "usage_input_tokens_cache_write_5m,usage_input_tokens_cache_write_1h,usage_input_tokens_cache_read,"
    "usage_output_tokens,web_search_count,inference_geo,speed\n"
    "2026-11-18,claude-opus-4-8,key,Default,standard,≤ 200k,10,1,2,30,5,0,global,\n"
    "2026-11-18,claude-opus-4-8,other,Default,standard,≤ 200k,10,0,0,0,5,0,global,\n"
)
ANTHROPIC_COST = (
    "usage_date_utc,model,workspace,api_key,usage_type,context_window,token_type,cost_usd,cost_type\n"
    "2026-11-18,Claude Opus 4.8,Default,key,message,≤ 200k,input_no_cache,0.000120,token\n"
    "2026-11-18,Claude Opus 4.8,Default,key,message,≤ 200k,output,0.000080,token\n"
)
OPENAI = (
    "start_time,end_time,start_time_iso,end_time_iso,project_id,num_model_requests,user_id,api_key_id,model,batch,"
    "service_tier,input_tokens,output_tokens,input_cached_tokens,input_uncached_tokens\n"
    "1794960000,1795046400,2026-11-18T00:00:00+00:00,2026-11-19T00:00:00+00:00,p,2,,,gpt-4o-2024-08-06,,,50,10,30,20\n"
    "1795046400,1795132800,2026-11-19T00:00:00+00:00,2026-11-20T00:00:00+00:00,,,,,,,,,,,\n"
)


def put(recording: Recording, *usages: dict[str, Any], **fields: Any) -> None:
    records = [
        interception(T0 + number, token_usages=[tokens(f"msg_{number}", T0, **usage)], **fields)
        for number, usage in enumerate(usages)
    ]
    recording.batch(*records)


FIRST = {"cache_write_input_tokens": 3, "cache_read_input_tokens": 30}


def test_an_export_of_anthropics_console_agrees(recording: Recording) -> None:
    put(recording, {**FIRST, "cost_micros": 150}, {"cost_micros": 50})
    for text in (ANTHROPIC, ANTHROPIC_COST, "\ufeff" + ANTHROPIC):
        lines, left_out = compare_invoice(recording.database, read_invoice(io.StringIO(text)), "anthropic")
        [line] = lines
        assert (line.day, line.model, line.difference, left_out) == ("2026-11-18", "claude-opus-4-8", {}, 0)
    assert line.billed == line.recorded
    assert line.billed["input_tokens"] == 20


def test_an_export_of_openais_agrees_and_its_input_includes_the_cache(recording: Recording) -> None:
    fields = {"provider": "openai", "provider_name": "openai", "model": "gpt-4o", "api": "openai.responses"}
    put(recording, {"cache_read_input_tokens": 30}, {}, **fields)
    read = read_invoice(io.StringIO(OPENAI))
    assert (read.form.name, read.rows) == ("OpenAI, usage", 1)
    [line], _ = compare_invoice(recording.database, read, "openai")
    assert line.difference == {}
    counts = {"input_tokens": 20, "output_tokens": 10, "cache_read_input_tokens": 30, "calls": 2}
    assert line.billed == counts, "what the file has no column for is not compared"


def test_what_differs_is_told_by_day_model_and_count(recording: Recording) -> None:
    put(recording, FIRST)
    put(recording, {}, model="claude-haiku-4-5")
    lines, _ = compare_invoice(recording.database, read_invoice(io.StringIO(ANTHROPIC)), "anthropic")
    assert {line.model: line.difference for line in lines} == {
        "claude-opus-4-8": {"input_tokens": 10, "output_tokens": 5},
        "claude-haiku-4-5": {"input_tokens": -10, "output_tokens": -5},
    }
    same, _ = compare_invoice(recording.database, read_invoice(io.StringIO(ANTHROPIC)), "anthropic", tolerance=0.5)
    assert [line.difference for line in same if line.model == "claude-opus-4-8"] == [{}]


def test_calls_by_subscription_are_in_no_invoice_unless_asked_for(recording: Recording) -> None:
    put(recording, FIRST, {}, credential_kind="byok_subscription")
    read = read_invoice(io.StringIO(ANTHROPIC))
    [line], left_out = compare_invoice(recording.database, read, "anthropic")
    assert (line.recorded["input_tokens"], left_out) == (0, 2)
    [line], left_out = compare_invoice(recording.database, read, "anthropic", subscriptions=True)
    assert (line.difference, left_out) == ({}, 0)


def test_any_csv_is_read_by_a_mapping(recording: Recording) -> None:
    put(recording, {**FIRST, "cost_micros": 1_234_560})
    form = mapped_form(
        {"date": "Day", "model": "Modell", "input": "Fresh", "cache_write": "W5 + W60", "cost": "USD"}, "anthropic"
    )
    text = "Day;Modell;Fresh;W5;W60;USD\n2026-11-18;claude-opus-4-8;10;1;2;$1.23456\n"
    [line], _ = compare_invoice(recording.database, read_invoice(io.StringIO(text), form), "anthropic")
    assert line.difference == {}
    assert line.billed == {"input_tokens": 10, "cache_write_input_tokens": 3, "cost_micros": 1_234_560}


def test_a_file_that_does_not_tell_models_apart_is_held_against_all_of_them(recording: Recording) -> None:
    put(recording, {"cost_micros": 5}, {"cost_micros": 7})
    put(recording, {"cost_micros": 8}, model="other")
    form = mapped_form({"date": "d", "cost": "c"}, "anthropic")
    [line], _ = compare_invoice(
        recording.database, read_invoice(io.StringIO("d,c\n2026-11-18,0.00002\n"), form), "anthropic"
    )
    assert (line.model, line.difference) == ("*", {})


@pytest.mark.parametrize(
    ("text", "columns", "words"),
    [
        ("a,b\n1,2\n", {}, "is of none of the forms we know"),
        ("a,b\n1,2\n", {"dat": "a", "cost": "b"}, "no column can be 'dat', did you mean 'date'?"),
        ("a,b\n1,2\n", {"cost": "b"}, "say which column is the date"),
        ("a,b\n1,2\n", {"date": "a"}, "say which columns are to be compared"),
        ("day,usd\n1,2\n", {"date": "dya", "cost": "usd"}, "has no column 'dya', did you mean 'day'?"),
        ("a,b\n2026-13-01,2\n", {"date": "a", "cost": "b"}, "line 2: '2026-13-01' is no date"),
        ("a,b\n2026-11-18,two\n", {"date": "a", "cost": "b"}, "line 2: 'two' is no number"),
        ("a,b\n2026-11-18,NaN\n", {"date": "a", "cost": "b"}, "is no number that anybody is billed"),
        ("", {"date": "a", "cost": "b"}, "has no column 'a'"),
        ("a,m,b\n2026-11-18,x\n", {"date": "a", "model": "m", "cost": "b"}, "line 2 has fewer columns than the first"),
        ('a,m,b\n2026-11-18,"x,1\n2026-11-19,y,1\n', {"date": "a", "model": "m", "cost": "b"}, "was the file cut off?"),
        ("a,b\n", {"date": "a", "cost": "b"}, "has no line in which anything was used or billed"),
        ("a,b\n2026-11-18,0\n", {"date": "a", "cost": "b"}, "has no line in which anything was used or billed"),
    ],
)
def test_what_is_wrong_with_a_file_is_one_line(text: str, columns: dict[str, str], words: str) -> None:
    with pytest.raises(InvoiceError) as caught:
        read_invoice(io.StringIO(text), mapped_form(columns, "anthropic") if columns else None)
    assert words in str(caught.value)
