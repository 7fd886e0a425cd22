"""The dispatch process: one works, any number stand by."""

from __future__ import annotations

import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol, Self

from infra.broker.depths import QueueDepths
from infra.broker.errors import BrokerUnreachableError
from infra.broker.publisher import Publisher
from infra.database import Leadership
from infra.event_store import EventStore
from infra.metrics.instruments import Instruments
from infra.process_name import ProcessName
from infra.pulse import Pulse
from infra.running import running
from infra.settings import Settings, load_settings
from infra.stopping import StopRequest
from tasks.dispatch.copies import CopiesFollower
from tasks.dispatch.error_callbacks import ErrorCallbacksFollower
from tasks.dispatch.fan_ins import FanInFollower
from tasks.dispatch.meter import DispatchMeter, show_held
from tasks.dispatch.policies import FOLLOWERS, PolicyFollower
from tasks.dispatch.pressure import Pressure
from tasks.dispatch.publishing import PublishingFollower
from tasks.dispatch.resuming import ResumingFollower
from tasks.dispatch.waits import WaitsFollower
from tasks.dispatch.webhooks import WebhookFollower
from tasks.leading import LEADS, lead

LEADERSHIP: Final = "dispatch"
LOOK_AFTER_LEADERSHIP_SECONDS: Final = 1.0
"""How often the leadership is asked after. Whoever leads no longer is stopped by the checkpoint's compare-and-set."""
NOTE_SECONDS: Final = 1.0
"""How often the place in a log is written down while there is nothing to do; readers of the lag want to see it."""


def run(settings: Settings | None = None) -> None:
    """Dispatch until SIGTERM.

    Args:
        settings: None: those of the environment.
    """
    settings = settings or load_settings()
    with (
        running(settings, ProcessName.DISPATCH) as (stop, pulse, instruments),
        Dispatcher(settings, stop, pulse, instruments=instruments) as dispatcher,
    ):
        lead(settings, LEADERSHIP, stop=stop, pulse=pulse, work=dispatcher.work, instruments=instruments)


class Follower(Protocol):
    """What follows a log: it begins where it stopped, and says now and then how far it is."""

    def take_over(self) -> None:
        """Begin where the last one stopped."""

    def step(self) -> bool:
        """Do what there is to do now; whether there was anything."""

    def note_position(self) -> None:
        """Write down how far this has looked, if the store does not know."""


class Dispatcher:
    """The followers of this process, in one loop: policies ask for runs, accepted runs are published."""

    def __init__(
        self, settings: Settings, stop: StopRequest, pulse: Pulse, *, instruments: Instruments | None = None
    ) -> None:
        self._stop = stop
        self._pulse = pulse
        self._pause_seconds = settings.poll_interval_ms / 1000
        self._store = EventStore(settings.database_url.get_secret_value(), connections=1, name="ledgerq dispatch")
        self._publisher = Publisher(settings, role="dispatch")
        page = settings.dispatch_batch_runs
        window = timedelta(seconds=settings.alert_window_seconds) if settings.alert_email else None
        policies = tuple(
            PolicyFollower(
                self._store, clock=_now, page_events=page, log=log, alert_window=window, instruments=instruments
            )
            for log in FOLLOWERS
        )
        webhooks = tuple(WebhookFollower(self._store, clock=_now, page_events=page, log=log) for log in FOLLOWERS)
        fan_ins = FanInFollower(self._store, clock=_now, page_events=page)
        error_callbacks = ErrorCallbacksFollower(self._store, clock=_now, page_events=page)
        self._askers: tuple[Follower, ...] = (*policies, *webhooks, fan_ins, error_callbacks)
        self._copies = CopiesFollower(self._store, self._publisher)
        self._waits = (
            WaitsFollower(self._store, clock=_now, page_events=page),
            ResumingFollower(self._store, self._publisher, page_runs=page),
        )
        self._depths = QueueDepths(settings, role="dispatch depths")
        limit = settings.tier_ready_limit_messages
        pressure = Pressure(self._store, self._depths, clock=_now, limit_messages=limit)
        self._publishing = PublishingFollower(
            self._store,
            self._publisher,
            clock=_now,
            page_runs=page,
            pressure=pressure,
            meter=DispatchMeter(instruments) if instruments is not None else None,
        )
        if instruments is not None:
            show_held(instruments, self._publishing.lanes, pressure)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        with suppress(BrokerUnreachableError):  # it is away already; everything it confirmed is recorded
            self._publisher.close()
        self._depths.close()
        self._store.close()

    @property
    def _followers(self) -> tuple[Follower, ...]:
        return (*self._askers, *self._waits, self._publishing, self._copies)

    def work(self, leadership: Leadership) -> None:
        """Follow both logs until the leadership is lost or somebody asks to stop."""
        for follower in self._followers:
            follower.take_over()
        looked_at = noted_at = time.monotonic()
        while not self._stop:
            self._pulse.beat(ready=not self._publishing.is_failing, state=LEADS.copy)
            if time.monotonic() - looked_at > LOOK_AFTER_LEADERSHIP_SECONDS:
                if not leadership.still_held():
                    return
                looked_at = time.monotonic()
            accepted = [followed.step() for followed in self._askers]
            published = [self._publishing.step(), self._copies.step()]
            waited = [follower.step() for follower in self._waits]
            if any(accepted) or any(published) or any(waited):
                continue
            if time.monotonic() - noted_at > NOTE_SECONDS:
                noted_at = time.monotonic()
                for follower in self._followers:
                    follower.note_position()
                self._publisher.keep_alive()
            self._stop.wait(self._pause_seconds)


def _now() -> datetime:
    return datetime.now(UTC)
