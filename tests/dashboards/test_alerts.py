"""The alert rules name metrics that there are, and fire when, and only when, there is something to tell."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from aitap.observe.metric_table import PREFIX, metrics
from aitap.observe.semconv import names
from dashboards.__main__ import HERE, files

RULES = HERE / "alerts.yaml"
promtool = pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool comes with Prometheus")
LATEST = {"OTEL_SEMCONV_STABILITY_OPT_IN": "gen_ai_latest_experimental"}
MINUTES = 30

QUIET = {
    'up{job="aitap", instance="a"}': "1x60",
    'aitap_records_lost_total{job="aitap", instance="a"}': "0x60",
    'aitap_unrecorded_exchanges_total{instance="a"}': "3x60",
    'aitap_recorder_dropped_items_total{instance="a"}': "0x60",
    'aitap_recorder_restarts_total{instance="a"}': "1x60",
    'aitap_worker_restarts_total{instance="a"}': "1x60",
    'aitap_records_queued{instance="a"}': "50x60",
    'aitap_line_waiting_bytes{instance="a"}': "1000x60",
    'aitap_spool_bytes{instance="a"}': "0x20 1000x5 0x35",
    'aitap_spool_limit_bytes{instance="a"}': "1000000000x60",
    'aitap_database_retries_total{instance="a"}': "0x60",
    'aitap_decode_errors_total{instance="a", api="openai.responses"}': "1x60",
    'aitap_hook_errors_total{instance="a"}': "0x60",
    'aitap_observations_dropped_total{instance="a"}': "0x60",
    'aitap_export_failures_total{instance="a"}': "2x60",
    'aitap_interceptions_total{instance="a", provider="openai", status="completed"}': "0+60x60",
    'aitap_interceptions_total{instance="a", provider="openai", status="failed"}': "0+6x60",
    'aitap_hook_seconds_bucket{instance="a", hook="request", le="0.001"}': "0+60x60",
    'aitap_hook_seconds_bucket{instance="a", hook="request", le="0.03"}': "0+60x60",
    'aitap_hook_seconds_bucket{instance="a", hook="request", le="+Inf"}': "0+60x60",
    'aitap_proxy_refusals_total{instance="a", part="gate", reason="missing"}': "0+6x60",
    'aitap_proxy_handshake_refusals_total{instance="a"}': "2x60",
}
"""A proxy that is well, busy, and was not always well."""

TROUBLE = {
    "AitapDown": {'up{job="aitap", instance="a"}': "0x60"},
    "AitapMissing": {'up{job="aitap", instance="a"}': ""},
    "AitapRecordsLost": {'aitap_records_lost_total{job="aitap", instance="a"}': "0x10 2x50"},
    "AitapUnrecorded": {'aitap_recorder_dropped_items_total{instance="a"}': "0+1x60"},
    "AitapRecorderDied": {'aitap_recorder_restarts_total{instance="a"}': "1x25 2x35"},
    "AitapWorkersDie": {'aitap_worker_restarts_total{instance="a"}': "0x10 1x5 2x5 4x40"},
    "AitapQueueGrows": {'aitap_records_queued{instance="a"}': "0+200x60"},
    "AitapSpools": {'aitap_spool_bytes{instance="a"}': "1000x60"},
    "AitapSpoolFills": {'aitap_spool_bytes{instance="a"}': "600000000x60"},
    "AitapRecorderBehind": {'aitap_line_waiting_bytes{instance="a"}': "100000000x60"},
    "AitapDatabaseRefuses": {'aitap_database_retries_total{instance="a"}': "0+2x60"},
    "AitapDecodeErrors": {'aitap_decode_errors_total{instance="a", api="openai.responses"}': "1x20 2x40"},
    "AitapHookErrors": {'aitap_hook_errors_total{instance="a"}': "0x20 1x40"},
    "AitapNotTold": {'aitap_export_failures_total{instance="a"}': "0+1x60"},
    "AitapProviderFails": {'aitap_interceptions_total{instance="a", provider="openai", status="failed"}': "0+30x60"},
    "AitapSlowHooks": {'aitap_hook_seconds_bucket{instance="a", hook="request", le="0.001"}': "0+30x60"},
    "AitapRefusalBurst": {'aitap_proxy_refusals_total{instance="a", part="gate", reason="missing"}': "0+120x60"},
    "AitapNotTrusted": {'aitap_proxy_handshake_refusals_total{instance="a"}': "0+2x60"},
}


def rules() -> list[dict[str, Any]]:
    groups = YAML(typ="safe").load(RULES.read_text("utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


def known() -> set[str]:
    """Every name that a series may have."""
    found = {"up"}
    for metric in [*metrics(), *metrics(names(LATEST))]:
        name = f"{PREFIX if metric.prefixed else ''}{metric.name}"
        found |= {f"{name}{end}" for end in (("_bucket", "_sum", "_count") if metric.kind == "histogram" else ("",))}
    return found


def named(query: str) -> set[str]:
    return set(re.findall(r"\b(?:aitap_|gen_ai_client_)\w+", query))


def test_rules_and_panels_name_metrics_that_there_are() -> None:
    asked = {name for rule in rules() for name in named(rule["expr"])}
    assert asked <= known()
    asked = named(files()["aitap-prometheus.json"])
    assert len(asked) > 30
    assert asked <= known()


def test_a_rule_says_how_bad_it_is_and_what_to_do() -> None:
    assert {rule["labels"]["severity"] for rule in rules()} == {"page", "warn"}
    for rule in rules():
        assert set(rule["annotations"]) == {"summary", "description"}
        assert rule["annotations"]["description"].endswith(".")


@promtool
def test_promtool_finds_nothing_to_complain_of() -> None:
    done = subprocess.run(["promtool", "check", "rules", RULES], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def firing(folder: Path, series: dict[str, str]) -> set[str]:
    """What fires after half an hour of this: promtool tells what is there where nothing is expected."""
    tests = {
        "rule_files": [str(RULES)],
        "tests": [
            {
                "interval": "1m",
                "input_series": [{"series": name, "values": values} for name, values in series.items() if values],
                "alert_rule_test": [
                    {"eval_time": f"{MINUTES}m", "alertname": rule["alert"], "exp_alerts": []} for rule in rules()
                ],
            }
        ],
    }
    folder.joinpath("test.yaml").write_text(json.dumps(tests), "utf-8")  # JSON is YAML
    done = subprocess.run(
        ["promtool", "test", "rules", "test.yaml"], cwd=folder, capture_output=True, text=True, check=False
    )
    told = done.stdout + done.stderr
    found = set(re.findall(r"alertname: ?(\w+)", told))
    assert (done.returncode == 0) == (not found), told
    return found


@promtool
def test_nothing_is_told_of_a_proxy_that_is_well(tmp_path: Path) -> None:
    assert firing(tmp_path, QUIET) == set()


@promtool
@pytest.mark.parametrize("alert", [rule["alert"] for rule in rules()])
def test_trouble_fires_its_own_alert_and_no_other(tmp_path: Path, alert: str) -> None:
    assert firing(tmp_path, {**QUIET, **TROUBLE[alert]}) == {alert}
