"""Versions against what pyproject.toml asks for."""

from __future__ import annotations

import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from aitap.checkup import versions
from aitap.checkup.versions import check_versions, fits
from tests.checkup.making import found, situation


def test_the_ranges_are_those_of_the_project() -> None:
    project = tomllib.loads(Path(__file__).parents[2].joinpath("pyproject.toml").read_text())["project"]
    lines = [Requirement(line) for line in project["dependencies"]]
    asked = {line.name: line.specifier for line in lines if line.marker is None or line.marker.evaluate()}
    assert {name: asked[name] for name in versions._NEEDED} == {
        name: SpecifierSet(wanted) for name, wanted in versions._NEEDED.items()
    }
    assert project["requires-python"] == ">=3.11,<3.15"
    assert (versions._OLDEST, versions._TOO_NEW) == ((3, 11), (3, 15))


@pytest.mark.parametrize(
    ("version", "wanted", "expected"),
    [
        ("11.0.2", ">=11.0.2,<13", True),
        ("12.2.3", ">=11.0.2,<13", True),
        ("13.0.0", ">=11.0.2,<13", False),
        ("13", ">=11.0.2,<13", False),
        ("11.0.1", ">=11.0.2,<13", False),
        ("4.5", ">=4.5,<5", True),
        ("4.5.0.post1", ">=4.5,<5", True),
        ("0.9", ">=0.20", False),
    ],
)
def test_ranges(version: str, wanted: str, expected: bool) -> None:
    assert fits(version, wanted) is expected


def test_what_is_installed_here_fits(tmp_path: Path) -> None:
    (finding,) = check_versions(situation(tmp_path))
    assert finding.status == "ok"
    assert f"mitmproxy {metadata.version('mitmproxy')}" in finding.what


def test_a_package_out_of_range_is_a_problem(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = metadata.version
    monkeypatch.setattr(metadata, "version", lambda name: "13.1.0" if name == "mitmproxy" else real(name))
    (finding,) = found(check_versions(situation(tmp_path)), "version.packages")
    wanted = versions._NEEDED["mitmproxy"]
    assert (finding.status, finding.what) == ("problem", f"mitmproxy 13.1.0 is installed, {wanted} is asked for")
