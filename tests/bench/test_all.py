"""One command for everything: which parts run with what, and what is told of them."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest

from bench.all import NAMES, Part, parts, run
from bench.load import Crowd, Slice
from bench.markdown import document
from bench.report import as_json, summarize
from bench.rounds import Measured


def asked(**options: object) -> argparse.Namespace:
    usual: dict[str, object] = {
        "quick": False,
        "litellm": None,
        "rounds": None,
        "databases": ["sqlite"],
        "rows": 1000,
        "only": NAMES,
    }
    return argparse.Namespace(**(usual | options))


def test_each_database_is_filled_before_it_is_asked_and_pruned_last(tmp_path: Path) -> None:
    names = [part.name for part in parts(asked(databases=["sqlite", "postgresql"]), tmp_path)]
    assert names[:2] == ["overhead", "workers"]
    for kind in ("sqlite", "postgresql"):
        own = [name.split()[0] for name in names if name.endswith(kind)]
        assert own == ["writer", "fill", "queries", "export", "retention"]


def test_what_was_not_asked_for_does_not_run(tmp_path: Path) -> None:
    [part] = parts(asked(only=["writer"], quick=True), tmp_path)
    assert part.arguments == ["--url", f"sqlite:///{tmp_path}/empty-{{}}-sqlite.db", "--units", "5000"]


def test_a_part_that_fails_does_not_keep_the_others_from_running(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "some.py").write_text(
        "import sys, pathlib\nif sys.argv[1] == 'fail': sys.exit(3)\npathlib.Path(sys.argv[3]).write_text('{\"a\": 1}')"
    )
    monkeypatch.setattr("bench.all.HERE", tmp_path / "bench")
    found, failed = run([Part("one", "some", ["fail"]), Part("two", "some", ["go"])], tmp_path)
    assert (found, failed) == ({"two": {"a": 1}}, {"one": "ended with status 3"})


def overhead() -> dict[str, object]:
    measured = Measured(answered={"plain": 100, "aitap": 100, "litellm": 50}, logged=50)
    one = {name: Slice(requests=50, seconds=1.0, cpu=1.0, first=[1.0]) for name in measured.answered}
    measured.slices["json"] = [one, one]
    measured.crowd["plain"] = Crowd(streams=10, open_at_once=10, rss_open=10 * 2048)
    return json.loads(json.dumps(as_json(summarize(measured, ("plain", "aitap")), measured)))


MACHINE = {
    "cpus": 2,
    "processor": "Xeon",
    "system": "Linux-6",
    "python": "3.13.0",
    "mitmproxy": "12.2.3",
    "load_average": 0.1,
}
SPREAD = {"middle": 1.9, "low": 1.8, "high": 2.0}
PARTS = {
    "overhead": overhead(),
    "workers": {"workers": 2, "figures": {"json": {"requests": [100, 180], "ratio": SPREAD, "capacity": SPREAD}}},
    "writer sqlite": {
        "rounds": [
            {
                "units": 5,
                "units_per_second": 30_000,
                "rows_per_second": 120_000,
                "cpu_us_per_unit": 30.5,
                "ratio": 0.5,
                "cpu_ratio": 0.625,
            }
        ]
    },
    "queries postgresql": {
        "interceptions": 10,
        "bytes": 1000,
        "questions": [{"question": "models", "median_ms": 1.0, "slowest_ms": 2.0, "slowest_cpu_ms": 0.5}],
    },
}


def test_the_tables_say_what_was_found_and_on_which_machine() -> None:
    text = document(
        {"machine": MACHINE, "seconds": 120, "failed": {"export sqlite": "ended with status 1"}, "parts": PARTS}
    )
    assert text.startswith(
        "2 cores (Xeon), Linux, Python 3.13.0, mitmproxy 12.2.3; load average 0.1 at the start, 2 minutes."
    )
    for line in (
        "| 1 KB JSON | 1.00 (1.00 to 1.00) | 1.00 (1.00 to 1.00) | +0.0 ms (+0.0 to +0.0) |  |",
        "| 1 KB JSON | 1.0 (1.0 to 1.0) | 1.000 (1.000 to 1.000) |",
        "| plain | 10 | 10 | 0 | 2 | 0.0 |",
        "| 1 KB JSON | 100 | 180 | 1.90 (1.80 to 2.00) | 1.90 (1.80 to 2.00) |",
        "| 5 | 30,000 | 120,000 | 30.5 | 0.50 | 0.62 |",
        "| models | 1.0 | 2.0 | 0.5 |",
        "**export sqlite ended with status 1**",
    ):
        assert line in text.splitlines()


def test_a_part_reads_no_terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "some.py").write_text("import sys; sys.exit(len(sys.stdin.read()))")
    monkeypatch.setattr("bench.all.HERE", tmp_path / "bench")
    assert run([Part("one", "some", writes=False)], tmp_path) == ({}, {})
