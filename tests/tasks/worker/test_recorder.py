import threading
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from infra.broker.errors import BrokerRefusedError, BrokerUnreachableError
from infra.broker.publisher import Confirmation, Outcome, OutgoingMessage
from infra.cloudevents import CloudEvent, decode
from tasks.worker.recorder import BATCH_BYTES, Entry, Recorder, RecorderDiedError
from tests.waiting import eventually

Answer = Callable[[OutgoingMessage], Outcome]
OK = Confirmation(Outcome.CONFIRMED)


class Broker:
    """In place of a publisher: keeps what it is given and answers as told."""

    def __init__(self) -> None:
        self.taken: list[list[OutgoingMessage]] = []
        self.answer: Answer = lambda _message: Outcome.CONFIRMED
        self.faults: list[Exception] = []
        self.open = threading.Event()
        self.open.set()
        self.lets_in = True
        self.logins = 0

    def publish(self, messages: Sequence[OutgoingMessage], *, timeout: timedelta) -> list[Confirmation]:
        del timeout
        self.taken.append(list(messages))
        assert self.open.wait(10)
        if self.faults:
            raise self.faults.pop(0)
        return [Confirmation(self.answer(message)) for message in messages]

    def stay_connected(self, *, timeout: timedelta) -> None:
        del timeout
        self.logins += 1
        if not self.lets_in:
            raise BrokerRefusedError("ACCESS_REFUSED")

    def close(self) -> None:
        pass

    def events(self) -> list[list[str]]:
        """The ids of the events of each message of events, in order of sending."""
        batches = [m.body for messages in self.taken for m in messages if m.routing_key == "task.lifecycle"]
        return [[event["id"] for event in msgspec.json.decode(body)] for body in batches]

    def others(self) -> list[str]:
        return [m.message_id for messages in self.taken for m in messages if m.routing_key != "task.lifecycle"]


@pytest.fixture
def broker() -> Broker:
    return Broker()


