"""Judging: many aggregates are asked one question each, and what they decide is stored.

The read model suggested them; here they are loaded from the log and decide for themselves. Whoever else judges at the
same time, each decision is stored once: the one who comes second loses the race, looks again and finds it made.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any, Final, Protocol
from uuid import uuid5

import structlog

from domain.aggregate import Aggregate, Event, replay
from domain.cause import Cause
from domain.refusal import Refusal
from infra.database import DatabaseUnreachableError
from infra.event_store import EventStore, Log, LostRaceError, NewEvent, Transaction

LOOKS: Final = 5
"""How often a stream is judged whose races are lost; after that it is counted as failed."""

Question = Callable[[Any], object]
"""Asks an aggregate to decide; it records what it decides, or refuses."""

log = structlog.get_logger(__name__)


class Outcome(Enum):
    """What came of judging one aggregate."""

    CHANGED = auto()
    UNCHANGED = auto()
    REFUSED = auto()
    FAILED = auto()


@dataclass
class Judgement:
    """What came of judging many.

    Attributes:
        outcomes: how many aggregates per outcome.
        recorded: how many events per stored name.
    """

    outcomes: Counter[Outcome] = field(default_factory=Counter)
    recorded: Counter[str] = field(default_factory=Counter)


@dataclass
class Sifted:
    """What is left of decisions about many streams.

    Attributes:
        standing: what is to be appended, by stream.
        stale: streams that somebody else has changed: they are judged anew.
        denials: what is recorded of decisions that do not stand.
    """

    standing: dict[str, list[Event]]
    stale: list[str] = field(default_factory=list)
    denials: list[NewEvent] = field(default_factory=list)


class Sieve(Protocol):
    """Lets stand what may, where decisions about one stream depend on others."""

    def __call__(
        self, transaction: Transaction, stories: Mapping[str, list[Event]], decided: Mapping[str, list[Event]]
    ) -> Sifted:
        """What stands of ``decided``, on ``stories``, in the transaction that is going to append it."""


class Judge:
    """Judges on behalf of one cause, and keeps count.

    Args:
        store: the event store.
        cause: what it judges for.
        sieve: what decisions have to pass before they are appended; None: all stand.
    """

    def __init__(self, store: EventStore, cause: Cause, *, sieve: Sieve | None = None) -> None:
        self._store = store
        self._cause = cause
        self._metadata = cause.metadata()
        self._sieve = sieve
        self.judgement = Judgement()

    def ask(self, questions: Mapping[str, Question]) -> None:
        """Ask each stream's aggregate its question, and store what they decide.

        An aggregate that cannot be loaded or fails is logged and counted, and the others go on.

        Args:
            questions: by stream; all of the licensing log.

        Raises:
            DatabaseUnreachableError: the database is the trouble, not an aggregate.
        """
        pending = dict(questions)
        for _ in range(LOOKS):
            pending = {stream: questions[stream] for stream in self._look(pending)}
            if not pending:
                return
        for stream in pending:
            log.error("lost every race for this stream", stream=stream, looks=LOOKS)
        self.judgement.outcomes[Outcome.FAILED] += len(pending)

    def _look(self, questions: Mapping[str, Question]) -> list[str]:
        """Judge all at once, or one by one where one of them spoils it; the streams whose race was lost."""
        try:
            return self._judge(questions)
        except DatabaseUnreachableError:
            raise
        except Exception:
            if len(questions) > 1:
                return [lost for stream in questions for lost in self._look({stream: questions[stream]})]
            log.exception("an aggregate cannot be judged; the others go on", stream=next(iter(questions)))
            self.judgement.outcomes[Outcome.FAILED] += 1
            return []

    def _judge(self, questions: Mapping[str, Question]) -> list[str]:
        streams = self._store.load(Log.LICENSING, list(questions))
        decisions = {stream: _decide(streams.get(stream, []), question) for stream, question in questions.items()}
        decided = {stream: events for stream, (_, events) in decisions.items() if events}
        standing, lost = self._store_all(streams, decided)
        again = set(lost)
        judged = [stream for stream in decisions if stream not in again]
        denied = {stream for stream in judged if decided.get(stream) and not standing.get(stream)}
        self.judgement.outcomes.update(Outcome.REFUSED if s in denied else decisions[s][0] for s in judged)
        self.judgement.recorded.update(event.name for s in judged for event in standing.get(s, ()))
        return lost

    def _store_all(
        self, stories: Mapping[str, list[Event]], decided: Mapping[str, list[Event]]
    ) -> tuple[dict[str, list[Event]], list[str]]:
        """What stands and, of that, the streams whose race was lost."""
        if not decided:
            return {}, []
        with self._store.transaction() as transaction:
            sifted = Sifted(dict(decided)) if self._sieve is None else self._sieve(transaction, stories, decided)
            lost = sifted.stale + self._append(transaction, sifted.standing)
            transaction.append_each(Log.LICENSING, sifted.denials)
        return sifted.standing, lost

    def _append(self, transaction: Transaction, standing: Mapping[str, list[Event]]) -> list[str]:
        """The streams whose race was lost. Everyone appends in one order: nobody waits for each other."""
        single = [events[0] for _, events in sorted(standing.items()) if len(events) == 1]
        several = [events for _, events in sorted(standing.items()) if len(events) > 1]
        lost = []
        verdicts = transaction.append_each(Log.LICENSING, [self._new(event) for event in single])
        lost += [each.originator_id for each, told in zip(single, verdicts, strict=True) if told.outcome == "taken"]
        for events in several:  # all of a stream's or none
            try:
                transaction.append(Log.LICENSING, [self._new(event) for event in events])
            except LostRaceError as race:
                lost.append(race.stream_id)
        return lost

    def _new(self, event: Event) -> NewEvent:
        # By stream and version, for the next attempt of this run meets other aggregates in another order.
        place = f"{event.originator_id}/{event.originator_version}"
        return NewEvent(event, uuid5(self._cause.id, place), self._metadata)


def _decide(events: list[Event], question: Question) -> tuple[Outcome, list[Event]]:
    aggregate: Aggregate | None = replay(events)
    if aggregate is None:
        return Outcome.UNCHANGED, []
    try:
        question(aggregate)
    except Refusal as refusal:
        log.info("refused", reason=str(refusal))
        return Outcome.REFUSED, []
    decided = [event for event in aggregate.collect_events() if isinstance(event, Event)]
    return (Outcome.CHANGED if decided else Outcome.UNCHANGED), decided
