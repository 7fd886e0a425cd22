"""Winning seats again: a lapsed session that comes back has given its seat away, unless its rules let it keep it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from domain.aggregate import Event, replay
from domain.cause import Cause
from domain.license import License, license_stream
from domain.session import Session
from domain.session_denial import DenialReason, SessionDenied, Wish, denial_stream, resume_cause, seat_limit
from domain.session_events import SessionLapsed, SessionResumed
from infra.event_store import Log, NewEvent, Transaction
from infra.event_store.seats import lock_licenses, taken_seats
from tasks.catalog.judging import Sifted

Stories = Mapping[str, list[Event]]
NEVER: Final = datetime.max.replace(tzinfo=UTC)
Denial = dict[str, Any]
"""What :meth:`SessionDenied.record` is told."""


class SeatSieve:
    """Lets those resume for whom there is a seat; the others stay lapsed, and that is recorded once for each lapse.

    A seat is won by who is there: one that was denied is let in as of its newest heartbeat, and not as of a time at
    which others had the seats; one that has fallen silent since is not let in at all. Nobody wins a seat of a license
    whose use has ended: its sessions were ended, and their seats are free for nobody.

    Args:
        cause: what the sweep runs for.
        heard: by stream, the newest heartbeat of each session that may come back; it may change.
    """

    def __init__(self, cause: Cause, *, heard: Mapping[str, datetime | None]) -> None:
        self._cause = cause
        self._heard = heard

    def __call__(self, transaction: Transaction, stories: Stories, decided: Stories) -> Sifted:
        """What stands of ``decided``, in the transaction that appends it, with the licenses locked until it ends.

        Args:
            transaction: which has appended nothing yet.
            stories: by stream, the events that were decided on.
            decided: by stream, what follows.
        """
        back = [stream for stream, events in decided.items() if _came_back_at(events) < NEVER]
        if not back:
            return Sifted(dict(decided))
        sessions = {stream: _session(stories[stream]) for stream in decided}
        seats = _Seats(transaction, {sessions[stream].license_id for stream in back})
        waited = _denied(transaction, stories, back)
        gone = {each for each in waited if isinstance(decided[each][-1], SessionLapsed)}
        present = transaction.load(Log.LICENSING, list(decided))
        sifted = Sifted({})
        # Those that give a seat back first; of those that want one, whoever came back first.
        for stream in sorted(decided, key=lambda stream: (stream in back, _came_back_at(decided[stream]), stream)):
            if len(present.get(stream, ())) != len(stories[stream]):
                sifted.stale.append(stream)
                continue
            if stream in gone:
                continue
            events = self._won_late(stream, decided[stream]) if stream in waited else decided[stream]
            standing, denial = seats.sift(sessions[stream], events)
            if standing:
                sifted.standing[stream] = standing
            if denial is not None:
                sifted.denials.append(self._new(denial))
        return sifted

    def _won_late(self, stream: str, events: list[Event]) -> list[Event]:
        """The return of one that had to wait; what it did meanwhile it did without a seat."""
        back = events[0]
        newest = max(back.timestamp, self._heard.get(stream) or back.timestamp)
        return [msgspec.structs.replace(back, timestamp=newest)]

    def _new(self, denial: Denial) -> NewEvent:
        """Under an id that follows from the lapse: whoever judges it and however often, it is one denial."""
        return NewEvent(SessionDenied.record(**denial), denial["cause"], self._cause.metadata())


class _Seats:
    """The licenses, locked, and how many seats of each are taken after what has been decided so far."""

    def __init__(self, transaction: Transaction, license_ids: set[str]) -> None:
        lock_licenses(transaction.connection, license_ids)
        streams = transaction.load(Log.LICENSING, [license_stream(each) for each in license_ids])
        self._licenses = {stream: replay(events) for stream, events in streams.items()}
        self._taken = taken_seats(transaction.connection, license_ids)

    def sift(self, session: Any, events: list[Event]) -> tuple[list[Event], Denial | None]:
        """Up to where ``events`` stand, and the denial that ends them if one does."""
        under = self._licenses.get(license_stream(session.license_id))
        standing: list[Event] = []
        for event in events:
            held, changed = session.holds_seat, event
            if isinstance(event, SessionResumed) and not held and isinstance(under, License):
                taken = self._taken.get(under.license_id, 0)
                if (reason := _bar(under, taken=taken)) is not None:
                    return standing, _denial(session, event, under, reason=reason, taken=taken)
                if under.seats is not None:
                    changed = msgspec.structs.replace(event, seat=taken + 1, seats=under.seats)
            session = changed.mutate(session)
            self._taken[session.license_id] = self._taken.get(session.license_id, 0) + session.holds_seat - held
            standing.append(changed)
        return standing, None


def _bar(under: License, *, taken: int) -> DenialReason | None:
    """Why nobody may come back who holds no seat; a license that only admits nothing new bars nobody."""
    if under.ends_its_use:
        return DenialReason(under.state.value)
    limit = seat_limit(under)
    return DenialReason.NO_SEAT if limit is not None and taken >= limit else None


def _denial(session: Session, event: SessionResumed, under: License, *, reason: DenialReason, taken: int) -> Denial:
    return {
        "cause": resume_cause(session.id, event.originator_version - 1),
        "reason": reason,
        "session_id": session.session_id,
        "under": under,
        "taken": taken,
        "at": event.timestamp,
        "wish": Wish.RESUME,
    }


def _denied(transaction: Transaction, stories: Stories, back: Sequence[str]) -> set[str]:
    """Those of ``back`` whose return from the lapse that their story ends with was denied before."""
    denials = {denial_stream(resume_cause(stream, len(stories[stream]))): stream for stream in back}
    return {denials[each] for each in transaction.load(Log.LICENSING, list(denials))} if denials else set()


def _came_back_at(events: list[Event]) -> datetime:
    """When a session first came back, by what was decided about it; :data:`NEVER` if it did not."""
    return min((event.timestamp for event in events if isinstance(event, SessionResumed)), default=NEVER)


def _session(story: list[Event]) -> Session:
    found = replay(story)
    if not isinstance(found, Session):
        raise TypeError("a session's story begins with its start")
    return found
