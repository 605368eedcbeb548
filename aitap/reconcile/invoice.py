"""Invoices and usage exports as CSV, by day and model, held against the sums of days.

Known forms are data (``data/invoices.toml``); any other file is read by a mapping of columns that the caller gives.
Days are those of the file: providers count in UTC, as we do.
"""

from __future__ import annotations

import csv
import difflib
import re
import tomllib
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from importlib import resources
from typing import TYPE_CHECKING, TextIO

import msgspec

from aitap.reconcile.recorded import DaySum, sums_between
from aitap.reconcile.tokens import COUNTERS, plain_model

if TYPE_CHECKING:
    from collections.abc import Mapping

    from peewee import Database

__all__ = [
    "COLUMNS",
    "Form",
    "Invoice",
    "InvoiceError",
    "InvoiceLine",
    "compare_invoice",
    "mapped_form",
    "read_invoice",
]

COLUMNS = ("date", "model", "calls", "input", "all_input", "output", "cache_read", "cache_write", "cost")
"""What a column of an invoice may be."""

_LISTS = ("input", "all_input", "output", "cache_read", "cache_write")
_COUNTS = dict(zip(COUNTERS, ("input", "output", "cache_read", "cache_write"), strict=True))
_SPACE = re.compile(r"[\s,_'\u00a0\u202f$]")


class InvoiceError(ValueError):
    """A file that cannot be read as an invoice. The text is one line that says why and what to do."""


class Form(msgspec.Struct, frozen=True, kw_only=True):
    """Which columns say what."""

    name: str
    date: str
    model: str = ""
    """Empty where the file does not tell models apart."""
    provider: str = ""
    marks: tuple[str, ...] = ()
    calls: str = ""
    input: tuple[str, ...] = ()
    all_input: tuple[str, ...] = ()
    output: tuple[str, ...] = ()
    cache_read: tuple[str, ...] = ()
    cache_write: tuple[str, ...] = ()
    cost: str = ""


class Billed(msgspec.Struct):
    """What a day and model have in the invoice; None is what the file does not tell."""

    calls: int | None = None
    counts: dict[str, int] = {}
    cost_micros: int | None = None


class Invoice(msgspec.Struct):
    """A file that was read."""

    form: Form
    rows: int = 0
    days: dict[tuple[str, str], Billed] = {}
    """By day and model (:func:`aitap.reconcile.tokens.plain_model`)."""


class InvoiceLine(msgspec.Struct, kw_only=True):
    """One day and model on both sides. ``difference``: what is billed more than recorded, where it is not the same."""

    day: str
    model: str
    billed: dict[str, int]
    recorded: dict[str, int]
    difference: dict[str, int]
    unmetered: int
    """Recorded calls whose tokens the provider did not tell, which it may well bill."""
    unpriced: int


class _Table(msgspec.Struct):
    form: tuple[Form, ...]


@lru_cache(maxsize=1)
def _forms() -> tuple[Form, ...]:
    text = resources.files("aitap.reconcile").joinpath("data/invoices.toml").read_text("utf-8")
    return msgspec.convert(tomllib.loads(text), _Table).form


def mapped_form(columns: Mapping[str, str], provider: str) -> Form:
    """The form that a mapping (what it is, to the column's name; several with +) describes.

    Raises :class:`InvoiceError`.
    """
    for name in columns:
        if name not in COLUMNS:
            near = difflib.get_close_matches(name, COLUMNS, n=1, cutoff=0.0)[0]
            raise InvoiceError(f"no column can be {name!r}, did you mean {near!r}?")
    if "date" not in columns:
        raise InvoiceError("say which column is the date: date=NAME")
    if len(columns) == 1 + ("model" in columns):
        raise InvoiceError(f"say which columns are to be compared: {', '.join(COLUMNS[2:])}")
    values = {
        name: tuple(part.strip() for part in value.split("+")) if name in _LISTS else value
        for name, value in columns.items()
    }
    return msgspec.convert({"name": "as mapped", "provider": provider, **values}, Form)


def read_invoice(file: TextIO, form: Form | None = None) -> Invoice:
    """The invoice in this file, of a known form or of the one that is given. Raises :class:`InvoiceError`."""
    start = file.read(4096)
    file.seek(0)
    lines = csv.DictReader(file, delimiter="\t" if "\t" in start.partition("\n")[0] else _delimiter(start))
    try:
        names = [name.strip().lstrip("\ufeff") for name in lines.fieldnames or []]
    except csv.Error as error:
        raise InvoiceError(f"is no CSV: {error}") from None
    lines.fieldnames = names
    if form is None:
        form = next((known for known in _forms() if set(known.marks) <= set(names)), None)
        if form is None:
            known = ", ".join(known.name for known in _forms())
            raise InvoiceError(f"is of none of the forms we know ({known}): say what its columns are with --column")
    _check(form, names)
    # What exports got later, or had no longer, is not told by this one.
    there = {key: tuple(name for name in getattr(form, key) if name in names) for key in _LISTS}
    found = Invoice(msgspec.structs.replace(form, **there))
    try:
        for number, row in enumerate(lines, 2):
            _add(found, row, f"line {number}")
    except csv.Error as error:
        raise InvoiceError(f"is no CSV: {error}") from None
    if not found.rows:
        # Nothing agrees with anything.
        raise InvoiceError("has no line in which anything was used or billed")
    return found


def _delimiter(start: str) -> str:
    head = start.partition("\n")[0]
    return ";" if head.count(";") > head.count(",") else ","


