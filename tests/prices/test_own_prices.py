"""A user's rows of prices are checked: what is wrong with one is said in a line that names it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from aitap.capture.recorder import RecorderSettings
from aitap.prices.own_prices import OwnPrice, OwnPriceError, own_prices
from aitap.settings import SettingsError, load


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ({"input": 1, "output": 1}, "price row 1 says neither provider nor model"),
        ({"model": "m", "inptu": 1}, "unknown key 'inptu', did you mean 'input'?"),
        ({"model": "m", "input": 1}, "price row 1 needs input and output"),
        ({"model": ""}, "model is a name"),
        ({"model": 7, "input": 1, "output": 1}, "model is a name"),
        ({"model": "m", "input": -1, "output": 1}, "input = -1 is no number"),
        ({"model": "m", "input": "3", "output": 1}, "input = '3' is no number"),
        ({"model": "m", "input": True, "output": 1}, "input = True is no number"),
        ({"model": "m", "input": float("nan"), "output": 1}, "input = nan is no number"),
        ({"model": "m", "as": "antropic"}, "the book has no vendor 'antropic', did you mean 'anthropic'?"),
        ({"model": "m", "as": "anthropic", "input": 1}, "has both as and input"),
        ({"model": "m", "multiplier": 2, "input": 1, "output": 1}, "multiplier goes with as"),
        ({"model": "m", "as": "anthropic", "multiplier": "half"}, "multiplier = 'half' is no number"),
    ],
)
def test_what_is_wrong_is_one_line(row: dict[str, Any], words: str) -> None:
    with pytest.raises(OwnPriceError) as caught:
        own_prices([row])
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_single_table_is_told_how_it_is_written() -> None:
    with pytest.raises(OwnPriceError, match=r"under \[\[price\]\]"):
        own_prices({"model": "m"})


def test_a_star_stands_for_anything_and_nothing_else_for_anything_else() -> None:
    [row] = own_prices([{"model": "qwen[3]-*b?", "input": 1, "output": 1}])
    assert row.fits("any", "Qwen[3]-72B?")
    assert not row.fits("any", "qwen3-72b!")


def test_rows_stand_in_the_file_of_settings(tmp_path: Path) -> None:
    file = tmp_path / "aitap.toml"
    file.write_text('[[price]]\nprovider = "Ollama"\ninput = 0\noutput = 0\n[[price]]\nmodel = "x"\nas = "openai"\n')
    assert load(environ={"AITAP_CONFIG": str(file)}).prices == (
        OwnPrice(provider="Ollama", input=0.0, output=0.0),
        OwnPrice(model="x", like="openai"),
    )
    file.write_text('[[price]]\nprovider = "ollama"\n')
    with pytest.raises(SettingsError, match=r"aitap.toml: price row 1 needs input and output"):
        load(environ={"AITAP_CONFIG": str(file)})


def test_rows_reach_the_recorder_as_they_are() -> None:
    rows = own_prices([{"model": "m", "input": 0.1, "output": 2}, {"provider": "p", "as": "openai", "multiplier": 0.9}])
    sent = RecorderSettings("sqlite:////x.db", "u", "full", 1.0, 1.0, 1.0, prices=rows)
    came = msgspec.convert(msgspec.msgpack.decode(msgspec.msgpack.encode(sent)), RecorderSettings)
    assert came.prices == rows
