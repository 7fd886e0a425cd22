"""Bounded in the broker, kept for ever in the log."""

from __future__ import annotations

from contextlib import closing
from datetime import timedelta

from infra.broker.frames import OutgoingMessage
from infra.broker.publisher import Publisher
from infra.settings import Settings
from tests.infra.broker.virtual_host import VirtualHost
from tests.waiting import eventually

BOUND = 10_000
DAY_MILLISECONDS = 86_400_000


def test_the_queue_for_people_forgets_the_oldest_beyond_its_bound_and_the_recorder_s_forgets_nothing(
    fresh_platform: Settings,
) -> None:
    message = OutgoingMessage(exchange="dead", routing_key="tasks.low", body=b"[[], {}, {}]")
    with closing(VirtualHost(fresh_platform)) as host, Publisher(fresh_platform, role="test") as publisher:
        host.purge()
        for _ in range(11):
            answers = publisher.publish([message] * 1000, timeout=timedelta(seconds=60))
            assert all(answer.confirmed for answer in answers)
        eventually(lambda: host.depth("dead.record") == 11_000, seconds=60)
        eventually(lambda: host.depth("dead") == BOUND, seconds=60)
        name = host.name().replace("/", "%2F")
        policy = host.api("GET", f"queues/{name}/dead")["arguments"]
        assert (policy["x-max-length"], policy["x-message-ttl"]) == (BOUND, DAY_MILLISECONDS)
        assert "x-message-ttl" not in host.api("GET", f"queues/{name}/dead.record")["arguments"]
        host.purge()
