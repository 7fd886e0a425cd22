"""Restoring: the queue ``dead``, which the broker bounds and people may purge, is filled again from the log.

The messages go to that queue alone, by the default exchange. Through the exchange ``dead`` they would also reach
``dead.record`` and be recorded as dead once more.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from itertools import islice
from typing import Any, Final

import msgspec

from infra.broker.connection import broker_faults, open_amqp
from infra.broker.errors import BrokerError
from infra.broker.frames import OutgoingMessage, publish_frames
from infra.broker.publisher import Publisher
from infra.broker.topology import DEAD
from infra.settings import Settings
from tasks.dead_letters.letter import Letter
from tasks.dead_letters.replay import Tally
from tasks.dispatch.celery_message import UnpublishableError, celery_message

RESTORED: Final = "ledgerq-restored"
"""Header: when the message was put back (ISO 8601). Nobody who dead-letters writes it."""
REASON: Final = "ledgerq-death-reason"
QUEUE: Final = "ledgerq-death-queue"
DIED_AT: Final = "ledgerq-death-at"
BATCH: Final = 100
_FRAME_MAX: Final = 131_072
"""RabbitMQ's default (``frame_max``)."""
_TIMEOUT: Final = timedelta(seconds=30)


class QueueNotEmptyError(Exception):
    """Messages lie in the queue: some of them may be among those that would be put there a second time."""


class RestoreIncompleteError(Exception):
    """The broker did not take all messages; the text says how many it took."""


def waiting_in_dead(settings: Settings) -> int:
    """How many messages the queue ``dead`` has ready.

    Raises:
        BrokerError: the broker cannot be asked, or there is no such queue.
    """
    connection = open_amqp(settings, role="dlq restore")
    try:
        with broker_faults(settings):
            return int(connection.channel().queue_declare(DEAD, passive=True).message_count)
    finally:
        connection.collect()


def restore(settings: Settings, letters: Iterable[Letter], *, at: datetime, even_if_not_empty: bool = False) -> Tally:
    """Put the letters' messages into the queue ``dead``, each confirmed.

    Args:
        settings: for the broker.
        letters: which; in the order in which they are to lie there.
        at: the present, for the header that says when they were put back.
        even_if_not_empty: add to what lies there.

    Returns:
        the letters that were restored, and those that cannot be.

    Raises:
        QueueNotEmptyError: something lies in the queue.
        RestoreIncompleteError: the broker did not confirm one; those before it lie in the queue.
        BrokerError: the broker cannot be reached, or there is no such queue.
    """
    waiting = waiting_in_dead(settings)
    if waiting and not even_if_not_empty:
        raise QueueNotEmptyError(f"{waiting} messages lie in queue {DEAD}")
    done: dict[str, str] = {}
    left: dict[str, str] = {}
    with Publisher(settings, role="dlq restore") as publisher:
        messages = _messages(letters, at, left)
        while batch := list(islice(messages, BATCH)):
            try:
                answers = publisher.publish([message for _, message in batch], timeout=_TIMEOUT)
            except BrokerError as error:
                raise RestoreIncompleteError(f"{len(done)} restored, then: {error}") from error
            refused = [answer.text for answer in answers if not answer.confirmed]
            if refused:
                raise RestoreIncompleteError(f"{len(done)} restored, then: {refused[0]}")
            done.update({letter.run_id: letter.task for letter, _ in batch})
    return Tally(done, left)


def _messages(
    letters: Iterable[Letter], at: datetime, left: dict[str, str]
) -> Iterator[tuple[Letter, OutgoingMessage]]:
    for letter in letters:
        message = message_of(letter, at=at)
        if message is None:
            left[letter.run_id] = "its body was not kept, and nobody had asked the platform for it"
            continue
        try:
            publish_frames(message, channel=1, frame_max=_FRAME_MAX)
        except ValueError as error:  # found out while sending, it would cost the whole batch
            left[letter.run_id] = str(error)
        else:
            yield letter, message


def message_of(letter: Letter, *, at: datetime) -> OutgoingMessage | None:
    """The dead message as it was, with what the broker had written on it told in headers of ours.

    Where its body was not kept, the message that dispatch had made of the run's request; None where there was none.
    """
    kept = letter.died.message
    body = kept.body_bytes() if kept else None
    marks = {
        RESTORED: at.isoformat(),
        REASON: letter.died.reason,
        QUEUE: letter.died.queue,
        DIED_AT: letter.died_at.isoformat(),
    }
    marks = {name: value for name, value in marks.items() if value is not None}
    if kept is None or body is None:
        return _requested_message(letter, marks)
    return OutgoingMessage(
        exchange="",
        routing_key=DEAD,
        body=body,
        content_type=kept.content_type or "application/octet-stream",
        content_encoding=kept.content_encoding,
        headers={**kept.headers, **marks},
        priority=letter.died.priority,
        message_id=f"{letter.run_id}/restored",
    )


def _requested_message(letter: Letter, marks: dict[str, Any]) -> OutgoingMessage | None:
    requested = next((each for each in letter.events if each.event is letter.requested), None)
    if requested is None:
        return None
    try:
        message = celery_message(requested)
    except UnpublishableError:
        return None
    return msgspec.structs.replace(
        message, exchange="", routing_key=DEAD, headers={**message.headers, **marks}, priority=letter.priority
    )
