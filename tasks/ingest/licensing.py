"""Sessions and licenses: from what we are told to what the aggregates decide.

A handler looks at what is known, lets the aggregate decide, and returns it with its new facts. Aggregates are kept
through a batch, so later messages of the same batch are decided on what earlier ones brought about.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final, NamedTuple
from uuid import UUID

import msgspec

from domain.aggregate import Aggregate, Event, replay
from domain.cause import Cause
from domain.license import License, license_stream
from domain.license_events import CALENDAR
from domain.license_messages import LicenseChangeData, LicenseIssuedData
from domain.license_refusals import LicenseAlreadyIssued, LicenseUnknown
from domain.messages import SessionEndedData, SessionStartedData, SignalReceivedData
from domain.session import Session, session_stream
from domain.session_denial import SessionDenied, denial
from domain.session_refusals import SessionAlreadyStarted, SessionUnknown
from domain.signal import SignalReceived
from infra.event_store import NewEvent, caused
from tasks.ingest import license_changes
from tasks.ingest.reading import Told


class Known:
    """The aggregates that a batch is about, as they stand after what has been decided so far.

    Args:
        streams: stored events by stream; a stream without any has no aggregate yet.
        default_patience: silence after which a session lapses where its license does not say.
    """

    def __init__(self, streams: Mapping[str, list[Event]], *, default_patience: timedelta) -> None:
        self.default_patience = default_patience
        self._aggregates = {stream: replay(events) for stream, events in streams.items()}
        self._taken: dict[str, int] = {}

    def look_again(self, streams: Mapping[str, list[Event]], taken: Mapping[str, int]) -> None:
        """Licenses that are locked now: their streams as they are, and how many seats of each are taken."""
        self._aggregates |= {stream: replay(events) for stream, events in streams.items()}
        self._taken |= taken

    def counts_seats(self, license_id: str) -> bool:
        """Whether it is a license with a number of seats."""
        found = self._aggregates.get(license_stream(license_id))
        return isinstance(found, License) and found.seats is not None

    def taken(self, license_: License) -> int | None:
        """How many of the license's seats are taken, after what has been decided so far; None: it has no number."""
        return None if license_.seats is None else self._taken.get(license_.license_id, 0)

    def take(self, session: Session, seats: int) -> None:
        """The session has taken so many seats more (1), or given them back (-1)."""
        self._taken[session.license_id] = self._taken.get(session.license_id, 0) + seats

    def session(self, session_id: str) -> Session:
        """The session.

        Raises:
            SessionUnknown: it was never started.
        """
        found = self._aggregates.get(session_stream(session_id))
        if not isinstance(found, Session):
            raise SessionUnknown(session_stream(session_id))
        return found

    def license(self, license_id: str) -> License:
        """The license.

        Raises:
            LicenseUnknown: it was never issued.
        """
        found = self._aggregates.get(license_stream(license_id))
        if not isinstance(found, License):
            raise LicenseUnknown(license_stream(license_id))
        return found

    def __contains__(self, stream_id: str) -> bool:
        return self._aggregates.get(stream_id) is not None

    def keep(self, aggregate: Aggregate) -> None:
        """Remember an aggregate for the rest of the batch."""
        self._aggregates[aggregate.id] = aggregate


Following = Callable[[UUID], SessionDenied | SignalReceived]
"""From the id of the message to the fact that follows from it alone: what it tells was denied, or is a signal."""


class Handler(NamedTuple):
    """How one type of message is dealt with."""

    streams: Callable[[Any], tuple[str, ...]]
    """The streams that have to be known to decide, from the message's data."""
    decide: Callable[[Known, Any, datetime], Aggregate | Following]
    """From what is known, the data and the time it occurred, to the aggregate with its new facts, or to a fact."""
    capped: bool = False
    """Whether it cannot have occurred after we were told."""


def streams_of(told: Iterable[Told]) -> set[str]:
    """Every stream that has to be known to decide about ``told``."""
    return {stream for each in told for stream in HANDLERS[each.event.type].streams(each.data)}


