import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from domain.task_run import LAST_ATTEMPT
from tasks.worker import spans
from tasks.worker.attempt import Attempt
from tasks.worker.delivery import Delivery, Settlements
from tasks.worker.envelope import read_headers
from tasks.worker.in_hand import InHand
from tasks.worker.outcome import Died, Failure, NotRun, Outcome, Raised, Resend, RetryAsked, Returned, TimedOut
from tasks.worker.possession import Possession
from tasks.worker.recorder import Entry
from tasks.worker.registrar import NO_RULES, REMEMBERED, Registrar
from tasks.worker.retry import AttemptRules, RetryPolicy
from tasks.worker.verdict import Fate
from tests.infra.tracing.broken import BrokenTracer
from tests.tasks.worker.received import Channel, received

ATTEMPT = Attempt("run-1", 1, "lab.add", "tasks.high", "high@lab:1")
NOW = datetime(2026, 1, 1, tzinfo=UTC)
RULES = AttemptRules(RetryPolicy(jitter=False), 3)


class Confirming:
    """In place of a recorder: confirms when told to, and has what follows told to the broker."""

    def __init__(self, settlements: Settlements) -> None:
        self.entries: list[Entry] = []
        self._settlements = settlements

    def submit(self, entry: Entry) -> None:
        self.entries.append(entry)

    def confirm(self) -> None:
        entries, self.entries = self.entries, []
        for entry in entries:
            if entry.then is not None:
                entry.then()
        self._settlements.send()

    def told(self) -> list[str]:
        return [event.type for entry in self.entries for event in entry.events]

    def sent(self) -> list[str]:
        return [message.routing_key for entry in self.entries for message in entry.messages]


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


class Desk:
    """A registrar, its recorder, and the channel of now."""

    def __init__(self) -> None:
        settlements = Settlements((ConnectionError,))
        self.recorder = Confirming(settlements)
        self.channel: Channel | None = Channel()
        self.waiting = 0
        self.clock = Clock()
        self.registrar = Registrar(
            self.recorder,  # type: ignore[arg-type]
            code_version="1",
            channel=lambda: self.channel,
            settlements=settlements,
            is_idle=lambda: not self.waiting,
            possession=Possession(self.clock),
        )

    def deliver(self, *, attempt: Attempt = ATTEMPT, tag: int = 1, redelivered: bool = False, body: Any = None) -> Any:
        message = received(self.channel, tag=tag, redelivered=redelivered, body=body)
        return self.registrar.take(attempt, Delivery(message))

    def start(self, in_hand: Any) -> None:
        self.registrar.started(in_hand, at=NOW, received_at=NOW, pid=7)

    def reconnect(self) -> None:
        self.registrar.connection_lost()
        self.channel = Channel()


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_a_message_is_let_go_once_its_outcome_is_confirmed(desk: Desk) -> None:
    channel = desk.channel
    in_hand = desk.deliver()
    desk.start(in_hand)
    desk.registrar.conclude(in_hand, Returned("3"), RULES)
    assert desk.recorder.told() == ["task.started", "task.succeeded"]
    assert channel is not None
    assert channel.told == []
    desk.recorder.confirm()
    assert channel.told == [("ack", 1)]


def test_the_next_attempt_is_confirmed_together_with_the_record_of_why(desk: Desk) -> None:
    in_hand = desk.deliver()
    desk.registrar.conclude(in_hand, Raised(Failure("Boom", "")), RULES)
    entry = desk.recorder.entries[-1]
    assert [event.type for event in entry.events] == ["task.retry_scheduled"]
    assert [message.headers["ledgerq-attempt"] for message in entry.messages] == [2]


