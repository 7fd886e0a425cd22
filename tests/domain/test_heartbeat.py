from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import msgspec

from domain.heartbeat import Heartbeat, HeartbeatsReceived

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)


def test_a_batch_unpacks_to_the_heartbeats_it_was_made_of() -> None:
    heartbeats = [Heartbeat(f"S{n}", NOW + timedelta(milliseconds=(n * 37) % 11)) for n in range(20)]
    assert list(HeartbeatsReceived.of(heartbeats, batch_id=uuid4())) == heartbeats


def test_one_from_a_clock_that_is_ahead_keeps_by_how_much() -> None:
    heartbeats = [Heartbeat("S1", NOW), Heartbeat("S2", NOW, ahead_ms=90_000), Heartbeat("S3", NOW)]
    received = HeartbeatsReceived.of(heartbeats, batch_id=uuid4())
    assert list(received) == heartbeats
    assert received.ahead == ((1, 90_000),)


def test_a_stored_heartbeat_costs_less_than_sixty_bytes() -> None:
    heartbeats = [Heartbeat(str(uuid4()), NOW + timedelta(milliseconds=n)) for n in range(1000)]
    stored = msgspec.json.encode(HeartbeatsReceived.of(heartbeats, batch_id=uuid4()).data())
    assert len(stored) / len(heartbeats) < 60


def test_a_heartbeat_packed_twice_in_different_company_is_the_same_heartbeat() -> None:
    late = Heartbeat("S1", NOW + timedelta(microseconds=5_900))
    alone = HeartbeatsReceived.of([late], batch_id=uuid4())
    together = HeartbeatsReceived.of([Heartbeat("S0", NOW + timedelta(microseconds=1_250)), late], batch_id=uuid4())
    assert list(alone) == [Heartbeat("S1", NOW + timedelta(milliseconds=5))]
    assert list(together)[1] == next(iter(alone))