def locked_for(known: Known, told: Iterable[Told]) -> set[str]:
    """Ids of the licenses about which nobody else may decide meanwhile.

    Those that change, and those whose seats are counted and that a session is to begin under.
    """
    begun = {each.data.license_id for each in told if isinstance(each.data, SessionStartedData)}
    changed = {each.data.license_id for each in told if isinstance(each.data, LicenseChangeData)}
    return changed | {each for each in begun if known.counts_seats(each)}


def decide(known: Known, told: Told) -> list[NewEvent]:
    """The facts that a message brings about.

    Raises:
        Refusal: the domain says no; nothing has changed.
    """
    handler = HANDLERS[told.event.type]
    decided = handler.decide(known, told.data, told.occurred_at if handler.capped else told.event.time)
    if not isinstance(decided, Aggregate):
        return caused([decided(told.cause.id)], told.cause)
    known.keep(decided)
    facts = [fact for fact in decided.collect_events() if isinstance(fact, Event)]
    return [_answerable(new) for new in caused(facts, _cause(told))]


def _cause(told: Told) -> Cause:
    """The message; who is answerable for the change of a license may stand in its data."""
    actor = told.data.actor if isinstance(told.data, LicenseChangeData) else None
    return told.cause if actor is None else msgspec.structs.replace(told.cause, actor=actor)


def _answerable(new: NewEvent) -> NewEvent:
    """For what time had brought before the message came, nobody is."""
    return new._replace(metadata={**new.metadata, "actor": "calendar"}) if isinstance(new.event, CALENDAR) else new


def _start_session(known: Known, data: SessionStartedData, at: datetime) -> Session | Following:
    if session_stream(data.session_id) in known:
        raise SessionAlreadyStarted(session_stream(data.session_id))
    under = known.license(data.license_id)
    taken = known.taken(under)
    use: dict[str, Any] = {"session_id": data.session_id, "under": under, "taken": taken, "at": at, "host": data.host}
    if (reason := denial(under, at=at, taken=taken)) is not None:
        return lambda cause: SessionDenied.record(cause, reason, **use)
    session = Session.start(**use, default_patience=known.default_patience)
    known.take(session, 1)
    return session


def _receive_signal(_known: Known, data: SignalReceivedData, at: datetime) -> Following:
    return lambda cause: SignalReceived.record(cause, signal=data.signal, key=data.key, details=data.details, at=at)


def _end_session(known: Known, data: SessionEndedData, at: datetime) -> Session:
    session = known.session(data.session_id)
    held = session.holds_seat
    session.end(reason=data.reason, at=at)
    known.take(session, -int(held))
    return session


def _issue(known: Known, data: LicenseIssuedData, at: datetime) -> License:
    if license_stream(data.license_id) in known:
        raise LicenseAlreadyIssued(license_stream(data.license_id))
    return license_changes.issue(data, at)


def _change(known: Known, data: LicenseChangeData, at: datetime, *, change: Callable[..., None]) -> License:
    found = known.license(data.license_id)
    change(found, data, at)
    return found


def _none(_data: SignalReceivedData) -> tuple[str, ...]:
    return ()


def _its_session(data: SessionEndedData) -> tuple[str, ...]:
    return (session_stream(data.session_id),)


def _session_and_license(data: SessionStartedData) -> tuple[str, ...]:
    return (session_stream(data.session_id), license_stream(data.license_id))


def _its_license(data: LicenseChangeData) -> tuple[str, ...]:
    return (license_stream(data.license_id),)


HANDLERS: Final[dict[str, Handler]] = {
    "session.started": Handler(_session_and_license, _start_session, capped=True),
    "session.ended": Handler(_its_session, _end_session, capped=True),
    "signal.received": Handler(_none, _receive_signal, capped=True),
    "license.issued": Handler(_its_license, _issue),
    **{
        name: Handler(_its_license, partial(_change, change=change), capped=True)
        for name, change in license_changes.CHANGES.items()
    },
}
"""By the type of the message."""