@pytest.fixture
def recorder(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> Iterator[Recorder]:
    monkeypatch.setattr("tasks.worker.recorder.FIRST_PAUSE_SECONDS", 0.01)
    monkeypatch.setattr("tasks.worker.recorder.LONGEST_PAUSE_SECONDS", 0.05)
    recorder = Recorder(broker, wake=lambda: None)
    recorder.start()
    yield recorder
    broker.open.set()
    recorder.stop()
    assert not recorder.is_alive()


def event(name: str, *, size: int = 0, text: str = "") -> CloudEvent:
    data = msgspec.Raw(msgspec.json.encode(text or "x" * size))
    return CloudEvent(specversion="1.0", id=name, source="lab", type="task.started", time=datetime.now(UTC), data=data)


def message(name: str) -> OutgoingMessage:
    return OutgoingMessage(exchange="tasks", routing_key="tasks.high", body=b"[]", message_id=name)


def released(recorder: Recorder, done: list[Any], count: int) -> None:
    def all_done() -> bool:
        recorder.release()
        return len(done) == count

    eventually(all_done, seconds=5)


def test_a_recorder_is_connected_before_there_is_something_to_record(recorder: Recorder, broker: Broker) -> None:
    eventually(lambda: broker.logins == 1)
    assert not recorder.is_held_up
    assert broker.taken == []


def test_a_recorder_that_is_not_let_in_is_held_up_and_says_so_once_until_it_is(
    broker: Broker, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tasks.worker.recorder.KEEP_ALIVE_SECONDS", 0.01)
    broker.lets_in = False
    recorder = Recorder(broker, wake=lambda: None)
    recorder.start()
    eventually(lambda: broker.logins > 2)
    assert recorder.is_held_up
    broker.lets_in = True
    eventually(lambda: not recorder.is_held_up)
    recorder.stop()
    assert capsys.readouterr().out.count("has no connection to the broker") == 1


def test_what_waits_for_a_confirm_is_done_after_it_on_the_thread_that_releases(
    recorder: Recorder, broker: Broker
) -> None:
    done: list[int] = []
    broker.open.clear()
    recorder.submit(Entry([event("a")], then=lambda: done.append(threading.get_ident())))
    eventually(lambda: broker.taken)
    recorder.release()
    assert done == []
    broker.open.set()
    released(recorder, done, 1)
    assert done == [threading.get_ident()]


def test_what_was_said_while_a_confirm_was_awaited_goes_out_in_one_message(recorder: Recorder, broker: Broker) -> None:
    broker.open.clear()
    recorder.submit(Entry([event("first")]))
    eventually(lambda: broker.taken)
    for name in "abc":
        recorder.submit(Entry([event(name)]))
    broker.open.set()
    assert recorder.flush(timedelta(seconds=5))
    assert broker.events() == [["first"], ["a", "b", "c"]]


def test_a_message_of_events_has_a_bounded_size(recorder: Recorder, broker: Broker) -> None:
    broker.open.clear()
    recorder.submit(Entry([event("first")]))
    eventually(lambda: broker.taken)
    for name in "abc":
        recorder.submit(Entry([event(name, size=BATCH_BYTES // 2)]))
    broker.open.set()
    assert recorder.flush(timedelta(seconds=5))
    assert broker.events() == [["first"], ["a"], ["b"], ["c"]]


def test_what_is_not_confirmed_is_sent_again_until_it_is(recorder: Recorder, broker: Broker) -> None:
    done: list[str] = []
    broker.faults = [BrokerUnreachableError("away"), BrokerUnreachableError("still away")]
    recorder.submit(Entry([event("a")], then=lambda: done.append("a")))
    released(recorder, done, 1)
    assert broker.events() == [["a"], ["a"], ["a"]]


def test_an_entry_waits_for_its_message_too_and_only_what_is_missing_is_sent_again(
    recorder: Recorder, broker: Broker
) -> None:
    refusals = [Outcome.NACKED, Outcome.RETURNED]
    broker.answer = lambda m: refusals.pop() if m.message_id == "next" and refusals else Outcome.CONFIRMED
    done: list[str] = []
    recorder.submit(Entry([event("a")], [message("next")], then=lambda: done.append("a")))
    released(recorder, done, 1)
    assert broker.events() == [["a"]]
    assert broker.others() == ["next", "next", "next"]


def test_that_another_attempt_follows_is_said_after_its_message_has_arrived(recorder: Recorder, broker: Broker) -> None:
    broker.answer = lambda m: Outcome.NACKED if m.message_id == "next" else Outcome.CONFIRMED
    recorder.submit(Entry([event("a")], [message("next")]))
    eventually(lambda: len(broker.others()) > 1)
    assert broker.events() == []
    broker.answer = lambda _message: Outcome.CONFIRMED
    assert recorder.flush(timedelta(seconds=5))
    assert broker.events() == [["a"]]


def test_one_that_is_refused_does_not_hold_up_the_others(recorder: Recorder, broker: Broker) -> None:
    broker.answer = lambda m: Outcome.NACKED if m.message_id == "stuck" else Outcome.CONFIRMED
    done: list[str] = []
    recorder.submit(Entry([], [message("stuck")], then=lambda: done.append("stuck")))
    recorder.submit(Entry([event("b")], then=lambda: done.append("b")))
    released(recorder, done, 1)
    assert done == ["b"]
    assert not recorder.flush(timedelta(seconds=0.05))
    broker.answer = lambda _message: Outcome.CONFIRMED
    released(recorder, done, 2)


def test_an_entry_with_nothing_to_say_is_done_at_once(recorder: Recorder) -> None:
    done: list[str] = []
    recorder.submit(Entry([], then=lambda: done.append("nothing")))
    released(recorder, done, 1)


def test_flush_says_when_the_time_did_not_suffice(recorder: Recorder, broker: Broker) -> None:
    broker.open.clear()
    recorder.submit(Entry([event("a")]))
    assert not recorder.flush(timedelta(seconds=0.05))


def test_a_recorder_that_dies_is_not_a_secret(recorder: Recorder, broker: Broker) -> None:
    broker.faults = [ZeroDivisionError()]
    recorder.submit(Entry([event("a")]))
    eventually(lambda: not recorder.is_alive())
    assert not recorder.flush(timedelta(seconds=5))
    with pytest.raises(RecorderDiedError):
        recorder.release()


def test_what_is_told_can_be_stored_whatever_it_holds(recorder: Recorder, broker: Broker) -> None:
    recorder.submit(Entry([event("a", text="a\0b \\u0000")]))
    assert recorder.flush(timedelta(seconds=5))
    ((sent,),) = broker.taken
    (read,) = decode(sent.content_type, sent.headers, sent.body)
    assert isinstance(read, CloudEvent)
    assert msgspec.json.decode(read.data) == "a\u2400b \\u0000"


def test_long_attributes_count_for_the_size_of_a_message_too(recorder: Recorder, broker: Broker) -> None:
    broker.open.clear()
    recorder.submit(Entry([event("first")]))
    eventually(lambda: broker.taken)
    for number in range(200):
        recorder.submit(Entry([msgspec.structs.replace(event(str(number)), correlationid="\x01" * 255)]))
    broker.open.set()
    assert recorder.flush(timedelta(seconds=5))
    sizes = [len(message.body) for messages in broker.taken for message in messages]
    assert sum(sizes) > BATCH_BYTES
    assert max(sizes) <= BATCH_BYTES
