"""A PostgreSQL URL means what libpq's manual says, and no message about one tells its password."""

from __future__ import annotations

import pytest
from psycopg.conninfo import conninfo_to_dict

from aitap.storage.database import StorageError, open_database
from aitap.storage.homes.postgres import PostgresHome
from aitap.storage.homes.postgres_url import read_url


@pytest.mark.parametrize(
    ("url", "name", "meant"),
    [
        (
            "postgresql://ann:pw@one:5432,two:5433/aitap?target_session_attrs=read-write",
            "postgresql://ann@one:5432,two:5433/aitap",
            {"host": "one,two", "port": "5432,5433", "password": "pw", "target_session_attrs": "read-write"},
        ),
        (
            "postgresql:///aitap?host=/run/pg&port=5433&password=pw",
            "postgresql:///aitap?host=/run/pg&port=5433",
            {"host": "/run/pg", "port": "5433", "password": "pw"},
        ),
        ("postgres://ann:p@ss:w@[::1]:5433/aitap", "postgresql://ann@[::1]:5433/aitap", {"password": "p@ss:w"}),
        ("postgresql://ann:%2F%3F@h/aitap?sslmode=require", "postgresql://ann@h/aitap", {"password": "/?"}),
        ("postgresql:///aitap", "postgresql:///aitap", {}),
    ],
)
def test_a_url_says_the_same_to_the_driver_as_to_people(url: str, name: str, meant: dict[str, str]) -> None:
    read = read_url(url)
    assert read.name == name
    assert {"dbname": "aitap", **meant}.items() <= conninfo_to_dict(read.url).items()


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://ann:s3c/ret@127.0.0.1:1/x",
        "postgresql://ann:s3c?ret@127.0.0.1:1/x",
        "postgresql://ann:12?ret@127.0.0.1:1/x",
        "postgresql://ann:s3c%zzret@127.0.0.1:1/x",
        "postgresql://ann:s3c ret@127.0.0.1:1/x",
        "postgresql://ann:s3cret@127.0.0.1:port/x",
        "postgresql://ann:s3cret@[::1/x",
        "postgresql://127.0.0.1:1/x?user=ann&password=s3c%zzret",
        "postgresql://127.0.0.1:1/x?user=ann&password=s3c@ret",
        "postgresql://ann:s3c@ret@127.0.0.1:1/x",
        "postgresql://ann:s3cret@127.0.0.1:1/x?bogus=1",
    ],
)
def test_no_message_about_a_url_tells_a_part_of_its_password(url: str) -> None:
    with pytest.raises(StorageError) as caught:
        open_database(url)
    told = caught.value.args[0]
    assert "s3c" not in told
    assert "ret@" not in told
    assert "\n" not in told


def test_what_the_url_says_goes_before_what_we_say(monkeypatch: pytest.MonkeyPatch) -> None:
    def said(url: str) -> dict[str, str]:
        return PostgresHome(url).database(read_only=True).connect_params  # type: ignore[no-any-return]

    told = said(
        "postgresql:///aitap?options=-c%20search_path%3Daitap&connect_timeout=3&target_session_attrs=read-write"
    )
    assert "-c search_path=aitap" in told["options"]
    assert "timezone=UTC" in told["options"]
    assert "connect_timeout" not in told, "or it would win"
    assert told["target_session_attrs"] == "primary", "a session that reads would pass for a standby"
    monkeypatch.setenv("PGOPTIONS", "-c search_path=theirs")
    assert "-c search_path=theirs" in said("postgresql:///aitap")["options"]
