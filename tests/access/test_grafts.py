"""Methods that do more for a while."""

from __future__ import annotations

from typing import Any

from aitap.access.grafts import Grafts


class Base:
    def said(self) -> str:
        return "base"


class Derived(Base):
    pass


def saying(word: str) -> Any:
    return lambda original: lambda self: f"{word}({original(self)})"


def test_a_method_does_more_until_the_graft_is_removed() -> None:
    before = Base.__dict__["said"]
    grafts = Grafts()
    grafts.put(Base, "said", saying("one"))
    assert Base().said() == "one(base)"
    grafts.remove()
    assert Base.__dict__["said"] is before


def test_an_inherited_method_is_inherited_again() -> None:
    grafts = Grafts()
    grafts.put(Derived, "said", saying("one"))
    assert (Derived().said(), Base().said()) == ("one(base)", "base")
    grafts.remove()
    assert "said" not in Derived.__dict__


def test_parts_end_in_any_order() -> None:
    before = Base.__dict__["said"]
    first, second = Grafts(), Grafts()
    first.put(Base, "said", saying("first"))
    second.put(Base, "said", saying("second"))
    assert Base().said() == "second(first(base))"
    first.remove()
    assert Base().said() == "second(base)"
    second.remove()
    second.remove()
    assert Base.__dict__["said"] is before
