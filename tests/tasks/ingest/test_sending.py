from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta

import pytest
from structlog.testing import capture_logs

from infra.broker.errors import BrokerUnreachableError
from infra.broker.publisher import Confirmation, Outcome, OutgoingMessage, Publisher
from tasks.ingest.isolation import Interrupted
from tasks.ingest.rejection import Rejected
from tasks.ingest.sending import DeadLetterOffice, Markers
from tests.tasks.ingest.deliveries import delivery

REJECTED = [Rejected.bytes_of(delivery(body), reason="unreadable", detail="x") for body in (b"1", b"2", b"3")]
YES, NO = Confirmation(Outcome.CONFIRMED), Confirmation(Outcome.NACKED, "full")

Answer = Callable[[Sequence[OutgoingMessage]], list[Confirmation]]


class Scripted(Publisher):
    """Answers each publish as told; confirms everything after that."""

    def __init__(self, *answers: list[Confirmation] | Exception) -> None:
        self.answers = list(answers)
        self.published: list[list[bytes]] = []
        self.kept_alive = 0

    def publish(self, messages: Sequence[OutgoingMessage], *, timeout: timedelta) -> list[Confirmation]:
        assert timeout
        self.published.append([message.body for message in messages])
        answer = self.answers.pop(0) if self.answers else [YES] * len(messages)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def keep_alive(self) -> None:
        self.kept_alive += 1


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    with capture_logs():
        yield


def sent(publisher: Scripted) -> list[list[bytes]]:
    DeadLetterOffice(publisher, pause=lambda _: None).send(REJECTED)
    return publisher.published


def test_what_the_broker_does_not_confirm_is_sent_again_and_the_rest_is_not() -> None:
    assert sent(Scripted([YES, NO, YES])) == [[b"1", b"2", b"3"], [b"2"]]


def test_without_a_connection_everything_is_sent_again() -> None:
    assert sent(Scripted(BrokerUnreachableError("gone"))) == [[b"1", b"2", b"3"]] * 2


def test_headers_that_cannot_be_written_again_do_not_hold_the_message_back() -> None:
    assert sent(Scripted(ValueError("no type for that"))) == [[b"1", b"2", b"3"]] * 2


def test_it_does_not_return_before_the_broker_has_them_all() -> None:
    def give_up(_: float) -> None:
        raise Interrupted("stop")

    with pytest.raises(Interrupted):
        DeadLetterOffice(Scripted([NO, NO, NO]), pause=give_up).send(REJECTED)


def test_nothing_rejected_is_nothing_sent() -> None:
    publisher = Scripted(BrokerUnreachableError("gone"))
    DeadLetterOffice(publisher, pause=lambda _: None).send([])
    assert publisher.published == []


def test_a_marker_is_sent_when_it_is_due_and_the_connection_is_kept_in_between() -> None:
    publisher = Scripted()
    markers = Markers(publisher, every_seconds=3600, on_loss=pytest.fail)
    for _ in range(3):
        markers.send_if_due()
    assert len(publisher.published) == 1
    assert publisher.kept_alive == 1


def test_a_marker_that_cannot_be_sent_stops_nothing_and_is_noticed() -> None:
    publisher = Scripted(BrokerUnreachableError("gone"))
    losses: list[None] = []
    markers = Markers(publisher, every_seconds=0, on_loss=lambda: losses.append(None))
    markers.send_if_due()
    markers.send_if_due()
    assert len(publisher.published) == 2
    assert len(losses) == 1
