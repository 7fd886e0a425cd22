"""Parcels: what one lane makes of one page of the tasks log."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import datetime
from typing import NamedTuple

import structlog

from infra.broker.frames import OutgoingMessage
from infra.event_store import EventStore, EventUnreadableError, Log, NewEvent, Page, Recorded
from infra.event_store.revocations import Revocation
from infra.event_store.stories import RevokedStories
from tasks.dispatch.celery_message import UnpublishableError, celery_message
from tasks.dispatch.lane import Lane
from tasks.dispatch.outcomes import Evidence, evidence, published, rejected, revoked, unreadable
from tasks.dispatch.subject import fields_of, run_id_of

log = structlog.get_logger(__name__)


class OutgoingRun(NamedTuple):
    """A run and the message that asks for it."""

    requested: Recorded
    message: OutgoingMessage


class Parcel:
    """The runs of one lane in one page, and what has become of each.

    Attributes:
        waiting: those that have to be published.
        facts: what is to be recorded.
        left: those that could not be published this time.
        postponed: how many have not been tried. After a failure one run goes ahead of the others, to see whether the
            way is free: the broker keeps a copy of every unroutable message.
    """

    def __init__(self, lane: Lane) -> None:
        self.lane = lane
        self.waiting: list[OutgoingRun] = []
        self.facts: list[NewEvent] = []
        self.left: list[OutgoingRun] = []
        self.postponed = 0
        self._reasons: Counter[str] = Counter()

    def __bool__(self) -> bool:
        """Whether there is anything in it to publish or to record."""
        return bool(self.waiting or self.facts or self.left)

    @property
    def is_done(self) -> bool:
        """Whether every run in it has been dealt with."""
        return not self.left and not self.postponed

    def sort(self, run: Recorded, *, known: Evidence, at: datetime) -> None:
        """Put a run where it belongs: to be published, to be recorded, or settled."""
        if known is Evidence.SETTLED:
            return
        try:
            outgoing = OutgoingRun(run, celery_message(run))
        except UnpublishableError as error:
            self.reject(run, reason=str(error), at=at)
            return
        if known is Evidence.SEEN or run.event_id in self.lane.confirmed:
            self.confirm(outgoing, at=at)
        elif self.lane.backoff.is_failing and self.waiting:
            self.postponed += 1
        else:
            self.waiting.append(outgoing)

    def revoke(self, run: Recorded, revocation: Revocation, *, at: datetime) -> None:
        """Somebody took the run back before it was published; that is its end."""
        log.info("run revoked", reason=revocation.text, **fields_of(run))
        self.facts.append(revoked(run, revocation, at=at))

    def confirm(self, run: OutgoingRun, *, at: datetime) -> None:
        """The broker holds the run."""
        self.lane.confirmed.add(run.requested.event_id)
        message = run.message
        self.facts.append(published(run.requested, queue=message.routing_key, priority=message.priority or 0, at=at))

    def reject(self, run: Recorded, *, reason: str, at: datetime) -> None:
        """No broker can carry the run; that is its end."""
        log.error("run rejected", reason=reason, **fields_of(run))
        self.facts.append(rejected(run, reason=reason, at=at))

    def leave(self, run: OutgoingRun, *, reason: str) -> None:
        """The broker does not, or nobody knows."""
        self.left.append(run)
        self._reasons[reason] += 1

    def settle(self, *, now: float, page_end: int) -> None:
        """Everything that became of the runs has been recorded; the lane goes on, or pauses before it tries again."""
        self.lane.confirmed.clear()
        if not self.is_done:
            self.lane.doubtful_to = max(self.lane.doubtful_to, page_end)
            self.lane.tried_to = max(self.lane.tried_to, page_end)
        if not self.left:
            self.lane.backoff.succeed()
            log.debug("runs published", tier=self.lane.tier.value, runs=len(self.facts))
            return
        log.warning(
            "runs not published; they stay in the log and are tried again",
            tier=self.lane.tier.value,
            runs=len(self.left) + self.postponed,
            published=len(self.facts),
            first_run=run_id_of(self.left[0].requested.event.originator_id),
            reasons=dict(self._reasons.most_common(3)),
            retry_in_seconds=self.lane.backoff.fail(now),
        )


def pack(
    page: Page, lane: Lane, *, store: EventStore, clock: Callable[[], datetime], revoked_stories: RevokedStories
) -> Parcel:
    """Sort the lane's runs in ``page``; where a run may have been published before, its stream is asked.

    Args:
        page: of accepted runs.
        lane: whose runs are meant.
        store: with the log.
        clock: the present, UTC.
        revoked_stories: those that were taken back, at least as far as the page goes.
    """
    parcel = Parcel(lane)
    now = clock()
    for unread in lane.unreadable_in(page):
        log.error("run rejected", run_id=run_id_of(unread.stream_id), reason=unread.reason)
        parcel.facts.append(unreadable(unread, at=now))
    runs = lane.runs_in(page)
    told = _told([run.event.originator_id for run in runs if run.position <= lane.doubtful_to], store)
    revocations = store.revocations(after=runs[0].position) if runs else {}
    for run in runs:
        known = told.get(run.event.originator_id, Evidence.NONE)
        story = run.metadata.get("correlation_id")
        revocation = revocations.get(run.event.originator_id) or revoked_stories.of(story)
        may_be_out = run.position <= lane.tried_to  # then its worker ends it
        if revocation and known is Evidence.NONE and not may_be_out and run.event_id not in lane.confirmed:
            parcel.revoke(run, revocation, at=now)
        else:
            parcel.sort(run, known=known, at=now)
    return parcel


def _told(streams: list[str], store: EventStore) -> dict[str, Evidence]:
    """What the streams say about their runs' publication."""
    try:
        return {stream: evidence(events) for stream, events in store.load(Log.TASKS, streams).items()}
    except EventUnreadableError as error:
        if len(streams) > 1:
            return {stream: said for each in streams for stream, said in _told([each], store).items()}
        log.warning(
            "a run's stream cannot be read; it may be published twice", run_id=run_id_of(streams[0]), reason=str(error)
        )
        return {}
