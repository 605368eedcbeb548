"""Words that a person looks for, as a condition of SQL: each must be in the text, in any case, in any order.

A word is any piece of text, so that parts of names, paths and other scripts are found too. ``"two words"`` in
double quotes are one. SQLite knows upper and lower case of ASCII letters alone.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from peewee import Database

__all__ = ["MOST_WORDS", "like_condition", "like_values", "words_of"]

MOST_WORDS = 8
_WORDS = re.compile(r'"([^"]*)"?|(\S+)')
_SPECIAL = re.compile(r"([\\%_])")


def words_of(text: str) -> list[str]:
    """The words of what was typed, at most ``MOST_WORDS``; what follows is left out."""
    found = (quoted or bare for quoted, bare in _WORDS.findall(text.replace("\0", "")))
    return list(dict.fromkeys(word for word in found if word.strip()))[:MOST_WORDS]


def like_condition(database: Database, text: str, count: int) -> str:
    """The condition that ``count`` words are in the expression ``text``; their values are :func:`like_values`."""
    like = "LIKE" if database.param == "?" else "ILIKE"
    return "(" + " AND ".join([rf"({text}) {like} ? ESCAPE '\'"] * count) + ")"


def like_values(words: Sequence[str]) -> list[str]:
    """The parameters of a condition for these words."""
    return ["%" + _SPECIAL.sub(r"\\\1", word) + "%" for word in words]
