"""Tamper evidence: a chain of signed blocks that says what every committed record looked like.

A transaction that writes, changes or removes records adds a block in the same transaction: the digests of the
records as it left them, the ids of those that it removed, and the hash of the block before, all signed with a
key that is not in the database. Whoever changes, removes or adds a row past aitap cannot make the block that
says so; whoever changes a block breaks its signature; whoever takes a block away breaks the chain. Only a
chain cut off at its end looks whole: that is what a checkpoint kept elsewhere is for.

Writers hold the write lock of the database when they commit, so one chain serves all of them, whatever their
number and keys, and the order of its blocks is the order of their transactions. Digests of what was removed
stay in the chain; nothing else of it does.

The parts: :mod:`~aitap.storage.evidence.form` (what a record's digest is made of),
:mod:`~aitap.storage.evidence.block`, :mod:`~aitap.storage.evidence.keys`, :mod:`~aitap.storage.evidence.chain`
(writing), :mod:`~aitap.storage.evidence.verify`, :mod:`~aitap.storage.evidence.checkpoint`.
"""

from __future__ import annotations

__all__: list[str] = []
