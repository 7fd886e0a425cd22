"""Inquiries: what the log knows of an attempt whose message was delivered before.

A redelivered message says that its worker died or lost its connection, and not whether a child had begun the attempt:
a worker has messages in hand before a child is free for them. The log is asked, in the background; such messages are
rare, and nothing else a worker does needs the database.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from enum import Enum, auto
from queue import SimpleQueue
from typing import Final, NamedTuple

import structlog

from domain.aggregate import Event
from domain.task_run import (
    SLOT_END,
    Phase,
    TaskFailed,
    TaskLost,
    TaskRejected,
    TaskRetryScheduled,
    TaskStarted,
    TaskTimedOut,
    attempt_slot,
    run_stream,
)
from infra.database import DatabaseUnreachableError
from infra.event_store import EventStore, EventUnreadableError, Log
from tasks.worker.attempt import Attempt

SPARED_AT_MOST: Final = 3
"""Redeliveries of a run that do not count. Without a bound, a task that ends its worker before the start of the attempt
has reached the log would be tried for ever."""
PATIENCE_SECONDS: Final = 10.0
"""How long an answer is waited for while the database is away."""
_PAUSE_SECONDS: Final = 0.5
SETTLING_SECONDS: Final = 0.5
"""Before the log is asked: what a dying worker said last is to be stored by then."""
_DEAD_ENDS: Final = (TaskFailed, TaskTimedOut, TaskLost, TaskRejected)

_log = structlog.get_logger("ledgerq.worker")


class Answer(Enum):
    """What the log knows."""

    BEGUN = auto()
    """A child began the attempt, or enough redeliveries were spared, or nobody can say: it counts."""
    NOT_BEGUN = auto()
    """Nothing is known of a beginning. It may have been so shortly before the end that nobody heard of it."""
    GONE_ON = auto()
    """Another attempt follows, and its message has arrived: that is recorded only then. Or a later copy was begun."""
    ENDED = auto()
    """The run has ended: only its message is left, of a worker that died between record and acknowledgment."""
    ENDED_DEAD = auto()
    """Likewise, and this attempt's message was to become a dead letter."""


class Question(NamedTuple):
    """A question, and who waits for its answer; ``then`` is called on the thread that asks the log."""

    attempt: Attempt
    then: Callable[[Answer], None]


class Inquiry:
    """Asks the log, on a thread of its own that begins with the first question.

    Args:
        open_store: connects to the store, when it is first needed.
    """

    def __init__(self, open_store: Callable[[], EventStore]) -> None:
        self._open_store = open_store
        self._questions: SimpleQueue[Question] = SimpleQueue()
        self._thread: threading.Thread | None = None

    def ask(self, attempt: Attempt, then: Callable[[Answer], None]) -> None:
        """Have ``then`` called with what is known; returns at once."""
        self._questions.put(Question(attempt, then))
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="inquiry", daemon=True)
            self._thread.start()

    def _work(self) -> None:
        store = self._open_store()
        while True:
            questions = [self._questions.get()]
            time.sleep(SETTLING_SECONDS)
            while not self._questions.empty():
                questions.append(self._questions.get())
            for question, answer in zip(questions, _answers(store, questions), strict=True):
                question.then(answer)


def _answers(store: EventStore, questions: Sequence[Question]) -> list[Answer]:
    streams = {run_stream(question.attempt.run_id) for question in questions}
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            known = store.load(Log.TASKS, streams)
            return [_answer(known.get(run_stream(q.attempt.run_id), ()), q.attempt) for q in questions]
        except DatabaseUnreachableError as error:
            if time.monotonic() > deadline:
                return _nobody_can_say(questions, error)
            time.sleep(_PAUSE_SECONDS)
        except EventUnreadableError as error:
            if len(questions) == 1:
                return _nobody_can_say(questions, error)
            return [answer for each in questions for answer in _answers(store, [each])]
        except Exception as error:  # noqa: BLE001  each question gets an answer: a message waits for it
            return _nobody_can_say(questions, error)


def _answer(story: Sequence[Event], asked: Attempt) -> Answer:
    attempt = asked.number
    end = next((event for event in story if event.originator_version == SLOT_END), None)
    if end is not None:
        return Answer.ENDED_DEAD if isinstance(end, _DEAD_ENDS) and end.attempt == attempt else Answer.ENDED
    slots = {event.originator_version for event in story}
    if any(
        attempt_slot(attempt, Phase.OUTCOME) == slot or slot >= attempt_slot(attempt + 1, 0)
        for slot in slots
        if slot < SLOT_END
    ):
        return Answer.GONE_ON
    if any(isinstance(e, TaskStarted) and e.attempt == attempt and e.copy > asked.copy for e in story):
        return Answer.GONE_ON  # with a later copy of the message
    if any(attempt_slot(attempt, phase) in slots for phase in (Phase.STARTED, Phase.IGNORED)):
        return Answer.BEGUN
    spared = sum(isinstance(e, TaskRetryScheduled) and e.is_spared and e.spent_by == "redelivered" for e in story)
    return Answer.NOT_BEGUN if spared < SPARED_AT_MOST else Answer.BEGUN


def _nobody_can_say(questions: Sequence[Question], error: Exception) -> list[Answer]:
    _log.warning("the log cannot be asked; redeliveries count as attempts", runs=len(questions), detail=str(error))
    return [Answer.BEGUN for _ in questions]