def test_a_retry_that_cannot_be_sent_ends_the_run_with_the_reason(desk: Desk) -> None:
    in_hand = desk.deliver()
    desk.registrar.conclude(in_hand, RetryAsked(Failure("Boom", ""), 1, Resend(queue="nowhere")), RULES)
    assert desk.recorder.told() == ["task.failed"]
    assert "nowhere" in json.loads(bytes(desk.recorder.entries[0].events[0].data))["error"]
    assert desk.recorder.sent() == []


@pytest.mark.parametrize(
    ("rules", "asked"),
    [
        (RULES, RetryAsked(Failure("Boom", ""), 1, Resend(queue="tasks.low", priority="high"))),  # type: ignore[arg-type]
        (AttemptRules(None, "many"), Died(Failure("Boom", ""))),  # type: ignore[arg-type]
    ],
)
def test_what_cannot_be_judged_ends_the_run_too(desk: Desk, rules: AttemptRules, asked: Any) -> None:
    channel = desk.channel
    desk.registrar.conclude(desk.deliver(), asked, rules)
    assert desk.recorder.told() == ["task.failed"]
    desk.recorder.confirm()
    assert channel is not None
    assert channel.told == [("reject", 1)]


def test_after_the_last_attempt_there_can_be_comes_no_other(desk: Desk) -> None:
    in_hand = desk.deliver(attempt=ATTEMPT._replace(number=LAST_ATTEMPT))
    desk.registrar.conclude(in_hand, RetryAsked(Failure("Boom", ""), 1), RULES)
    assert desk.recorder.told() == ["task.failed"]
    assert desk.recorder.sent() == []


def test_an_old_tag_is_never_told_to_a_new_channel(desk: Desk) -> None:
    in_hand = desk.deliver()
    desk.start(in_hand)
    desk.registrar.conclude(in_hand, Returned(None), RULES)
    desk.reconnect()
    desk.recorder.confirm()
    assert desk.channel is not None
    assert desk.channel.told == []


def test_a_run_that_goes_on_over_a_lost_connection_lets_go_of_the_redelivered_message(desk: Desk) -> None:
    in_hand = desk.deliver()
    desk.start(in_hand)
    desk.reconnect()
    assert desk.deliver(tag=5, redelivered=True) is None
    desk.registrar.conclude(in_hand, Returned(None), RULES)
    desk.recorder.confirm()
    assert desk.channel is not None
    assert desk.channel.told == [("ack", 5)]


def test_a_redelivery_of_what_is_recorded_already_is_let_go_at_once(desk: Desk) -> None:
    in_hand = desk.deliver()
    desk.start(in_hand)
    desk.registrar.conclude(in_hand, Died(Failure("Boom", "")), AttemptRules(None, 0))
    desk.reconnect()
    desk.recorder.confirm()
    assert desk.deliver(tag=9, redelivered=True) is None
    assert desk.channel is not None
    assert desk.channel.told == [("reject", 9)]
    assert desk.deliver(tag=10, redelivered=True) is not None


def test_a_replay_of_what_was_let_go_is_a_run_of_its_own(desk: Desk) -> None:
    in_hand = desk.deliver()
    desk.start(in_hand)
    desk.registrar.conclude(in_hand, Returned(None), RULES)
    desk.reconnect()
    desk.recorder.confirm()
    assert desk.deliver(tag=9) is not None


def test_the_next_attempt_is_not_published_while_the_message_in_hand_may_be_with_another(desk: Desk) -> None:
    in_hand = desk.deliver()
    desk.start(in_hand)
    desk.reconnect()
    desk.registrar.conclude(in_hand, Raised(Failure("Boom", "")), RULES)
    assert (desk.recorder.told(), desk.recorder.sent()) == (["task.started"], [])
    desk.recorder.confirm()
    desk.registrar.beat()
    assert (desk.recorder.told(), desk.recorder.sent()) == ([], [])
    assert desk.deliver(tag=5, redelivered=True) is None
    assert desk.recorder.told() == ["task.retry_scheduled"]
    assert len(desk.recorder.sent()) == 1
    desk.recorder.confirm()
    assert desk.channel is not None
    assert desk.channel.told == [("ack", 5)]


