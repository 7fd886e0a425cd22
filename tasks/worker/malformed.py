"""Which attempt a message stands for that cannot be read."""

from __future__ import annotations

from typing import Any

from domain.run_id import message_run_id
from domain.task_run import LAST_ATTEMPT
from tasks.worker.attempt import TRACEPARENT, Attempt
from tasks.worker.next_message import raw_body
from tasks.worker.outcome import cut


def attempt_of_malformed(message: Any, *, queue: str, worker: str) -> Attempt:
    """The attempt as far as the message says it in a form that can be told.

    Args:
        message: a kombu message of any headers.
        queue: where it came from.
        worker: who has it in hand.
    """
    told = {name: value for name, value in message.headers.items() if not isinstance(value, str) or _is_sound(value)}
    task, trace = told.get("task"), told.get("traceparent")
    return Attempt(
        run_id=message_run_id(raw_body(message), told),
        number=_number(told.get("ledgerq-attempt")),
        task=cut(task, 200) if isinstance(task, str) and task else "unknown",
        queue=queue,
        worker=worker,
        traceparent=trace if isinstance(trace, str) and TRACEPARENT.fullmatch(trace) else None,
    )


def _number(told: object) -> int:
    """The attempt's number, which may be written as text, too; the first where it is none."""
    text = str(told) if type(told) in {int, str} else ""
    number = int(text) if text.isascii() and text.isdecimal() and len(text) <= len(str(LAST_ATTEMPT)) else 0
    return number if 0 < number <= LAST_ATTEMPT else 1


def _is_sound(text: str) -> bool:
    """Whether it is Unicode; py-amqp lets halves of surrogate pairs through."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
