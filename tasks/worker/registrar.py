"""The registrar: knows every attempt this worker has in hand, and lets its messages go once its outcome is recorded."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from random import random
from typing import Any, Final

import structlog

from domain.chain import TaskChainRecorded
from domain.task_run import HoldReason, TaskReceived, TaskRejected, TaskStarted
from infra.broker.frames import OutgoingMessage
from infra.cloudevents import CloudEvent
from infra.logs import about
from tasks.worker.attempt import Attempt
from tasks.worker.chain import chain_of
from tasks.worker.delivery import Delivery, Settlements
from tasks.worker.error_callbacks import uncalled
from tasks.worker.hold import held, marked_held, was_held
from tasks.worker.in_hand import InHand, Withheld
from tasks.worker.next_message import next_message, same_message
from tasks.worker.outcome import Failure, NotRun, Outcome, Raised
from tasks.worker.possession import Possession
from tasks.worker.recorder import Entry, Recorder
from tasks.worker.retry import AttemptRules
from tasks.worker.spans import next_traceparent, tell_attempt
from tasks.worker.verdict import Fate, Trial, Verdict, judge
from tasks.worker.waiting import kept
from tasks.worker.watching import Watcher

REMEMBERED: Final = 1_000
"""How many recorded attempts are remembered whose message could not be let go because its connection was lost."""

NO_RULES: Final = AttemptRules(policy=None, max_retries=0)
"""For what no task of ours stands behind."""

_LONG: Final = frozenset({"traceback", "result", "payload", "message", "terms", "errbacks"})
"""What is told of an attempt and no log line repeats."""

_log = structlog.get_logger("ledgerq.worker")
_heard = logging.getLogger("ledgerq.worker")


class Registrar:
    """Used by the consumer's thread alone.

    Args:
        recorder: gets what is said confirmed.
        code_version: of the task code, told with every start.
        channel: the channel deliveries come from now; None while there is no connection.
        settlements: what the broker is told of deliveries.
        is_idle: whether nothing waits in the worker, so that a child's next task has to come from the broker.
        possession: whether what is in hand is still ours.
        watchers: told of each beginning and each outcome.
    """

    def __init__(
        self,
        recorder: Recorder,
        *,
        code_version: str,
        channel: Callable[[], Any],
        settlements: Settlements,
        is_idle: Callable[[], bool] = lambda: True,
        possession: Possession | None = None,
        watchers: Sequence[Watcher] = (),
    ) -> None:
        self._recorder = recorder
        self._code_version = code_version
        self._channel = channel
        self._settlements = settlements
        self._is_idle = is_idle
        self._possession = possession or Possession()
        self._watchers = watchers
        self._in_hand: dict[tuple[str, int], InHand] = {}
        self.is_closed = False
        self._let_go: OrderedDict[tuple[str, int], InHand] = OrderedDict()

    def take(self, attempt: Attempt, delivery: Delivery) -> InHand | None:
        """Note a delivery of ``attempt``.

        Returns:
            The attempt, in hand from now on; None where it already was: then the delivery shares that one's fate. It
            is the same message come again, because the connection it came on was lost or because it was published
            twice. The message that replaces one in hand is another: it can arrive before that one could be let go.
        """
        known = self._in_hand.get(attempt.key)
        if known is None and delivery.is_redelivered:
            known = self._let_go.get(attempt.key)
        if known is not None and known.is_replaced and attempt.is_later_than(known.attempt):
            self._say_withheld(known)  # what was to be published is here
            known = None
        if known is None:
            self._in_hand[attempt.key] = taken = InHand(attempt, delivery.message, [delivery])
            return taken
        self._let_go.pop(attempt.key, None)
        self._in_hand[attempt.key] = known
        known.deliveries.append(delivery)
        if known.is_recorded or known.withheld is not None:
            self._let_go_of(known)
            self._settlements.send()
        return None

    def started(self, in_hand: InHand, *, at: datetime, received_at: datetime, pid: int) -> None:
        """A child began to execute the attempt."""
        in_hand.is_started, in_hand.started_at, in_hand.pid = True, at, pid
        attempt = in_hand.attempt
        event = attempt.tell(
            TaskStarted.TOPIC,
            at=at,
            received_at=received_at,
            priority=in_hand.message.properties.get("priority"),
            pid=pid,
            code_version=self._code_version,
            license_id=attempt.envelope.license_id or None if attempt.envelope else None,
            copy=attempt.copy or None,
            admitted_by=in_hand.admitted_by,
        )
        self._recorder.submit(Entry([*_chain(in_hand, at=at), event], is_urgent=False))
        for watcher in self._watchers:
            watcher.started(attempt, waited=at - received_at)
        _say(attempt, TaskStarted.TOPIC, logging.DEBUG, pid=pid)

    def hold(
        self,
        in_hand: InHand,
        *,
        eta: datetime,
        now: datetime,
        because: HoldReason | None = None,
        decided_by: str | None = None,
    ) -> None:
        """Let the attempt's message wait in the broker's delay ladder: its time has not come, or ``because``."""
        event = in_hand.attempt.tell(TaskReceived.TOPIC, at=now, eta=eta, because=because, decided_by=decided_by)
        try:
            message = same_message(in_hand.message, in_hand.attempt, eta - now)
        except ValueError as error:
            self.conclude(in_hand, Raised(Failure.of(error), final=True), NO_RULES)
            return
        in_hand.is_replaced = True
        for watcher in self._watchers:
            watcher.held(because)
        if because is None:
            _say(in_hand.attempt, TaskReceived.TOPIC, logging.INFO, eta=eta.isoformat())
            self._record(in_hand, [event], [message], Fate.ACKNOWLEDGED)
        else:
            events = [] if was_held(in_hand.attempt, because) else [held(event, because)]
            self._record(in_hand, events, [marked_held(message, in_hand.attempt, because)], Fate.ACKNOWLEDGED)

    def refuse(self, attempt: Attempt, delivery: Delivery, failure: Failure) -> None:
        """The message cannot be executed: record why; only then it goes to the dead letters.

        It is not noted as in hand: a message that cannot be read must not share the fate of the run it names.
        """
        self.conclude(InHand(attempt, delivery.message, [delivery]), NotRun(TaskRejected.TOPIC, failure), NO_RULES)

    def forget(self, in_hand: InHand) -> None:
        """Nothing will be said of the attempt by way of ``in_hand``."""
        self._in_hand.pop(in_hand.attempt.key, None)
        self.drop_lease(in_hand)

    def drop_lease(self, in_hand: InHand) -> None:
        """It is not executed any longer: what it holds among all workers is free."""
        if in_hand.let_go is not None:
            in_hand.let_go()
            in_hand.let_go = None

    def has(self, in_hand: InHand) -> bool:
        """Whether it is still in hand, and what becomes of it is open."""
        return self._in_hand.get(in_hand.attempt.key) is in_hand and in_hand.fate is None

    def hand_back(self, in_hand: InHand) -> None:
        """Nobody began the attempt and nobody will here: put its message back as it came.

        A message the broker requeues is marked as redelivered, which counts as a death of its worker.
        """
        in_hand.is_replaced = True
        self._record(in_hand, [], [same_message(in_hand.message, in_hand.attempt)], Fate.ACKNOWLEDGED)

    def let_go(self, in_hand: InHand, fate: Fate, *, is_replaced: bool = False) -> None:
        """What became of the run is in the log already, or a later message has replaced it: only this one is left."""
        in_hand.is_replaced = is_replaced
        self._record(in_hand, [], [], fate)

    def conclude(
        self, in_hand: InHand, outcome: Outcome, rules: AttemptRules, *, runtime_seconds: float | None = None
    ) -> None:
        """The attempt came to ``outcome``: record it and what follows; only then its message is let go.

        It comes to one outcome: what is said of it afterwards changes nothing.
        """
        if in_hand.fate is not None:
            return
        attempt = in_hand.attempt
        try:
            verdict = judge(outcome, Trial(attempt.number, rules, random, attempt.spared))
            messages = self._next(in_hand, verdict)
            if verdict.waits:
                verdict, messages = verdict._replace(data={**verdict.data, **kept(messages[0], attempt)}), []
        except Exception as error:  # noqa: BLE001  what it was is recorded
            # The pool calls this once and drops what it raises: the run would keep its place and never end.
            with about(attempt.fields):
                _log.exception("there can be no next attempt")
            final = Raised(Failure.of(error), final=True)
            outcome, verdict, messages = final, judge(final, Trial(attempt.number, NO_RULES, random)), []
        if (errbacks := uncalled(in_hand.message, outcome, verdict)) is not None:
            verdict = verdict._replace(data={**verdict.data, "errbacks": errbacks})
        for watcher in self._watchers:
            watcher.concluded(attempt, verdict, runtime_seconds=runtime_seconds)
        told = self._told(attempt, verdict, runtime_seconds)
        if told and verdict.fate is Fate.ACKNOWLEDGED and not in_hand.is_started and verdict.following is None:
            told = [*_chain(in_hand, at=datetime.now(UTC)), *told]  # revoked or expired: no dead letter tells of it
        self._record(in_hand, told, messages, verdict.fate, replaces=verdict.following is not None)
        tell_attempt(in_hand, verdict, runtime_seconds=runtime_seconds)

    def give_up(self, in_hand: InHand, outcome: Outcome) -> None:
        """We ended the attempt ourselves; what its child may still report changes nothing."""
        self.conclude(in_hand, outcome, NO_RULES)

    def close(self) -> None:
        """No attempt is begun any more; what was not goes back when the worker ends."""
        self.is_closed = True

    @property
    def in_hand_count(self) -> int:
        """How many attempts are in hand."""
        return len(self._in_hand)

    def running(self) -> list[InHand]:
        """Attempts in hand that a child executes, or was sent."""
        return [i for i in self._in_hand.values() if (i.is_started or i.is_sent) and i.fate is None]

    def undecided(self) -> list[InHand]:
        """Attempts in hand of which nobody knows yet what becomes of them."""
        return [in_hand for in_hand in self._in_hand.values() if in_hand.fate is None]

    def release(self) -> None:
        """Let the messages go whose outcomes are confirmed by now."""
        self._recorder.release()
        self._settlements.send()

    def connection_lost(self) -> None:
        """The deliveries in hand cannot be acknowledged any more and will come again.

        What was not started will not be (the pool forgets it too); what runs or has run waits for its redelivery. So
        does what was to be published in the place of a delivery, and what is said of it: the message may come to
        another worker, and then that one decides what follows. A message that is on its way at this moment may still
        arrive beside the redelivery.
        """
        for in_hand in self.not_started():
            self.forget(in_hand)
        for in_hand in self._in_hand.values():
            in_hand.deliveries.clear()
            entry = in_hand.entry
            if entry is not None and entry.withdraw():
                in_hand.withheld, in_hand.entry = Withheld(entry.events, entry.messages), None

    def beat(self) -> None:
        """The worker's loop turns; called often."""
        if self._possession.beat():
            for in_hand in [each for each in self._in_hand.values() if each.withheld is not None]:
                self._let_go_of(in_hand)

    def bereft(self) -> list[InHand]:
        """Attempts of which something is withheld, and whose message has not come back."""
        return [i for i in self._in_hand.values() if i.withheld is not None and not i.deliveries]

    def overtaken(self, in_hand: InHand) -> None:
        """Another worker has the message of a bereft attempt, and has decided: what is said here comes too late."""
        if not in_hand.deliveries:
            self._say_withheld(in_hand)

    def not_started(self) -> list[InHand]:
        """Attempts in hand that nobody has begun."""
        return [i for i in self._in_hand.values() if not i.is_started and i.fate is None]

    def _told(self, attempt: Attempt, verdict: Verdict, runtime_seconds: float | None) -> list[CloudEvent]:
        if verdict.name is None:
            return []
        level = logging.INFO if verdict.fate is Fate.ACKNOWLEDGED else logging.WARNING
        brief = {k: v for k, v in verdict.data.items() if k not in _LONG}
        _say(attempt, verdict.name, level, runtime_seconds=runtime_seconds, **brief)
        version = self._code_version if "error_type" in verdict.data else None
        told = {"runtime_seconds": runtime_seconds, "code_version": version, **verdict.data}
        return [attempt.tell(verdict.name, at=datetime.now(UTC), **told)]

    def _next(self, in_hand: InHand, verdict: Verdict) -> list[OutgoingMessage]:
        if verdict.following is None:
            return []
        trace = next_traceparent(in_hand.attempt, verdict.following.delay)
        return [next_message(in_hand.message, in_hand.attempt, verdict.following, traceparent=trace)]

    def _record(
        self, in_hand: InHand, events: list[CloudEvent], messages: list[Any], fate: Fate, *, replaces: bool = False
    ) -> None:
        in_hand.fate = fate
        self.drop_lease(in_hand)
        if (messages or replaces) and not self._is_ours(in_hand):
            in_hand.withheld = Withheld(events, messages)
        else:
            self._submit(in_hand, events, messages)

    def _submit(self, in_hand: InHand, events: Sequence[CloudEvent], messages: Sequence[OutgoingMessage]) -> None:
        in_hand.is_recorded = False
        in_hand.entry = Entry(events, messages, then=lambda: self._recorded(in_hand), is_urgent=self._is_idle())
        self._recorder.submit(in_hand.entry)

    def _say_withheld(self, in_hand: InHand) -> None:
        """Say what is withheld, and publish nothing."""
        if in_hand.withheld is not None:
            events, in_hand.withheld = in_hand.withheld.events, None
            self._submit(in_hand, events, [])

    def _is_ours(self, in_hand: InHand) -> bool:
        return bool(in_hand.deliveries) and self._possession.is_certain

    def _recorded(self, in_hand: InHand) -> None:
        in_hand.is_recorded = True
        self._let_go_of(in_hand)

    def _let_go_of(self, in_hand: InHand) -> None:
        """Say and publish what was withheld, if it is ours to; settle the deliveries of what is recorded."""
        if in_hand.withheld is None:
            self._settle(in_hand)
        elif self._is_ours(in_hand):
            (events, messages), in_hand.withheld = in_hand.withheld, None
            self._submit(in_hand, events, messages)

    def _settle(self, in_hand: InHand) -> None:
        key, channel, fate = in_hand.attempt.key, self._channel(), in_hand.fate
        assert fate is not None  # noqa: S101  only what is recorded is settled
        settled = [self._settlements.add(delivery, fate, channel) for delivery in in_hand.deliveries] or [False]
        in_hand.deliveries.clear()
        in_hand.entry = None
        was_noted = self._in_hand.get(key) is in_hand
        if was_noted:
            del self._in_hand[key]
        if (was_noted or in_hand.is_replaced) and not all(settled):
            self._let_go[key] = in_hand
            if len(self._let_go) > REMEMBERED:
                self._let_go.popitem(last=False)


def _chain(in_hand: InHand, *, at: datetime) -> list[CloudEvent]:
    """What the log is told of the chain, or the member of a chord, that the attempt begins."""
    chain = chain_of(in_hand.message, in_hand.attempt)
    return [] if chain is None else [in_hand.attempt.tell(TaskChainRecorded.TOPIC, at=at, **chain)]


def _say(attempt: Attempt, name: str, level: int, **told: Any) -> None:
    if not _heard.isEnabledFor(level):  # asked first: putting a line together costs more than all else here
        return
    said = {key: value for key, value in told.items() if value is not None}
    with about(attempt.fields):
        _log.log(level, name, **said)
