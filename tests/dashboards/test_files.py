"""The files in dashboards/ are those that their source makes, and are what Grafana takes."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from aitap.storage.models import MODELS
from dashboards.__main__ import HERE, files
from dashboards.dialects import ALL, POSTGRESQL, SQLITE, moments
from dashboards.grafana import SCHEMA_VERSION
from tests.commands import code_blocks, commands_in, exists, shell_commands
from tests.dashboards.filling import variables
from tests.dashboards.reader import READER

NAMES = sorted(files())
SOURCES = sorted(HERE.joinpath("sql").glob("*.sql"))
README = HERE / "README.md"
UNITS = {"short", "none", "s", "bytes", "percentunit", "currencyUSD", "reqps", "cps", "wps", "Bps"}
"""Of Grafana's names for units."""


@pytest.fixture(params=NAMES)
def dashboard(request: pytest.FixtureRequest) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(HERE.joinpath(request.param).read_text("utf-8"))
    return content


def panels(dashboard: dict[str, Any]) -> list[dict[str, Any]]:
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


@pytest.mark.parametrize("name", NAMES)
def test_a_file_is_what_its_source_makes(name: str) -> None:
    assert HERE.joinpath(name).read_text("utf-8") == files()[name], "run python -m dashboards"


def test_the_command_says_when_nothing_is_out_of_date() -> None:
    command = [sys.executable, "-m", "dashboards", "--check"]
    done = subprocess.run(command, cwd=HERE.parent, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")


def test_a_dashboard_can_be_imported_and_provisioned(dashboard: dict[str, Any]) -> None:
    assert dashboard["schemaVersion"] == SCHEMA_VERSION
    assert re.fullmatch(r"[a-z-]{1,40}", dashboard["uid"])
    # Inputs are filled in by an import alone.
    assert "__inputs" not in dashboard
    assert "id" not in dashboard
    (source,) = (one for one in dashboard["templating"]["list"] if one["type"] == "datasource")
    for panel in panels(dashboard):
        for one in (panel, *panel.get("targets", ())):
            if panel["type"] != "text":
                assert one["datasource"] == {"type": source["query"], "uid": "${datasource}"}


def test_dashboards_are_told_apart() -> None:
    made = [json.loads(text) for text in files().values()]
    assert len({one["uid"] for one in made}) == len({one["title"] for one in made}) == len(made)


def test_each_panel_has_a_number_of_its_own_a_description_and_units(dashboard: dict[str, Any]) -> None:
    numbers = [panel["id"] for panel in dashboard["panels"]]
    assert numbers == list(range(1, len(numbers) + 1))
    for panel in panels(dashboard):
        assert panel["description"].endswith(".")
        if panel["type"] != "text":
            assert panel["title"]
            defaults = panel["fieldConfig"]["defaults"]
            properties = [each for one in panel["fieldConfig"]["overrides"] for each in one["properties"]]
            assert {defaults["unit"], *(each["value"] for each in properties if each["id"] == "unit")} <= UNITS
            assert defaults["noValue"] not in ("0", None)


def test_no_two_panels_overlap(dashboard: dict[str, Any]) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in dashboard["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        taken |= cells


def test_every_variable_is_used_and_can_be_all_and_several(dashboard: dict[str, Any]) -> None:
    text = json.dumps(dashboard["panels"])
    for name, variable in variables(dashboard).items():
        assert re.search(rf"\$\{{?{name}\b", text)
        assert (variable["multi"], variable["includeAll"]) == (True, True)
        assert variable["allValue"] in (f"'{ALL}'", ".*")
        assert variable["current"]["value"] == ["$__all"]


def test_no_variable_is_used_that_is_not_there(dashboard: dict[str, Any]) -> None:
    used = set(re.findall(r"\$\{?([a-z]+)\b", json.dumps(dashboard["panels"])))
    assert used <= {*variables(dashboard), "datasource"}


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_every_query_is_in_both_dashboards_and_differs_in_macros_alone(source: Path) -> None:
    both = (json.loads(files()["aitap-sql.json"]), json.loads(files()["aitap-sqlite.json"]))
    for dialect, dashboard in zip((POSTGRESQL, SQLITE), both, strict=True):
        query = dialect.query(source.stem)
        targets = [target for panel in panels(dashboard) for target in panel.get("targets", ())]
        there = [target.get("rawSql") or target["rawQueryText"] for target in targets]
        there += [variable["query"] for variable in variables(dashboard).values()]
        assert there.count(query) == 1


def test_moments_are_told_to_the_plugin_that_knows_none() -> None:
    targets = {
        panel["title"]: panel["targets"][0]["timeColumns"]
        for panel in panels(json.loads(files()["aitap-sqlite.json"]))
        if "targets" in panel
    }
    assert targets["Tokens over time"] == ["time"]
    assert targets["Sessions"] == ["Last active", "Started"]
    assert targets["Top models"] == []
    assert moments('SELECT $moment(max(a.b)) AS "X", c AS "Y"') == ["X"]


def test_the_reader_sees_what_queries_need_and_no_conversation_and_no_digest() -> None:
    granted = READER.read_text("utf-8")
    tables = {model._meta.table_name for model in MODELS}
    needed = {name for path in SOURCES for name in re.findall(r"(?:FROM|JOIN) (a\w+|users)\b", path.read_text("utf-8"))}
    assert needed <= tables
    assert all(re.search(rf"\b{name}\b", granted) for name in needed)
    assert re.search(r"\bdigest\b|aitap_messages", re.sub(r"--.*", "", granted)) is None


def test_the_readme_names_every_panel_and_only_commands_that_there_are(dashboard: dict[str, Any]) -> None:
    text = README.read_text("utf-8")
    missing = [panel["title"] for panel in panels(dashboard) if panel["title"].replace(" of $username", "") not in text]
    assert missing == []
    linked = [link for link in re.findall(r"\]\(([^)]+)\)", text) if "://" not in link]
    assert [link for link in linked if not HERE.joinpath(link).exists()] == []
    blocks = [content for language, content in code_blocks(text) if language == "sh"]
    for block in blocks:
        subprocess.run(["sh", "-n"], input=block, text=True, check=True)
    named = [words for block in blocks for words in shell_commands(block)] + commands_in(text)
    assert [words for words in named if not exists(words)] == []
