"""Whole interceptions in bulk, for exports: what :mod:`aitap.storage.rows` gives as dicts, in half the time.

Each record is a structure whose JSON is byte for byte that of the dict: the same values in the same order, children
inline, in wire order; ``metadata`` is JSON already (:class:`msgspec.Raw`). They come oldest first, page by page, and no
more than one page is held in memory.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

import msgspec
from peewee import BooleanField, Tuple

from aitap.storage.database import question_marks, rows_of
from aitap.storage.fields import Json, Timestamp
from aitap.storage.filters import conditions, where
from aitap.storage.models import Interception
from aitap.storage.rows import CHILDREN, INTERCEPTION, Shape, initiators

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from peewee import Database

    from aitap.storage.filters import Filter

__all__ = ["Bulk", "as_dict"]

_PAGE = 500
_MOST_KNOWN = 10_000
_ID, _INITIATOR, _STARTED = map(INTERCEPTION.names.index, ("id", "initiator_id", "started_at"))
_PERSON = msgspec.defstruct("Person", ["id", "username", "name", "avatar_url"])


def as_dict(record: Any) -> dict[str, Any]:
    """The record as :mod:`aitap.storage.rows` gives it."""
    found: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(record))
    return found


class _Compact(dict[str, msgspec.Raw]):
    """JSON texts as JSON that is surely ours; most say what one before them said."""

    def __missing__(self, text: str) -> msgspec.Raw:
        if len(self) >= _MOST_KNOWN:
            self.clear()
        found = self[text] = msgspec.Raw(msgspec.json.encode(msgspec.json.decode(text)))
        return found


_STEPS = ((Timestamp, "{}.replace(' ', 'T')"), (Json, "compact[{}]"), (BooleanField, "bool({})"))


def _structure(shape: Shape, further: Iterable[str] = ()) -> Callable[..., Any]:
    """What makes a structure of a row of one table, and of the ``further`` values, as one expression."""
    # Nothing in a record refers back to it: the garbage collector need not look at a million of them.
    kind = msgspec.defstruct(shape.model.__name__, [*shape.names, *further], gc=False)
    values = ", ".join(shape.values(_STEPS, "nothing"))
    names = {"kind": kind, "compact": _Compact(), "nothing": msgspec.Raw(b"{}")}
    made: Callable[..., Any] = eval(f"lambda row, *more: kind({values}, *more)", names)  # noqa: S307 - names of our own
    return made


_RECORD = _structure(INTERCEPTION, ["initiator", *CHILDREN])
_CHILDREN = [
    (f"{shape.select} WHERE interception_id ", shape.names.index("interception_id"), _structure(shape))
    for shape in CHILDREN.values()
]


class Bulk:
    """Reads a database. What it has learnt of users it keeps, so it is for one snapshot."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._people: dict[str, Any] = {}
        self._dense = True

    def all(self, filter: Filter) -> Iterator[Any]:
        """All that match, oldest first."""
        order = Interception.started_at, Interception.id
        query = where(Interception.select(*INTERCEPTION.fields), conditions(filter)).order_by(*order).limit(_PAGE)
        sql, parameters = query.sql()
        first = True
        while True:
            rows = self._database.execute_sql(sql, parameters).fetchall()
            yield from self._whole(rows)
            if len(rows) < _PAGE:
                return
            last = rows[-1][_STARTED], rows[-1][_ID]
            if first:
                # The first of the two is what an index is asked. To build a statement takes longer than to run it, so
                # there is one for all pages.
                sql, parameters = query.where(order[0] >= last[0], Tuple(*order) > Tuple(*last)).sql()
                first = False
            else:
                parameters = [*parameters[:-4], last[0], *last, parameters[-1]]

    def some(self, ids: Sequence[str], filter: Filter) -> list[Any]:
        """Those of these interceptions, at most 500, that match; in their order."""
        query = Interception.select(*INTERCEPTION.fields).where(Interception.id.in_(ids), *conditions(filter))
        found = {row[_ID]: row for row in self._database.execute(query).fetchall()}
        return self._whole([found[own_id] for own_id in ids if own_id in found])

    def _whole(self, rows: Sequence[Sequence[Any]]) -> list[Any]:
        """Records of rows, with all that belongs to them."""
        if not rows:
            return []
        people = self._known({row[_INITIATOR] for row in rows})
        ids = {row[_ID] for row in rows}
        children = []
        for select, parent, made in _CHILDREN:
            lists: dict[str, list[Any]] = defaultdict(list)
            for child in self._rows(select, parent, ids):
                lists[child[parent]].append(made(child))
            children.append(lists.get)
        first, second, third, fourth = children
        return [
            _RECORD(
                row,
                people[row[_INITIATOR]],
                first(row[_ID], ()),
                second(row[_ID], ()),
                third(row[_ID], ()),
                fourth(row[_ID], ()),
            )
            for row in rows
        ]

    def _rows(self, select: str, parent: int, wanted: set[str]) -> Iterable[Sequence[Any]]:
        """The rows of one table that belong to the interceptions that are wanted, in wire order."""
        order = "ORDER BY interception_id, created_at, id"
        if self._dense:
            # Ids begin with the time, so a page of all there is lies together, and to read it so is quicker.
            sql = f"{select} BETWEEN ? AND ? {order} LIMIT ?"
            most = 20 * _PAGE
            rows = rows_of(self._database, sql, (min(wanted), max(wanted), most))
            found = [row for row in rows if row[parent] in wanted]
            # Where others lie between, by a filter or because what came was old, from then on each is asked for by id.
            self._dense = len(rows) < min(most, 2 * len(found) + _PAGE)
            if len(rows) < most:
                return found
        return rows_of(self._database, f"{select} IN {question_marks(len(wanted))} {order}", list(wanted))

    def _known(self, ids: set[str]) -> dict[str, Any]:
        """Who stands behind these ids, and others."""
        if new := ids - self._people.keys():
            if len(self._people) > _MOST_KNOWN:
                self._people = {}
                new = ids
            found = initiators(self._database, new)
            self._people |= {own_id: _PERSON(**person) for own_id, person in found.items()}
        return self._people
