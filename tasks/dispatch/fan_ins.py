"""The follower that counts the ends of fan-ins' members, and asks for the body once enough have succeeded."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Final
from uuid import uuid5

import structlog

from domain.fan_in import Count, FanInDeclared, Standing, fan_in_stream, standing
from domain.run import END_NAMES
from domain.story import StoryRevocationRequested
from domain.task_run import TaskEvent, TaskFailed, TaskRequested, TaskRevoked, TaskSucceeded
from infra.event_store import EventStore, Log, NewEvent, Page, Recorded, Transaction
from infra.event_store import fan_ins as members
from infra.event_store.stories import RevokedStories, open_fan_ins_of_story
from tasks.dispatch.causes import cause_of
from tasks.dispatch.follower import LogFollower
from tasks.dispatch.outcomes import WentWrong, went_wrong
from tasks.dispatch.place import Place
from tasks.dispatch.settling import ACTOR, CONTINUE, NotHandedOnError, Settling, ends_of_steps
from tasks.dispatch.subject import run_id_of

FOLLOWER: Final = "dispatch.fan_ins"
NAMES: Final = (FanInDeclared.TOPIC, StoryRevocationRequested.TOPIC, *sorted(END_NAMES))

log = structlog.get_logger(__name__)


class FanInFollower(LogFollower):
    """Counts each end once, in the transaction that moves its checkpoint.

    Args:
        store: the log.
        clock: the present, UTC.
        page_events: most events of one look.
    """

    def __init__(self, store: EventStore, *, clock: Callable[[], datetime], page_events: int) -> None:
        super().__init__(store, Place(FOLLOWER, Log.TASKS))
        self._clock = clock
        self._page_events = page_events
        self._revoked_stories = RevokedStories()

    def step(self) -> bool:
        """Count what one page tells; whether there was anything.

        Raises:
            CheckpointMovedError: another dispatcher is at work.
        """
        page = self._store.read(Log.TASKS, after=self.place.position, limit=self._page_events, names=NAMES)
        for unreadable in page.unreadable:
            log.error("no fan-in can count this event", event=unreadable)
        if not page.events:
            self.place.position = page.position
            return False
        self._store.look_for_revoked_stories(self._revoked_stories)
        with self._store.transaction() as transaction:
            news = [do(transaction, page) for do in (self._count, self._revoke, self._end_bodies)]
            if is_news := any(news) or self.place.is_far_behind(page.position):
                self.place.store(transaction, to=page.position)
        if is_news:
            self.place.stored(page.position)
        else:  # mostly: no member of a fan-in has ended, and a commit that writes nothing costs next to nothing
            self.place.position = page.position
        return True

    def _count(self, transaction: Transaction, page: Page) -> bool:
        """Whether any fan-in, or member of one, was told of."""
        ends = {run_id_of(each.event.originator_id): each for each in page.events if each.event.TOPIC in END_NAMES}
        names = {run: each.event.TOPIC for run, each in ends.items()}
        for each in page.events:
            if isinstance(each.event, FanInDeclared):
                told = each.event
                fan_in_id = told.originator_id.removeprefix(fan_in_stream(""))
                members.note_members(transaction.connection, fan_in_id, told.members)
                # Of those that ended before it was declared nobody will be told again.
                names |= members.ends_of(transaction.connection, {run for links in told.members for run in links})
        is_succeeded = {run: name == TaskSucceeded.TOPIC for run, name in names.items()}
        news = members.note_ends(transaction.connection, is_succeeded)
        for fan_in_id, count in members.counts(transaction.connection, sorted(news)).items():
            self._settle(transaction, fan_in_id, count)
        return bool(news) or any(isinstance(each.event, FanInDeclared) for each in page.events)

    def _settle(self, transaction: Transaction, fan_in_id: str, count: Count) -> None:
        settling = self._settling(transaction, fan_in_id, count)
        if settling is None or self._is_settled(settling, count):
            members.forget(transaction.connection, fan_in_id)  # of later ends nothing follows

    def _is_settled(self, settling: Settling, count: Count) -> bool:
        came_to = standing(count, settling.declared.least)
        if (revocation := self._revoked_stories.of(settling.correlation_id)) is not None:
            settling.revoke(revocation)
        elif came_to is Standing.FAILED:
            settling.fail()
        elif came_to is Standing.COMPLETED:
            try:
                settling.complete()
            except NotHandedOnError as error:
                settling.fail(str(error))
        else:
            return False
        return True

    def _settling(self, transaction: Transaction, fan_in_id: str, count: Count) -> Settling | None:
        stream = fan_in_stream(fan_in_id)
        story = transaction.load_recorded(Log.TASKS, [stream]).get(stream, [])
        declared = next((each for each in story if isinstance(each.event, FanInDeclared)), None)
        if declared is None or len(story) > 1:
            return None
        return Settling(transaction, fan_in_id, declared, count, at=self._clock())

    def _revoke(self, transaction: Transaction, page: Page) -> bool:
        """Settle what waits in stories that were taken back, nothing has to end for that; whether there was any."""
        is_news = False
        for each in page.events:
            event = each.event
            if isinstance(event, StoryRevocationRequested):
                is_news = True
                open_ = open_fan_ins_of_story(transaction.connection, event.correlation_id)
                self._settle_all(transaction, open_)
            elif isinstance(event, FanInDeclared) and self._revoked_stories.of(each.metadata.get("correlation_id")):
                self._settle_all(transaction, [event.originator_id])
        return is_news

    def _end_bodies(self, transaction: Transaction, page: Page) -> bool:
        """End the runs of bodies that are never sent, or not whole; whether there was any."""
        is_news = False
        for each in page.events:
            if isinstance(each.event, TaskEvent) and each.event.task == CONTINUE and (why := went_wrong(each.event)):
                is_news = True
                self._end_body(transaction, each, why)
        return is_news

    def _settle_all(self, transaction: Transaction, streams: list[str]) -> None:
        ids = [stream.removeprefix(fan_in_stream("")) for stream in streams]
        for fan_in_id, count in members.counts(transaction.connection, ids).items():
            self._settle(transaction, fan_in_id, count)

    def _end_body(self, transaction: Transaction, ended: Recorded, why: WentWrong) -> None:
        """A body of several tasks was not sent: its runs end as the one that was to send it; what did begin goes on."""
        end, at = ended.event, self._clock()
        story = transaction.load(Log.TASKS, [end.originator_id])[end.originator_id]
        called = next((each.kwargs for each in story if isinstance(each, TaskRequested)), {})
        unsent = [each for each in (called.get("body"), *(called.get("chain") or ())) if isinstance(each, dict)]
        facts: list[TaskEvent]
        if isinstance(end, TaskRevoked):
            said = {"error_type": why.error_type, "error": why.error, "decided_by": end.decided_by}
            facts = [fact for each in unsent for fact in ends_of_steps(each, TaskRevoked, said, at=at)]
        else:
            said = {"error_type": "ChordError", "error": f"it could not be sent: {why.error_type}: {why.error}"}
            facts = [fact for each in unsent for fact in ends_of_steps(each, TaskFailed, said, at=at)]
            begun = transaction.load(Log.TASKS, [fact.originator_id for fact in facts])
            facts = [fact for fact in facts if not begun.get(fact.originator_id)]
        metadata = cause_of(ended, actor=ACTOR).metadata()
        new = [NewEvent(fact, uuid5(ended.event_id, fact.originator_id), metadata) for fact in facts]
        transaction.append_each(Log.TASKS, new)
