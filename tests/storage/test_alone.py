"""Work that one process of all does at a time."""

from __future__ import annotations

import pytest

from aitap.storage.alone import alone
from aitap.storage.database import open_database
from tests import postgres


@pytest.fixture
def url():
    url = postgres.fresh()
    yield url
    postgres.drop(url)


def test_on_a_server_the_second_leaves_it_to_the_first_until_that_is_done(url: str) -> None:
    first, second = open_database(url), open_database(url)
    working = alone(first, "retention", iter([1, 2]))
    assert next(working) == 1
    assert list(alone(second, "retention", iter([3]))) == []
    assert list(alone(second, "another", iter([4]))) == [4]
    assert list(working) == [2]
    assert list(alone(second, "retention", iter([3]))) == [3]
    first.close()
    second.close()


def test_a_process_that_dies_or_gives_up_lets_others_do_it(url: str) -> None:
    first, second = open_database(url), open_database(url)
    working = alone(first, "retention", iter([1, 2]))
    assert next(working) == 1
    first.close()
    assert list(alone(second, "retention", iter([3]))) == [3]
    given_up = alone(second, "retention", iter([4, 5]))
    assert next(given_up) == 4
    del given_up
    third = open_database(url)
    assert list(alone(third, "retention", iter([6]))) == [6]
    second.close()
    third.close()


def test_in_a_file_every_process_may(database_file: str) -> None:
    first, second = open_database(database_file, migrate=True), open_database(database_file)
    working = alone(first, "retention", iter([1, 2]))
    assert next(working) == 1
    assert list(alone(second, "retention", iter([3]))) == [3]
    assert list(working) == [2]


@pytest.fixture
def database_file(tmp_path):
    return f"sqlite:///{tmp_path}/x.db"