def _check(form: Form, names: list[str]) -> None:
    given = [form.date, form.model, form.calls, form.cost]
    given += [] if form.marks else [name for key in _LISTS for name in getattr(form, key)]
    for name in filter(None, given):
        if name not in names:
            near = difflib.get_close_matches(name, names, n=1, cutoff=0.0)
            raise InvoiceError(f"has no column {name!r}" + (f", did you mean {near[0]!r}?" if near else ""))


def _add(found: Invoice, row: dict[str, str | None], where: str) -> None:
    form = found.form
    day = _day(row.get(form.date) or "", where)
    if not any((value or "").strip() for name, value in row.items() if name != form.date):
        return
    if None in row.values():
        raise InvoiceError(f"{where} has fewer columns than the first line: was the file cut off?")
    model = plain_model(row.get(form.model) or "") if form.model else "*"
    counts = {
        name: sum(_number(row.get(column), where) for column in getattr(form, key))
        for name, key in _COUNTS.items()
        if getattr(form, key)
    }
    if form.all_input:
        whole = sum(_number(row.get(column), where) for column in form.all_input)
        cached = counts.get("cache_read_input_tokens", 0) + counts.get("cache_write_input_tokens", 0)
        counts["input_tokens"] = max(whole - cached, 0)
    cost = round(_decimal(row.get(form.cost), where) * 1_000_000) if form.cost else 0
    calls = _number(row.get(form.calls), where) if form.calls else 0
    if not any((*counts.values(), cost, calls)):
        return
    found.rows += 1
    billed = found.days.setdefault((day, model), Billed())
    for name, count in counts.items():
        billed.counts[name] = billed.counts.get(name, 0) + count
    if form.calls:
        billed.calls = (billed.calls or 0) + calls
    if form.cost:
        billed.cost_micros = (billed.cost_micros or 0) + cost


def _day(text: str, where: str) -> str:
    text = text.strip()
    try:
        if text.isdecimal() and len(text) >= 9:
            return datetime.fromtimestamp(int(text), UTC).strftime("%Y-%m-%d")
        if len(text) > 10:
            moment = datetime.fromisoformat(text)
            return (moment.astimezone(UTC) if moment.tzinfo else moment).strftime("%Y-%m-%d")
        return date.fromisoformat(text).isoformat()
    except (ValueError, OverflowError):
        raise InvoiceError(f"{where}: {text[:40]!r} is no date; write 2026-11-20") from None


def _decimal(text: str | None, where: str) -> Decimal:
    plain = _SPACE.sub("", text or "")
    if not plain:
        return Decimal(0)
    try:
        number = Decimal(plain)
    except InvalidOperation:
        raise InvoiceError(f"{where}: {(text or '')[:40]!r} is no number; write it without a unit") from None
    if not number.is_finite() or abs(number) > 10**15:
        raise InvoiceError(f"{where}: {(text or '')[:40]!r} is no number that anybody is billed")
    return number


def _number(text: str | None, where: str) -> int:
    return round(_decimal(text, where))


def compare_invoice(
    database: Database, invoice: Invoice, provider: str, *, subscriptions: bool = False, tolerance: float = 0.0
) -> tuple[list[InvoiceLine], int]:
    """The lines of both sides, by day and model, over the days of the invoice; and how many calls were left out.

    Left out are calls by subscription, which no usage is billed for, unless ``subscriptions``. What differs by no
    more than ``tolerance`` (0.01 is one in a hundred) is the same.
    """
    if not invoice.days:
        return [], 0
    days = [day for day, _ in invoice.days]
    sums, left_out = sums_between(database, min(days), max(days), provider, subscriptions=subscriptions)
    if not invoice.form.model:
        sums = _all_models(sums)
    lines = []
    for day, model in sorted({*invoice.days, *sums}):
        billed, own = invoice.days.get((day, model)), sums.get((day, model))
        ours = {name: getattr(own.tokens, name) if own else 0 for name in COUNTERS}
        ours |= {"calls": own.calls if own else 0, "cost_micros": own.cost_micros if own else 0}
        theirs = dict.fromkeys(_told(invoice.form), 0)
        if billed:
            theirs |= billed.counts
            theirs |= {"calls": billed.calls} if billed.calls is not None else {}
            theirs |= {"cost_micros": billed.cost_micros} if billed.cost_micros is not None else {}
        ours = {name: ours[name] for name in theirs}
        difference = {
            name: theirs[name] - ours[name]
            for name in theirs
            if abs(theirs[name] - ours[name]) > tolerance * max(theirs[name], ours[name])
        }
        lines.append(
            InvoiceLine(
                day=day,
                model=model,
                billed=theirs,
                recorded=ours,
                difference=difference,
                unmetered=own.unmetered if own else 0,
                unpriced=own.unpriced if own else 0,
            )
        )
    return lines, left_out


def _all_models(sums: dict[tuple[str, str], DaySum]) -> dict[tuple[str, str], DaySum]:
    found: dict[tuple[str, str], DaySum] = {}
    for (day, _), part in sums.items():
        whole = found.setdefault((day, "*"), DaySum())
        whole.tokens += part.tokens
        for name in ("calls", "unmetered", "unpriced", "cost_micros"):
            setattr(whole, name, getattr(whole, name) + getattr(part, name))
    return found


def _told(form: Form) -> list[str]:
    """What lines of this form tell."""
    told = [name for name, key in _COUNTS.items() if getattr(form, key)]
    if form.all_input:
        told.insert(0, "input_tokens")
    return [*told, *(["calls"] if form.calls else []), *(["cost_micros"] if form.cost else [])]