def test_a_next_attempt_that_is_not_yet_confirmed_is_withdrawn_with_a_lost_connection(desk: Desk) -> None:
    in_hand = desk.deliver()
    desk.start(in_hand)
    desk.registrar.conclude(in_hand, Raised(Failure("Boom", "")), RULES)
    entry = desk.recorder.entries[-1]
    assert entry.unconfirmed == {-1, 0}
    desk.reconnect()
    assert entry.unconfirmed == set()
    desk.recorder.confirm()
    assert desk.deliver(tag=5, redelivered=True) is None
    assert len(desk.recorder.sent()) == 1
    desk.reconnect()
    desk.recorder.confirm()
    assert desk.deliver(tag=7, redelivered=True) is None
    assert len(desk.recorder.sent()) == 1
    desk.recorder.confirm()
    assert desk.channel is not None
    assert desk.channel.told == [("ack", 7)]


def test_what_is_withheld_is_said_without_its_message_once_another_worker_went_on(desk: Desk) -> None:
    in_hand = desk.deliver()
    desk.start(in_hand)
    desk.reconnect()
    desk.registrar.conclude(in_hand, Raised(Failure("Boom", "")), RULES)
    desk.recorder.confirm()
    assert desk.registrar.bereft() == [in_hand]
    desk.registrar.overtaken(in_hand)
    assert (desk.recorder.told(), desk.recorder.sent()) == (["task.retry_scheduled"], [])
    desk.recorder.confirm()
    assert desk.registrar.bereft() == []


def test_what_came_back_meanwhile_is_not_given_up(desk: Desk) -> None:
    in_hand = desk.deliver()
    desk.start(in_hand)
    desk.reconnect()
    desk.registrar.conclude(in_hand, Raised(Failure("Boom", "")), RULES)
    desk.recorder.confirm()
    assert desk.deliver(tag=5, redelivered=True) is None
    desk.registrar.overtaken(in_hand)
    assert (desk.recorder.told(), len(desk.recorder.sent())) == (["task.retry_scheduled"], 1)


def test_a_next_attempt_that_has_arrived_is_told_whatever_becomes_of_the_connection(desk: Desk) -> None:
    in_hand = desk.deliver()
    desk.start(in_hand)
    desk.registrar.conclude(in_hand, Raised(Failure("Boom", "")), RULES)
    entry = desk.recorder.entries[-1]
    entry.unconfirmed.discard(0)
    desk.reconnect()
    assert entry.unconfirmed == {-1}
    assert desk.registrar.bereft() == []


def test_after_a_pause_the_next_attempt_waits_until_a_lost_connection_would_have_been_noticed(desk: Desk) -> None:
    in_hand = desk.deliver()
    desk.start(in_hand)
    desk.clock.now += 60
    desk.registrar.conclude(in_hand, Raised(Failure("Boom", "")), RULES)
    desk.registrar.beat()
    desk.recorder.confirm()
    assert desk.recorder.sent() == []
    for _ in range(3):
        desk.clock.now += 0.5
        desk.registrar.beat()
    assert len(desk.recorder.sent()) == 1
    desk.recorder.confirm()
    assert desk.channel is not None
    assert desk.channel.told == [("ack", 1)]


def test_what_nobody_began_is_forgotten_with_its_connection(desk: Desk) -> None:
    desk.deliver()
    desk.reconnect()
    assert desk.deliver(tag=2, redelivered=True) is not None


def test_a_message_published_twice_is_run_once_while_the_first_is_in_hand(desk: Desk) -> None:
    in_hand = desk.deliver()
    assert desk.deliver(tag=2) is None
    desk.registrar.conclude(in_hand, Returned(None), RULES)
    desk.recorder.confirm()
    assert desk.channel is not None
    assert desk.channel.told == [("ack", 1), ("ack", 2)]


