"""A memory of answers that strangers cannot fill: so many of them, and only those to short questions.

A cache that counts its entries is no bound where clients choose the keys: a path may have 64 kilobytes, and four
thousand such are a quarter of a gigabyte. What is longer than real clients send is answered anew each time.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, ParamSpec, Protocol, TypeVar, cast

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["LONGEST", "Remembering", "remembering"]

LONGEST = 1024
"""Characters, or bytes, of each argument of a question that is remembered."""

P = ParamSpec("P")
R_co = TypeVar("R_co", covariant=True)


class Remembering(Protocol[P, R_co]):
    """A function whose answers are remembered."""

    def __call__(self, *question: P.args, **_: P.kwargs) -> R_co:
        """The answer, remembered or found anew."""
        ...

    def cache_info(self) -> Any:
        """As of :func:`functools.lru_cache`."""
        ...


def remembering(function: Callable[P, R_co], *, entries: int) -> Remembering[P, R_co]:
    """``function``, which takes texts, bytes and integers by position, with a memory of ``entries`` answers."""
    known = cast("Callable[..., R_co]", lru_cache(maxsize=entries)(function))
    anew = cast("Callable[..., R_co]", function)

    def answer(*question: Any) -> R_co:
        for part in question:
            if part.__class__ is not int and len(part) > LONGEST:
                return anew(*question)
        return known(*question)

    answer.cache_info = known.cache_info  # type: ignore[attr-defined]
    return cast("Remembering[P, R_co]", answer)
