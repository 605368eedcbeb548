"""Header fields by lower-case name, decoded only when somebody asks."""

from __future__ import annotations

from collections.abc import Iterator, KeysView, Mapping, Sequence

__all__ = ["Headers"]

_names: dict[bytes, str] = {}
_MOST_NAMES = 4096
_LONGEST_NAME = 64


def _name(raw: bytes) -> str:
    name = raw.decode("latin-1").lower()
    if len(_names) < _MOST_NAMES and len(raw) <= _LONGEST_NAME:  # strangers choose names, too
        _names[raw] = name
    return name


class Headers(Mapping[str, str]):
    """Raw fields as mitmproxy keeps them (pairs of bytes). Of a repeated field the first counts."""

    __slots__ = ("_fields",)

    def __init__(self, fields: Sequence[tuple[bytes, bytes]]) -> None:
        self._fields: dict[str, bytes] = {_names.get(name) or _name(name): value for name, value in reversed(fields)}

    @classmethod
    def of(cls, raw: dict[str, bytes]) -> Headers:
        """From what :attr:`raw` gave."""
        headers = cls(())
        headers._fields = raw
        return headers

    @property
    def raw(self) -> dict[str, bytes]:
        """Name and undecoded value of each field."""
        return self._fields

    def __getitem__(self, name: str) -> str:
        return self._fields[name].decode("utf-8", "replace")

    def get(self, name: str, default: str | None = None) -> str | None:  # type: ignore[override]
        """The value of a field, or ``default``."""
        value = self._fields.get(name)
        return default if value is None else value.decode("utf-8", "replace")

    def keys(self) -> KeysView[str]:
        """The names, lower-case."""
        return self._fields.keys()

    def __contains__(self, name: object) -> bool:
        return name in self._fields

    def __iter__(self) -> Iterator[str]:
        return iter(self._fields)

    def __len__(self) -> int:
        return len(self._fields)
