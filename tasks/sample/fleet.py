"""Playing the plan over AMQP, the way domain services would."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import Final
from uuid import uuid4

import msgspec

from domain.tier import Tier
from infra.broker.emitter import Emitter
from infra.broker.publisher import OutgoingMessage, Publisher
from infra.broker.topology import EVENTS, TASKS
from infra.cloudevents import CloudEvent
from infra.settings import Settings
from tasks.sample.letters import letters
from tasks.sample.plan import Said, plan
from tasks.sample.work import stock_task

SOURCE: Final = "/sample/fleet"
STOCK_RUNS: Final = 5
TICK_SECONDS: Final = 0.1
"""What is due within one tick goes out together."""
_CONFIRM_WITHIN: Final = timedelta(seconds=30)


def play(settings: Settings, *, seed: int) -> int:
    """Say everything in the plan at its time.

    Returns:
        How many tasks were sent: requested by event, published by a Celery client, and malformed.
    """
    start = datetime.now(UTC)
    tag = uuid4().hex[:6]
    said = sorted(
        [*plan(seed=seed, start=start, tag=tag), *letters(settings, start=start, tag=tag)],
        key=lambda message: message.after_seconds,
    )
    began = time.monotonic()
    with Emitter(settings, role="sample fleet") as emitter:
        for tick, group in groupby(said, key=lambda message: int(message.after_seconds / TICK_SECONDS)):
            time.sleep(max(0.0, began + tick * TICK_SECONDS - time.monotonic()))
            _say(emitter, list(group), tick=tick)
    stock = _send_what_is_not_ours(settings)
    return stock + sum(message.type == "task.requested" for message in said)


def _say(emitter: Emitter, messages: list[Said], *, tick: int) -> None:
    """One moment's messages; a gateway's in one batch, the others one by one, every tenth moment in binary mode."""
    batched = [_event(message) for message in messages if message.batched]
    if batched:
        emitter.emit_batch(batched)
    mode = "binary" if tick % 10 == 0 else "structured"
    emitter.emit_all([_event(message) for message in messages if not message.batched], mode=mode)


def _event(message: Said) -> CloudEvent:
    """The message as a CloudEvent, unchecked: some of what the fleet says is meant to be refused."""
    return CloudEvent(
        specversion="1.0",
        id=str(uuid4()),
        source=SOURCE,
        type=message.type,
        subject=message.subject,
        time=message.occurred_at or datetime.now(UTC),
        data=msgspec.Raw(msgspec.json.encode(message.data)),
    )


def _send_what_is_not_ours(settings: Settings) -> int:
    """A Celery client that knows nothing of us, and messages that nobody can read."""
    for number in range(STOCK_RUNS):
        stock_task.apply_async(kwargs={"number": number}, queue=Tier.NORMAL.queue, priority=number)
    malformed = OutgoingMessage(
        exchange=TASKS, routing_key=Tier.NORMAL.queue, body=b'[["never', content_type="application/json", priority=3
    )
    unreadable = OutgoingMessage(
        exchange=EVENTS, routing_key="session.heartbeat", body=b"{", content_type="application/cloudevents+json"
    )
    with Publisher(settings, role="sample fleet, malformed") as publisher:
        publisher.publish([malformed, unreadable], timeout=_CONFIRM_WITHIN)
    return STOCK_RUNS + 1
