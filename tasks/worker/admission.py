"""Admission: what is done about an attempt that was taken in hand. It begins, waits elsewhere, or ends."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from celery.worker.state import task_reserved

from domain.task_run import HoldReason, TaskRejected
from tasks.worker.envelope import Envelope, TaskMessage
from tasks.worker.in_hand import InHand
from tasks.worker.inquiry import Answer
from tasks.worker.limited import LimitedRequest, limits_of
from tasks.worker.outcome import Died, Failure, NotRun
from tasks.worker.pausing import TASK_LOOKED_AFTER
from tasks.worker.registrar import NO_RULES
from tasks.worker.request import RecordedRequest
from tasks.worker.retry import AttemptRules
from tasks.worker.revoking import revoked
from tasks.worker.verdict import Fate

if TYPE_CHECKING:
    from tasks.worker.consumer import RecordingConsumer


class Admission:
    """Used by the consumer's thread alone.

    Args:
        consumer: whose messages they are, and who hands attempts to the pool.
    """

    def __init__(self, consumer: RecordingConsumer) -> None:
        self._consumer = consumer
        self._registrar = consumer.registrar
        self._directives = consumer.directives

    def admit(self, message: Any, told: TaskMessage, in_hand: InHand) -> None:
        """Begin the attempt, or say why not."""
        task = self._consumer.app.tasks.get(told.envelope.task)
        if self._is_superseded(told.envelope) and not in_hand.is_redelivered:  # else the log is asked
            self._registrar.let_go(in_hand, Fate.ACKNOWLEDGED, is_replaced=True)
            return
        if (revocation := self._directives.revocation_of(in_hand.attempt)) is not None:
            self._registrar.conclude(in_hand, revoked(revocation), NO_RULES)
        elif self._consumer.pausing.holds(in_hand.attempt.queue) and not in_hand.is_redelivered:
            self._registrar.hand_back(in_hand)
        elif task is None:
            failure = Failure("NotRegistered", f"no task is called {told.envelope.task!r}")
            self._registrar.conclude(in_hand, NotRun(TaskRejected.TOPIC, failure), NO_RULES)
        elif told.eta is not None and told.eta > (now := datetime.now(UTC)):
            self._registrar.hold(in_hand, eta=told.eta, now=now)
        elif told.envelope.task in self._directives.paused_tasks and not in_hand.is_redelivered:
            now = datetime.now(UTC)
            self._registrar.hold(in_hand, eta=now + TASK_LOOKED_AFTER, now=now, because=HoldReason.PAUSED)
        else:
            self._begin(message, in_hand, task)

    def _begin(self, message: Any, in_hand: InHand, task: Any) -> None:
        request = self._request(message, in_hand, task)
        if request.revoked():
            return
        if in_hand.is_redelivered:
            answer = partial(self._consumer.call_soon, self._conclude_redelivered, in_hand, AttemptRules.of(task))
            self._consumer.inquiry.ask(in_hand.attempt, answer)
            return
        self._consumer.licensed.let_in(in_hand, task, partial(self._enter, request, task))

    def _enter(self, request: RecordedRequest, task: Any) -> None:
        bucket = self._consumer.task_buckets[task.name]
        if bucket:
            self._consumer._limit_task(request, bucket, 1)  # noqa: SLF001  Celery's own, of its consumer
        else:
            task_reserved(request)
            self._consumer.on_task_request(request)

    def _stands(self, in_hand: InHand, task: Any) -> bool:
        """Whether what waited for a child, or for its rate, may still begin; if not, it is let go or put back."""
        if in_hand.fate is not None:
            return False
        envelope = in_hand.attempt.envelope
        if envelope is not None and self._is_superseded(envelope):
            self._registrar.let_go(in_hand, Fate.ACKNOWLEDGED, is_replaced=True)
        elif self._consumer.pausing.holds(in_hand.attempt.queue):
            self._registrar.hand_back(in_hand)
        elif in_hand.license is not None:
            self._consumer.licensed.stands(in_hand, task)
        return in_hand.fate is None

    def _is_superseded(self, envelope: Envelope) -> bool:
        """Whether a later copy of the message was announced; this one must not be executed beside it."""
        latest = self._directives.copies.get(envelope.id)
        return latest is not None and latest.attempt == envelope.attempt and envelope.copy < latest.number

    def _request(self, message: Any, in_hand: InHand, task: Any) -> RecordedRequest:
        told: dict[str, Any] = {
            "in_hand": in_hand,
            "registrar": self._registrar,
            "pace": self._consumer.pace,
            "app": self._consumer.app,
            "task": task,
            "hostname": self._consumer.hostname,
            "stands": partial(self._stands, in_hand, task),
        }
        limits = limits_of(task, self._directives.limits)
        if limits:
            return LimitedRequest(message, limits=limits, permits=self._consumer.permits, place=self._consumer, **told)
        return RecordedRequest(message, **told)

    def _conclude_redelivered(self, in_hand: InHand, rules: AttemptRules, answer: Answer) -> None:
        if not self._registrar.has(in_hand):
            return  # its connection was lost meanwhile; it will come again
        if answer in {Answer.ENDED, Answer.ENDED_DEAD, Answer.GONE_ON}:
            fate = Fate.DEAD_LETTERED if answer is Answer.ENDED_DEAD else Fate.ACKNOWLEDGED
            self._registrar.let_go(in_hand, fate, is_replaced=answer is Answer.GONE_ON)
            return
        failure = Failure("Redelivered", "the worker that had it in hand died or lost its connection")
        outcome = Died(failure, spent_by="redelivered", is_spared=answer is Answer.NOT_BEGUN)
        self._registrar.conclude(in_hand, outcome, rules)
