"""A user's own providers in ``aitap.toml``."""

from __future__ import annotations

from pathlib import Path

import pytest

from aitap.capture.provider_rows import ProviderRow
from aitap.settings import SETTINGS, SettingsError, check_options, load

ROW = '[[provider]]\nname = "{}"\ntype = "openai"\nhosts = ["{}.example.com"]\nroutes = "compatible"\n'


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "aitap.toml"


def test_rows_of_the_file_are_in_the_settings_in_their_order(file: Path) -> None:
    file.write_text('retention = "30d"\n' + ROW.format("one", "a") + ROW.format("two", "b"))
    settings = load(environ={"AITAP_CONFIG": str(file)})
    assert settings.retention == 30 * 86400
    assert settings.providers == (
        ProviderRow("one", "openai", ("a.example.com",), "compatible"),
        ProviderRow("two", "openai", ("b.example.com",), "compatible"),
    )


def test_without_a_file_there_are_none() -> None:
    assert load(environ={}).providers == ()


def test_a_bad_row_names_the_file_the_row_and_the_nearest_word(file: Path) -> None:
    file.write_text(ROW.format("one", "a").replace('"compatible"', '"compatibel"'))
    with pytest.raises(SettingsError) as caught:
        load(environ={"AITAP_CONFIG": str(file)})
    assert str(caught.value) == f"{file}: provider 'one': unknown routes 'compatibel', did you mean 'compatible'?"


def test_a_misspelt_table_is_told_its_name(file: Path) -> None:
    file.write_text(ROW.format("one", "a").replace("[[provider]]", "[[providers]]"))
    with pytest.raises(SettingsError) as caught:
        load(environ={"AITAP_CONFIG": str(file)})
    assert str(caught.value) == f"{file}: unknown setting 'providers', did you mean 'provider'?"


def test_only_the_file_can_give_them() -> None:
    assert "providers" not in SETTINGS
    with pytest.raises(SettingsError, match="unknown variable AITAP_PROVIDERS"):
        load(environ={"AITAP_PROVIDERS": "x"})
    with pytest.raises(SettingsError, match="unknown option aitap_providers"):
        check_options(["aitap_providers"])
