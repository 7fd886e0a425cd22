"""Judging: which parts of the heartbeats log may go, and what keeps the others."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

from psycopg import Connection

from infra.event_store import Log
from infra.event_store.watermarks import last_watermark
from infra.events.seals import SealTable
from infra.retention.parts import Part, has_event_at, parts
from infra.retention.shelf import shelved_upto
from infra.settings import Settings
from projections.queries import StillBehindError, followers_behind, keeping_sessions, wait_for_sessions

LOG: Final = Log.HEARTBEATS
PATIENCE: Final = timedelta(seconds=5)
"""How long the read model of sessions may take to come to where its log stood."""

_NEWEST: Final = "select max(position) from event_store.heartbeat_events"


class Standing(NamedTuple):
    """Where a part stands.

    Attributes:
        part: which.
        reasons: what keeps it, for people; none: it may go.
        is_archived: whether all of it is in archives.
    """

    part: Part
    reasons: list[str]
    is_archived: bool


class _Facts(NamedTuple):
    """What is the same for all parts.

    Attributes:
        sealed_upto: the log is sealed up to here.
        shelved_upto: and in archives up to here.
        newest: position of its newest event.
        newest_watermark: position of the event that log time is read from; None: there is none.
        is_current: whether the read model of sessions has come to where its log stood a moment ago.
    """

    sealed_upto: int
    shelved_upto: int
    newest: int
    newest_watermark: int | None
    is_current: bool


def judge(connection: Connection[Any], settings: Settings, *, now: datetime) -> list[Standing]:
    """Every part with what keeps it, the oldest first.

    Args:
        connection: in autocommit.
        settings: how long heartbeats are kept, and where archives go.
        now: the present.
    """
    found = parts(connection)
    facts = _facts(connection)
    return [_judge(connection, part, facts, settings, now=now) for part in found]


def _facts(connection: Connection[Any]) -> _Facts:
    seals = SealTable(connection)
    last = seals.last(LOG)
    ((newest,),) = connection.execute(_NEWEST).fetchall()
    watermark = last_watermark(connection)
    return _Facts(
        sealed_upto=last.upto_position if last else 0,
        shelved_upto=shelved_upto(connection, LOG),
        newest=newest or 0,
        newest_watermark=watermark.position if watermark else None,
        is_current=_is_current(connection),
    )


def _is_current(connection: Connection[Any]) -> bool:
    """Whether the read model of sessions comes to where its log stands now."""
    try:
        wait_for_sessions(connection, within=PATIENCE)
    except StillBehindError:
        return False
    return True


def _judge(connection: Connection[Any], part: Part, facts: _Facts, settings: Settings, *, now: datetime) -> Standing:
    if part.last_position is None:
        return Standing(part, ["there is nothing in it"], is_archived=False)
    reasons = _age(part, settings.keep_heartbeats_days, now)
    if part.last_position > facts.sealed_upto:
        reasons.append("not all of it is sealed: the scheduler seals, or ledgerq events seal")
    if part.last_position >= facts.newest:
        reasons.append("it has the log's newest event, up to which followers read")
    if facts.newest_watermark is not None and has_event_at(connection, part, facts.newest_watermark):
        reasons.append("log time is read from it: ingest has not passed a newer watermark")
    if behind := followers_behind(connection, LOG, position=part.last_position):
        reasons.append(f"not passed yet by {', '.join(behind)}: see ledgerq projection lag; a draft may be dropped")
    reasons += _sessions(connection, part, is_current=facts.is_current)
    if settings.archive_dir is None:
        reasons.append("there is nowhere to archive it: LEDGERQ_ARCHIVE_DIR is not set")
    return Standing(part, reasons, is_archived=part.last_position <= facts.shelved_upto)


def _age(part: Part, keep_days: float | None, now: datetime) -> list[str]:
    if keep_days is None:
        return ["heartbeats are kept for ever: LEDGERQ_KEEP_HEARTBEATS_DAYS is not set"]
    until = part.ends_at + timedelta(days=keep_days)
    return [f"it is kept until {until:%Y-%m-%d %H:%M} UTC"] if until > now else []


def _sessions(connection: Connection[Any], part: Part, *, is_current: bool) -> list[str]:
    if not is_current:
        return ["nobody knows which sessions are open: the read model of sessions is behind its log"]
    found = keeping_sessions(connection, before=part.ends_at)
    if not found.total:
        return []
    more = ", …" if found.total > len(found.first) else ""
    return [f"{found.total:,} sessions of that time are open or may resume: {', '.join(found.first)}{more}"]
