"""A worker's vital signs: that its loop turns, whether it takes work, and what it is at."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from celery.worker import state

from infra.pulse import Pulse

if TYPE_CHECKING:
    from tasks.worker.consumer import RecordingConsumer


class Vitals:
    """Used by the consumer's thread alone.

    Args:
        pulse: where it is said.
        consumer: whose loop it is.
    """

    def __init__(self, pulse: Pulse, consumer: RecordingConsumer) -> None:
        self._pulse = pulse
        self._consumer = consumer

    def start(self) -> None:
        """The worker begins; it takes no work yet."""
        self._pulse.beat(ready=False, state=self._state)
        self._pulse.start()

    def stop(self) -> None:
        """The worker ends."""
        self._pulse.stop()

    def beat(self) -> None:
        """The loop turns."""
        takes_work = self._consumer.is_connected() and not self._consumer.registrar.is_closed
        self._pulse.beat(ready=takes_work and not self._consumer.recorder.is_held_up, state=self._state)

    def cut_off(self) -> None:
        """The loop turns, and there is no broker to take work from."""
        self._pulse.beat(ready=False, state=self._state)

    def kept_up(self, connection: Any) -> Any:
        """The kombu connection, whose tries to reach a broker that is away count as the loop's turning."""
        connect = connection.ensure_connection

        def ensure(*args: Any, callback: Callable[[], None] | None = None, **kwargs: Any) -> Any:
            def again() -> None:
                self.cut_off()
                self._consumer.reconnecting.away()
                if callback is not None:
                    callback()

            return connect(*args, callback=again, **kwargs)

        connection.ensure_connection = ensure
        return connection

    def _state(self) -> dict[str, Any]:
        return {
            "children": self._consumer.pool.limit,
            "active": [
                {"run_id": each.id, "task": each.name, "since": datetime.fromtimestamp(each.time_start, UTC)}
                for each in state.active_requests
                if each.time_start
            ],
        }