def test_a_malformed_message_does_not_touch_the_run_it_names(desk: Desk) -> None:
    in_hand = desk.deliver()
    desk.registrar.refuse(ATTEMPT, Delivery(received(desk.channel, tag=2)), Failure("BodyInvalid", ""))
    desk.recorder.confirm()
    assert desk.channel is not None
    assert desk.channel.told == [("reject", 2)]
    desk.registrar.conclude(in_hand, Returned(None), RULES)
    desk.recorder.confirm()
    assert desk.channel.told == [("reject", 2), ("ack", 1)]


def test_what_is_held_or_handed_back_stays_the_same_attempt(desk: Desk) -> None:
    desk.registrar.hold(desk.deliver(), eta=NOW + timedelta(seconds=3), now=NOW)
    assert desk.recorder.told() == ["task.received"]
    assert desk.recorder.sent()[0].endswith("1.1.tasks.high")
    desk.recorder.confirm()
    desk.registrar.hand_back(desk.deliver(tag=2))
    assert (desk.recorder.told(), desk.recorder.sent()) == ([], ["tasks.high"])


def later(**headers: int) -> Attempt:
    """The attempt as another message of it names it."""
    told = {f"ledgerq-{name}": number for name, number in headers.items()}
    return ATTEMPT._replace(envelope=read_headers({"id": "run-1", "task": "lab.add", **told}))


def held(desk: Desk, in_hand: InHand) -> None:
    desk.registrar.hold(in_hand, eta=NOW + timedelta(seconds=3), now=NOW)


def handed_back(desk: Desk, in_hand: InHand) -> None:
    desk.registrar.hand_back(in_hand)


def superseded(desk: Desk, in_hand: InHand) -> None:
    desk.registrar.let_go(in_hand, Fate.ACKNOWLEDGED, is_replaced=True)


@pytest.mark.parametrize(
    ("replace", "second"),
    [(handed_back, later(returned=1)), (held, later(returned=1)), (superseded, later(copy=1))],
)
def test_what_comes_in_the_place_of_a_message_that_is_not_let_go_yet_is_taken(
    desk: Desk, replace: Callable[[Desk, InHand], None], second: Attempt
) -> None:
    replace(desk, desk.deliver())
    again = desk.deliver(attempt=second, tag=2)
    assert again is not None
    desk.recorder.confirm()
    assert desk.channel is not None
    assert desk.channel.told == [("ack", 1)]
    desk.registrar.conclude(again, Returned(None), RULES)
    assert desk.recorder.told() == ["task.succeeded"]
    desk.recorder.confirm()
    assert desk.channel.told == [("ack", 1), ("ack", 2)]


def test_what_was_put_back_and_comes_first_again_is_not_put_back_a_second_time(desk: Desk) -> None:
    desk.registrar.hand_back(desk.deliver())
    desk.recorder.entries.clear()  # on its way when the connection is lost, and confirmed to nobody
    desk.reconnect()
    assert desk.deliver(attempt=later(returned=1), tag=1) is not None
    assert desk.deliver(tag=2, redelivered=True) is None
    assert desk.recorder.sent() == []


def test_a_message_put_back_is_not_taken_for_the_one_whose_acknowledgment_was_lost(desk: Desk) -> None:
    desk.registrar.hand_back(desk.deliver())
    desk.channel = Channel()
    desk.recorder.confirm()
    # A broker that was killed marks as redelivered whatever waits in a queue.
    assert desk.deliver(attempt=later(returned=1), tag=1, redelivered=True) is not None
    assert desk.deliver(tag=2, redelivered=True) is None


