"""What is answered where the answer is no: the reference's error bodies.

A body has ``message``, ``detail`` where there is more to say, and ``validations`` where single fields are wrong.
"""

from __future__ import annotations

from typing import Any

__all__ = ["Problem", "invalid_parameters", "not_found"]


class Problem(Exception):  # noqa: N818 - it is an answer
    """A request is refused, with an HTTP status and a body that says why."""

    def __init__(
        self,
        status: int,
        message: str,
        detail: str = "",
        *,
        validations: dict[str, str] | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        """``validations``: what is wrong, by field."""
        super().__init__(message)
        self.status = status
        self.message = message
        self.detail = detail
        self.validations = validations or {}
        self.headers = headers or {}

    @property
    def body(self) -> dict[str, Any]:
        """The JSON object to answer with."""
        found: dict[str, Any] = {"message": self.message}
        if self.detail:
            found["detail"] = self.detail
        if self.validations:
            found["validations"] = [{"field": field, "detail": text} for field, text in self.validations.items()]
        return found


def invalid_parameters(validations: dict[str, str]) -> Problem:
    """Query parameters that cannot be what they are."""
    return Problem(400, "Query parameters have invalid values.", validations=validations)


def not_found(message: str) -> Problem:
    """There is no such thing, or the caller may not know of it: which of the two is not told."""
    return Problem(404, message)
