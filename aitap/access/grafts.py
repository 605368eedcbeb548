"""Where mitmproxy has no hook: methods of its layers that do more while the proxy runs.

Classes stay what they are, since mitmproxy and other parts compare them; only a method is replaced, and put back.
Several parts may graft onto the same method, and end in any order.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Grafts"]


class _Place:
    """A method of a class, as it was, and what was grafted onto it, the first innermost."""

    def __init__(self, owner: type, name: str) -> None:
        self._owner = owner
        self._name = name
        self._own = owner.__dict__.get(name)
        """None where the method is inherited."""
        self._original = getattr(owner, name)
        self.grafted: list[tuple[Grafts, Callable[[Any], Any]]] = []

    def grow(self) -> None:
        """Make the method anew from what is grafted now."""
        if self.grafted:
            method = self._original
            for _, make in self.grafted:
                method = make(method)
            setattr(self._owner, self._name, method)
        elif self._own is None:
            delattr(self._owner, self._name)
        else:
            setattr(self._owner, self._name, self._own)


_places: dict[tuple[type, str], _Place] = {}


class Grafts:
    """The methods that one part replaces."""

    def put(self, owner: type, name: str, make: Callable[[Any], Any]) -> None:
        """Replace a method, an inherited one perhaps, by what ``make`` gives for the one there is."""
        place = _places.get((owner, name)) or _places.setdefault((owner, name), _Place(owner, name))
        place.grafted.append((self, make))
        place.grow()

    def remove(self) -> None:
        """Take back what this part replaced, and leave what others did."""
        for key, place in list(_places.items()):
            if any(grafts is self for grafts, _ in place.grafted):
                place.grafted = [(grafts, make) for grafts, make in place.grafted if grafts is not self]
                place.grow()
                if not place.grafted:
                    del _places[key]
