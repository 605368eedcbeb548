"""A setting is said in one of four ways, and the nearer one to the user wins."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from aitap import settings
from aitap.settings import (
    SETTINGS,
    Settings,
    SettingsError,
    check_options,
    config_file,
    load,
)


@pytest.fixture(autouse=True)
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder and folders of the user without any file."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(settings, "config_folder", lambda: tmp_path / "config")
    monkeypatch.setattr(settings, "data_folder", lambda: tmp_path / "data")
    return tmp_path


def error_of(**arguments: Any) -> str:
    with pytest.raises(SettingsError) as caught:
        load(**{"environ": {}, **arguments})
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_without_a_word_the_defaults_hold(folders: Path) -> None:
    found = load(environ={})
    assert found.database_url == f"sqlite:///{folders}/data/aitap.db"
    assert (found.retention, found.capture, found.flush_interval) == (60 * 86400.0, "metadata+prompt", 0.1)


def test_option_beats_environment_beats_file_beats_default(folders: Path) -> None:
    (folders / "aitap.toml").write_text('retention = "1h"\ncapture = "minimal"\nflush_interval = "1s"')
    found = load({"retention": "3h", "capture": None}, {"AITAP_RETENTION": "2h", "AITAP_FLUSH_INTERVAL": "2s"})
    assert (found.retention, found.flush_interval, found.capture) == (3 * 3600.0, 2.0, "minimal")


@pytest.mark.parametrize("name", SETTINGS)
def test_every_setting_has_a_help_text_and_a_default_that_parses(name: str) -> None:
    assert SETTINGS[name].metadata["help"].endswith(".")
    assert hasattr(load(environ={}), name)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"environ": {"AITAP_RETENTON": "1h"}}, ["AITAP_RETENTON", "AITAP_RETENTION"]),
        ({"environ": {"AITAP_RETENTION": "soon"}}, ["retention", "soon", "environment", "60d"]),
        ({"options": {"capture": "all"}}, ["capture", "option", "minimal, metadata+prompt"]),
        ({"environ": {"AITAP_DATABASE_URL": "/x.db"}}, ["database_url", "sqlite:////absolute/path.db"]),
        ({"environ": {"AITAP_CONFIG": "/nowhere.toml"}}, ["AITAP_CONFIG", "/nowhere.toml"]),
    ],
)
def test_what_is_wrong_is_named_in_one_line(arguments: Mapping[str, Any], words: list[str]) -> None:
    text = error_of(**arguments)
    assert [word for word in words if word not in text] == []


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b'retentoin = "1h"', ["retentoin", "'retention'"]),
        (b"retention = ", ["aitap.toml"]),
        (b"\xff\xfe", ["aitap.toml"]),
        (b"retention = true", ["retention", "true"]),
    ],
)
def test_what_is_wrong_in_the_file_is_named_with_the_file(folders: Path, content: bytes, words: list[str]) -> None:
    (folders / "aitap.toml").write_bytes(content)
    text = error_of()
    assert [word for word in ["aitap.toml", *words] if word not in text] == []


def test_the_file_is_the_named_one_else_of_the_working_folder_else_the_users(folders: Path) -> None:
    assert config_file({}) is None
    (folders / "config").mkdir()
    users = folders / "config" / "aitap.toml"
    users.touch()
    assert config_file({}) == users
    here = folders / "aitap.toml"
    here.touch()
    assert config_file({}) == here
    named = folders / "named.toml"
    named.touch()
    assert config_file({"AITAP_CONFIG": str(named)}) == named


def test_foreign_variables_are_none_of_our_business() -> None:
    assert isinstance(load(environ={"PATH": "/bin", "XAITAP_RETENTION": "x"}), Settings)


def test_what_kubernetes_tells_of_a_service_by_our_name_is_no_setting() -> None:
    told = {
        "AITAP_SERVICE_HOST": "10.0.0.11",
        "AITAP_SERVICE_PORT": "8080",
        "AITAP_SERVICE_PORT_HTTP_PROXY": "8080",
        "AITAP_PORT": "tcp://10.0.0.11:8080",
        "AITAP_PORT_8080_TCP": "tcp://10.0.0.11:8080",
        "AITAP_PORT_8080_TCP_PROTO": "tcp",
        "AITAP_PORT_8080_TCP_PORT": "8080",
        "AITAP_PORT_8080_TCP_ADDR": "10.0.0.11",
        "AITAP_PROXY_SERVICE_HOST": "10.0.0.12",
        "AITAP_PROXY_PORT": "tcp://10.0.0.12:8080",
    }
    assert load(environ=told) == load(environ={})
    with pytest.raises(SettingsError, match="unknown variable AITAP_PORT"):
        load(environ={"AITAP_PORT": "9090"})


def test_an_option_that_is_no_setting_is_named_with_the_nearest_and_foreign_ones_pass() -> None:
    check_options(["aitap_retention", "listen_port"])
    with pytest.raises(SettingsError, match=r"aitap_retntion.*aitap_retention"):
        check_options(["aitap_retntion"])


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        load(environ={}).retention = 0.0  # type: ignore[misc]


def test_contents_are_kept_only_where_asked_for_and_then_as_long_as_their_records() -> None:
    assert (load(environ={}).capture, load(environ={}).content_retention) == ("metadata+prompt", 0.0)
    found = load({"capture": "full", "content_retention": "7d"}, {})
    assert (found.capture, found.content_retention) == ("full", 7 * 86400.0)
