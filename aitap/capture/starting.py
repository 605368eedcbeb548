"""What the proxy process sees to before it records: a database, or at least a spool, and a recorder's settings."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from mitmproxy import ctx
from peewee import PeeweeException

from aitap.capture.recorder import RecorderSettings
from aitap.storage.database import AwayError, open_database, passes
from aitap.storage.evidence.chain import has_evidence
from aitap.storage.evidence.keys import KEY, signing_key
from aitap.storage.spool.folders import Folder, make_folder
from aitap.storage.spool.own import SpoolSettings
from aitap.storage.users import ensure_user

if TYPE_CHECKING:
    from aitap.access.identity import Identity
    from aitap.observe.settings import ObserveSettings
    from aitap.settings import Settings

__all__ = ["reach_database", "recorder_settings", "spool_folder"]

logger = logging.getLogger(__name__)


def spool_folder(settings: Settings) -> Folder | None:
    """Where this proxy's records wait; None, and told, where no folder can be had."""
    if not settings.spool_limit:
        return None
    try:
        return make_folder(settings.spool, settings.database_url)
    except OSError as error:
        reason = error.strerror or error
        logger.warning("aitap: there is no spool, records wait in memory alone: %s: %s", settings.spool, reason)
        return None


def reach_database(settings: Settings, local: Identity, spool: Folder | None) -> None:
    """Make the database, or bring it to this version's schema. One that is away will do where there is a spool.

    Raises :class:`aitap.storage.database.StorageError`.
    """
    try:
        _reach(settings, local)
    except (AwayError, PeeweeException) as error:
        if spool is None or not (isinstance(error, AwayError) or passes(error)):
            raise
        logger.warning("aitap: THE DATABASE IS AWAY, records wait in %s: %s", spool.path, error)


def _reach(settings: Settings, local: Identity) -> None:
    database = open_database(settings.database_url, migrate=True)
    try:
        ensure_user(database, local.user_id, local.username)
        if not settings.tamper_evidence and has_evidence(database):
            logger.warning("aitap: this database is chained, this proxy chains nothing: `aitap verify` will find it")
    finally:
        database.close()  # the recorder has connections of its own


def recorder_settings(
    settings: Settings, local: Identity, observed: ObserveSettings, spool: Folder | None
) -> RecorderSettings:
    """What the recorder process has to know. Raises ``EvidenceKeyError``."""
    kept = None
    if spool is not None:
        sync = settings.spool_sync == "batch"
        kept = SpoolSettings(str(settings.spool), str(spool.path), settings.spool_limit, sync)
    return RecorderSettings(
        database_url=settings.database_url,
        initiator_id=local.user_id,
        capture=settings.capture,
        retention=settings.retention,
        content_retention=settings.content_retention,
        audit_retention=settings.audit_retention,
        flush_interval=settings.flush_interval,
        observe=observed,
        prices=settings.prices,
        redact=settings.redact,
        redactions=settings.redactions,
        evidence_key=_evidence_key(settings),
        initiator_name=local.username,
        spool=kept,
        strict=settings.durability == "strict",
    )


def _evidence_key(settings: Settings) -> str:
    """The file of the key that signs tamper evidence, made beside the CA at first; empty where there is to be none."""
    if not settings.tamper_evidence:
        return ""
    path = Path(settings.tamper_evidence_key or Path(ctx.options.confdir) / KEY).expanduser().absolute()
    signing_key(path)
    return str(path)
