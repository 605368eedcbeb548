"""What is told of aitap.toml and the provider rows in it."""

from __future__ import annotations

from pathlib import Path

import pytest

from aitap.checkup.configuration import check_configuration
from aitap.checkup.finding import Finding
from tests.checkup.making import found, situation

ROW = '[[provider]]\nname = "{}"\ntype = "openai"\nhosts = ["{}"]\nroutes = "compatible"\n'


def look(tmp_path: Path, text: str = "", **environ: str) -> list[Finding]:
    file = tmp_path / "aitap.toml"
    file.write_text(text)
    return list(check_configuration(situation(tmp_path, environ={"AITAP_CONFIG": str(file)} | environ)))


def test_the_file_in_force_is_named(tmp_path: Path) -> None:
    (finding,) = look(tmp_path, 'retention = "30d"\n')
    assert (finding.status, finding.what) == ("ok", str(tmp_path / "aitap.toml"))


@pytest.mark.parametrize(
    "text", ['retenton = "30d"\n', 'retention = "thirty"\n', "no toml at all", ROW.format("x", "a b")]
)
def test_a_setting_that_keeps_the_proxy_from_starting_is_a_problem(text: str, tmp_path: Path) -> None:
    (finding,) = look(tmp_path, text)
    assert (finding.check, finding.status) == ("settings.file", "problem")


def test_a_password_in_a_setting_that_is_wrong_is_not_shown(tmp_path: Path) -> None:
    found = look(tmp_path, AITAP_CODER_URL="https://alice:planted@coder.example")
    assert [one.status for one in found] == ["problem"]
    assert "alice:***@coder.example" in found[0].what
    assert "planted" not in str(found)


def test_an_unknown_variable_is_a_problem(tmp_path: Path) -> None:
    (finding,) = look(tmp_path, AITAP_RETENTON="1d")
    assert "AITAP_RETENTION" in finding.what


def test_a_row_that_takes_a_built_in_host_is_a_warning(tmp_path: Path) -> None:
    (finding,) = found(look(tmp_path, ROW.format("own", "api.openai.com")), "providers.host")
    assert finding.what == "provider own takes api.openai.com from the built-in openai"


def test_a_row_that_can_never_be_reached_is_a_warning(tmp_path: Path) -> None:
    text = ROW.format("first", "llm.example.com") + ROW.format("second", "llm.example.com")
    (finding,) = found(look(tmp_path, text), "providers.host")
    assert "second never gets llm.example.com: first has it" in finding.what


def test_two_rows_of_one_name_are_a_warning(tmp_path: Path) -> None:
    text = ROW.format("own", "a.example.com") + ROW.format("own", "b.example.com")
    (finding,) = found(look(tmp_path, text), "providers.name")
    assert finding.what == "2 [[provider]] rows are named own"


def test_files_that_a_setting_names_have_to_be_there(tmp_path: Path) -> None:
    findings = look(tmp_path, AITAP_HTPASSWD="/no/such/file", AITAP_UPSTREAM_CA="/no/such/ca.pem")
    assert [one.check for one in findings if one.status == "problem"] == ["settings.htpasswd", "settings.upstream_ca"]


def test_auth_none_is_a_warning(tmp_path: Path) -> None:
    assert [one.status for one in found(look(tmp_path, 'auth = "none"\n'), "settings.auth")] == ["warning"]


def test_a_proxy_elsewhere_has_its_settings_there(tmp_path: Path) -> None:
    assert list(check_configuration(situation(tmp_path, here=False))) == []