def test_what_is_put_back_counts_it_and_the_next_attempt_begins_anew(desk: Desk) -> None:
    in_hand = desk.deliver(attempt=later(returned=4))
    desk.registrar.hand_back(in_hand)
    assert [m.headers["ledgerq-returned"] for m in desk.recorder.entries[-1].messages] == [5]
    desk.recorder.confirm()
    following = desk.deliver(attempt=later(returned=5), tag=2)
    desk.registrar.conclude(following, Raised(Failure("Boom", "")), RULES)
    assert ["ledgerq-returned" in m.headers for m in desk.recorder.entries[-1].messages] == [False]


def test_what_cannot_be_let_go_is_remembered_within_a_bound(desk: Desk) -> None:
    first = ATTEMPT._replace(run_id="run-0")
    for number in range(REMEMBERED + 1):
        in_hand = desk.deliver(attempt=ATTEMPT._replace(run_id=f"run-{number}"))
        desk.start(in_hand)
        desk.registrar.conclude(in_hand, Returned(None), RULES)
    desk.reconnect()
    desk.recorder.confirm()
    assert desk.deliver(attempt=first, redelivered=True) is not None
    assert desk.deliver(attempt=ATTEMPT._replace(run_id=f"run-{REMEMBERED}"), redelivered=True) is None


def test_only_what_a_child_waits_for_is_urgent(desk: Desk) -> None:
    first, second = desk.deliver(), desk.deliver(attempt=ATTEMPT._replace(run_id="run-2"), tag=2)
    desk.start(first)
    desk.waiting = 1
    desk.registrar.conclude(first, Returned(None), RULES)
    desk.waiting = 0
    desk.registrar.conclude(second, Returned(None), RULES)
    assert [entry.is_urgent for entry in desk.recorder.entries] == [False, False, True]


def test_what_is_let_go_together_is_one_write(desk: Desk) -> None:
    for tag in (1, 2, 3):
        in_hand = desk.deliver(attempt=ATTEMPT._replace(run_id=f"run-{tag}"), tag=tag)
        desk.registrar.conclude(in_hand, Returned(None), RULES)
    desk.recorder.confirm()
    assert desk.channel is not None
    assert (desk.channel.told, desk.channel.writes) == ([("ack", 1), ("ack", 2), ("ack", 3)], 1)


@pytest.mark.parametrize("fault", [ConnectionError("reset"), None])
def test_a_connection_that_is_lost_while_letting_go_costs_nothing_but_a_redelivery(
    desk: Desk, fault: Exception | None
) -> None:
    in_hand = desk.deliver()
    desk.start(in_hand)
    desk.registrar.conclude(in_hand, Returned(None), RULES)
    assert desk.channel is not None
    desk.channel.break_with(fault)
    desk.recorder.confirm()
    assert desk.channel.told == []


def test_no_fault_of_tracing_keeps_an_attempt_from_being_followed(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spans, "current", BrokenTracer)
    patient = AttemptRules(RetryPolicy(start=timedelta(hours=1), jitter=False), 3)
    desk.registrar.conclude(desk.deliver(), Raised(Failure("Boom", "")), patient)
    assert desk.recorder.told() == ["task.retry_scheduled"]


@pytest.mark.parametrize(
    ("outcome", "told"),
    [
        (Died(Failure("WorkerLostError", "")), 1),
        (TimedOut(Failure("TimeLimitExceeded", "")), 1),
        (Raised(Failure("Boom", "")), 1),
        (Raised(Failure("Boom", ""), is_told=True), 0),
        (NotRun("task.revoked", Failure("Revoked", "")), 0),
    ],
)
def test_an_end_tells_of_error_callbacks_that_no_child_has_called(desk: Desk, outcome: Outcome, told: int) -> None:
    errback = {"task": "desk.tell", "args": [], "kwargs": {}, "options": {}}
    in_hand = desk.deliver(body=[[], {}, {"errbacks": [errback]}])
    desk.registrar.conclude(in_hand, outcome, NO_RULES)
    (end,) = (json.loads(bytes(event.data)) for entry in desk.recorder.entries for event in entry.events)
    assert end.get("errbacks", []) == [errback] * told
