"""Words as conditions."""

from __future__ import annotations

import pytest
from peewee import Database

from aitap.storage.database import rows_of
from aitap.storage.text_matching import MOST_WORDS, like_condition, like_values, words_of


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", []),
        ("  \t", []),
        ("one two", ["one", "two"]),
        ('"one two" three', ["one two", "three"]),
        ('"not closed', ["not closed"]),
        ('"" x', ["x"]),
        ("twice twice", ["twice"]),
        ("nul\0l", ["null"]),
    ],
)
def test_words_are_told_apart_by_spaces_and_quotes(text: str, words: list[str]) -> None:
    assert words_of(text) == words


def test_no_more_words_than_a_statement_takes() -> None:
    assert len(words_of(" ".join(map(str, range(100))))) == MOST_WORDS


@pytest.mark.parametrize(
    ("text", "words", "fits"),
    [
        ("Run the tests", ["TESTS", "run"], True),
        ("Run the tests", ["tests", "jump"], False),
        ("100% sure", ["100%"], True),
        ("100 sure", ["100%"], False),
        ("snake_case", ["snake_c"], True),
        ("snakeXcase", ["snake_c"], False),
        ("C:\\temp", ["c:\\t"], True),
        ("日本語のテキスト", ["語の"], True),
        ("it's '; DROP TABLE users; --", ["'; drop table"], True),
    ],
)
def test_every_word_is_meant_as_it_stands(database: Database, text: str, words: list[str], fits: bool) -> None:
    mark = "CAST(? AS TEXT)"
    sql = f"SELECT 1 WHERE {like_condition(database, mark, len(words))}"
    values = [value for pattern in like_values(words) for value in (text, pattern)]
    assert bool(rows_of(database, sql, values)) is fits
