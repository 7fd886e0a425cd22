"""How fast messages come in, and how soon they can be seen."""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import uuid4

import msgspec
import psycopg
from pika.adapters.blocking_connection import BlockingChannel

from infra.broker.connection import connect
from infra.broker.publisher import OutgoingMessage, Publisher
from infra.broker.topology import EVENTS
from infra.cloudevents import CloudEvent, Encoded, encode_batch, encode_structured, new_event
from infra.settings import Settings

SOURCE: Final = "/bench"
_WITHIN: Final = timedelta(seconds=120)
_DEADLINE_SECONDS: Final = 120.0
_STORED: Final = """
    select coalesce(sum(jsonb_array_length(data->'session_ids')), 0)
    from event_store.heartbeat_events where name = 'session.heartbeats_received'
"""
_VISIBLE: Final = "select 1 from analytics.dim_licenses where license_id = %s"


class IngestBench:
    """Measures a running platform; each measurement returns figures by name."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._publisher = Publisher(settings, role="bench")
        self._database = psycopg.connect(settings.database_url.get_secret_value(), autocommit=True)

    def close(self) -> None:
        """Close both connections."""
        self._publisher.close()
        self._database.close()

    def emit_visible(self, *, rounds: int) -> dict[str, float]:
        """From the emit of an event until an analyst's query sees it, on an idle system, in milliseconds."""
        waits = sorted(self._one_round_trip() * 1000 for _ in range(rounds))
        return {
            "emit_visible_p50_ms": statistics.median(waits),
            "emit_visible_p99_ms": waits[min(len(waits) - 1, round(0.99 * len(waits)))],
        }

    def singles(self, *, messages: int) -> dict[str, float]:
        """Single-heartbeat messages a second; beside it, a plain pika consumer that stores nothing."""
        bodies = [outgoing(encode_structured(single_heartbeat(f"s{number}"))) for number in range(messages)]
        rate = messages / self._until_stored(lambda: self._publish(bodies), messages)
        limit = messages / self._bare_consumption(bodies)
        return {
            "ingest_messages_per_second": rate,
            "bare_messages_per_second": limit,
            "ingest_vs_bare_consumer": rate / limit,
        }

    def paced(self, *, per_second: int, seconds: int) -> dict[str, float]:
        """Milliseconds from the last of a steady stream of single messages until all of it is stored."""
        before = self._stored()
        began = time.monotonic()
        for tick in range(seconds * 10):
            part = [outgoing(encode_structured(single_heartbeat(f"s{number}"))) for number in range(per_second // 10)]
            self._publish(part)
            time.sleep(max(0.0, began + (tick + 1) / 10 - time.monotonic()))
        took = time.monotonic() - began
        lag = self._wait_for(before + per_second // 10 * seconds * 10)
        return {"paced_messages_per_second": per_second * seconds / took, "paced_lag_ms": lag * 1000}

    def batches(self, *, messages: int, heartbeats_each: int) -> dict[str, float]:
        """Heartbeats a second where gateways send CloudEvents batches."""
        names = [f"s{number}" for number in range(heartbeats_each)]
        bodies = [outgoing(encode_batch([single_heartbeat(name) for name in names])) for _ in range(messages)]
        total = messages * heartbeats_each
        return {"heartbeats_per_second": total / self._until_stored(lambda: self._publish(bodies), total)}

    def _one_round_trip(self) -> float:
        name = f"bench-{uuid4()}"
        data = {"license_id": name, "valid_until": (datetime.now(UTC) + timedelta(days=900)).isoformat()}
        event = new_event("license.issued", source=SOURCE, subject=name, data=data)
        message = outgoing(encode_structured(event), routing_key="license.issued")
        began = time.monotonic()
        self._publisher.publish([message], timeout=_WITHIN)
        while self._database.execute(_VISIBLE, (name,)).fetchone() is None:
            if time.monotonic() - began > _DEADLINE_SECONDS:
                raise TimeoutError(f"{name} did not become visible")
            time.sleep(0.002)
        seen = time.monotonic() - began
        time.sleep(0.02)  # let the system fall idle again: this measures a wait, not a rate
        return seen

    def _until_stored(self, publish: Callable[[], None], heartbeats: int) -> float:
        before = self._stored()
        began = time.monotonic()
        publish()
        self._wait_for(before + heartbeats)
        return time.monotonic() - began

    def _publish(self, messages: list[OutgoingMessage]) -> None:
        for first in range(0, len(messages), 1000):
            self._publisher.publish(messages[first : first + 1000], timeout=_WITHIN)

    def _stored(self) -> int:
        row = self._database.execute(_STORED).fetchone()
        return int(row[0]) if row else 0

    def _wait_for(self, heartbeats: int) -> float:
        began = time.monotonic()
        while self._stored() < heartbeats:
            if time.monotonic() - began > _DEADLINE_SECONDS:
                raise TimeoutError(f"{self._stored()} of {heartbeats} heartbeats were stored")
            time.sleep(0.02)
        return time.monotonic() - began

    def _bare_consumption(self, messages: list[OutgoingMessage]) -> float:
        """Publish the same messages to a bare consumer beside: acknowledged by the thousand, nothing stored."""
        queue = f"bench.{uuid4()}"
        connection = connect(self._settings, role="bench, bare consumer")
        channel = connection.channel()
        channel.queue_declare(queue, durable=True, exclusive=True, arguments={"x-queue-type": "classic"})
        channel.queue_bind(queue, EVENTS, routing_key=queue)
        channel.basic_qos(prefetch_count=2000)
        consumer = threading.Thread(target=_consume, args=(channel, queue, len(messages)))
        began = time.monotonic()
        consumer.start()
        self._publish([msgspec.structs.replace(message, routing_key=queue) for message in messages])
        consumer.join()
        took = time.monotonic() - began
        connection.close()
        return took


def _consume(channel: BlockingChannel, queue: str, messages: int) -> None:
    """Take so many messages and no more."""
    taken = 0

    def take(_channel: BlockingChannel, method: Any, _properties: Any, _body: bytes) -> None:
        nonlocal taken
        taken += 1
        if taken % 1000 == 0 or taken == messages:
            channel.basic_ack(method.delivery_tag, multiple=True)
        if taken == messages:
            channel.stop_consuming()

    channel.basic_consume(queue, take)
    channel.start_consuming()


def single_heartbeat(session_id: str) -> CloudEvent:
    """A sign of life of the session, now."""
    return new_event("session.heartbeat", source=SOURCE, subject=session_id, data={"session_id": session_id})


def outgoing(encoded: Encoded, *, routing_key: str = "session.heartbeat") -> OutgoingMessage:
    """The event as a message to exchange ``events``."""
    return OutgoingMessage(
        exchange=EVENTS, routing_key=routing_key, body=encoded.body, content_type=encoded.content_type
    )
