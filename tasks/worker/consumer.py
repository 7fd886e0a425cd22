"""Celery's consumer, with every message checked, and every end recorded before the broker hears of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from signal import SIGKILL
from typing import Any, Final

import structlog
from celery import bootsteps, signals
from celery.worker import state
from celery.worker.consumer import Consumer
from celery.worker.consumer.connection import Connection
from celery.worker.consumer.consumer import Evloop
from celery.worker.consumer.tasks import Tasks

from domain.tier import Tier
from infra.broker.publisher import Publisher
from infra.event_store import EventStore
from infra.logs import about
from infra.metrics import catalog
from infra.metrics.endpoint import Endpoint
from infra.process_name import ProcessName
from infra.pulse import Pulse
from infra.settings import load_settings
from tasks.worker import child
from tasks.worker.admission import Admission
from tasks.worker.ahead import TICK_SECONDS, Ahead, cancel
from tasks.worker.attempt import Attempt
from tasks.worker.celery_events import CeleryEvents
from tasks.worker.delivery import Delivery, Settlements
from tasks.worker.directives import Directives
from tasks.worker.envelope import MalformedMessageError, TaskMessage, read
from tasks.worker.identity import code_version, worker_name
from tasks.worker.in_hand import InHand
from tasks.worker.inquiry import Answer, Inquiry
from tasks.worker.large_pieces import read_in_large_pieces
from tasks.worker.licensed import Licensed
from tasks.worker.licenses import Licenses
from tasks.worker.line import Line
from tasks.worker.malformed import attempt_of_malformed
from tasks.worker.meter import FOLD_SECONDS, WorkerMeter
from tasks.worker.odd_properties import tolerate_odd_properties
from tasks.worker.outcome import Failure, cut
from tasks.worker.pace import Pace
from tasks.worker.pausing import Pausing
from tasks.worker.permits import Permits
from tasks.worker.reconnecting import Reconnecting
from tasks.worker.recorder import Recorder
from tasks.worker.registrar import Registrar
from tasks.worker.revoking import Revoking
from tasks.worker.shutdown import LOOK_EVERY_SECONDS, Shutdown
from tasks.worker.verdict import Fate
from tasks.worker.vitals import Vitals

FLUSH_WITHIN: Final = timedelta(seconds=15)
"""How long a worker that shuts down waits for its last outcomes to be confirmed."""
PERMITS_BACK_WITHIN: Final = timedelta(seconds=3)
LOOK_FOR_DEATHS_SECONDS: Final = 0.5
ASK_EVERY_SECONDS: Final = 2.0
"""How often the log is asked whether another worker went on with what was withheld here."""
DIRECTIVES_WITHIN: Final = timedelta(seconds=8)
"""How long a worker that starts waits to hear what is asked of all; without it, it might begin what was revoked."""

_log = structlog.get_logger("ledgerq.worker")


class Deliveries(Tasks):  # type: ignore[misc]  # Celery is untyped
    """Celery's step that starts to consume, with a prefetch per consumer; nothing here ever changes it."""

    requires = (Connection,)

    def start(self, c: Any) -> None:
        """As Celery's, on a connection that is read in large pieces, and with a second consumer beside it."""
        channel = c.connection.default_channel
        read_in_large_pieces(channel.connection)
        super().start(c)
        c.task_consumer.tag_prefix = f"{c.worker_name} "
        receive = c.task_consumer._receive_callback  # noqa: SLF001  kombu's way from a message of py-amqp's to ours
        queues = sorted(c.app.amqp.queues.consume_from)
        c.ahead = Ahead(channel, queues, receive=receive, children=c.initial_prefetch_count)

    def qos_global(self, c: Any) -> bool:
        """Never: RabbitMQ 4 has deprecated a prefetch shared by a channel's consumers."""
        del c
        return False


class RecordingConsumer(Consumer):  # type: ignore[misc]  # Celery is untyped
    """Takes messages from the broker, hands them to the pool, and lets them go once their outcome is recorded.

    Of Celery's consumer steps only three are left: connect, consume, loop. Mingle, gossip, events, heart, remote
    control and delayed delivery are other ways to do what the log and the delay ladder do, or undo it.
    """

    class Blueprint(bootsteps.Blueprint):  # type: ignore[misc]
        """What is started for each connection, in order."""

        name = "Consumer"
        default_steps = (Connection, Deliveries, Evloop)

        def shutdown(self, parent: Any) -> None:
            """As Celery's."""
            self.send_all(parent, "shutdown")

    event_dispatcher = None
    ahead: Ahead

    def __init__(self, *args: Any, app: Any, **kwargs: Any) -> None:
        super().__init__(*args, app=app, **kwargs)
        tolerate_odd_properties()
        signals.worker_process_init.connect(child.install, weak=False)
        settings = load_settings()
        self.worker_name = worker_name(app.amqp.queues.consume_from)
        tiers, _, _ = self.worker_name.partition("@")
        self.recorder = Recorder(Publisher(settings, role=f"worker {tiers} recorder"), wake=self._wake)
        self.code_version = code_version()
        self.settlements = Settlements(self.connection_errors)
        self.line = Line(self.controller.semaphore)
        self.pace = Pace(allowance=timedelta(milliseconds=settings.worker_ahead_ms), children=self.pool.limit)
        process = ProcessName.of_worker(self._tier())
        self.endpoint = Endpoint(settings, process)
        self.meter = self._meter()
        self.celery_events = CeleryEvents(app, hostname=self.hostname) if settings.celery_events else None
        self.registrar = Registrar(
            self.recorder,
            code_version=self.code_version,
            channel=self._channel,
            settlements=self.settlements,
            is_idle=self.line.is_empty,
            watchers=[each for each in (self.meter, self.celery_events) if each is not None],
        )
        self.inquiry = Inquiry(
            partial(EventStore, settings.database_url.get_secret_value(), connections=1, name="ledgerq worker")
        )
        url = settings.database_url.get_secret_value()
        self.licenses = Licenses(
            partial(EventStore, url, connections=1, name="ledgerq worker licenses"),
            interval=settings.directives_interval,
        )
        self.licensed = Licensed(self.licenses, self.registrar, call_soon=self.call_soon)
        self.directives = Directives(settings.database_url.get_secret_value(), interval=settings.directives_interval)
        self.permits = Permits(settings.database_url.get_secret_value(), worker=self.worker_name)
        self.pausing = Pausing(self.directives, self, app.amqp.queues.consume_from)
        self.revoking = Revoking(self.directives, self.registrar, self.pool)
        self.admission = Admission(self)
        self.shutting_down = Shutdown(self, self.registrar, grace=settings.shutdown_grace)
        self.vitals = Vitals(Pulse(settings, process, name=self.worker_name), self)
        self.reconnecting = Reconnecting(self._turn_unconnected)

    def start(self) -> None:
        """Begin to record, then to consume; returns when the worker is told to stop."""
        self.vitals.start()
        self.recorder.start()
        self.endpoint.open()
        if self.celery_events is not None:
            self.celery_events.start()
        self.directives.start()
        self.shutting_down.listen()
        self.directives.wait(DIRECTIVES_WITHIN)
        super().start()

    def shutdown(self) -> None:
        """The pool is done: have its last outcomes confirmed and their messages let go, then close."""
        for in_hand in self.registrar.not_started():
            self.registrar.hand_back(in_hand)
        _log.info("nothing runs any more; waiting until all of it is recorded", worker=self.worker_name)
        if not self.recorder.flush(FLUSH_WITHIN):
            _log.error("not everything could be recorded; what is left will be delivered again")
        self.registrar.release()
        super().shutdown()
        self.endpoint.close()
        if self.celery_events is not None:
            self.celery_events.stop()
        self.recorder.stop()
        self.directives.stop()
        self.permits.stop(PERMITS_BACK_WITHIN)
        self.licenses.stop(PERMITS_BACK_WITHIN)
        self.vitals.stop()

    def on_ready(self) -> None:
        """Messages are coming; called for every new connection."""
        super().on_ready()
        self.reconnecting.accepted()
        self.pausing.connected()
        queues = sorted(self.app.amqp.queues.consume_from)
        _log.info("worker ready", worker=self.worker_name, queues=queues, code_version=self.code_version)

    def on_connection_error_before_connected(self, exc: BaseException) -> None:
        """The broker refused to be connected to; Celery would try again at once."""
        self.reconnecting.refused(exc)

    def on_connection_error_after_connected(self, exc: BaseException) -> None:
        """As Celery's; with a pause where consuming was refused."""
        super().on_connection_error_after_connected(exc)
        self.reconnecting.lost(exc)

    def on_close(self) -> None:
        """The consumer stops, or its connection was lost; then whatever is in hand will be delivered again."""
        super().on_close()
        if self.connection is None:
            self.registrar.connection_lost()
            running = state.active_requests
            self.pace.forget([request for request in self.pace.occupied() if request not in running])
            # Celery has counted every child as free.
            self.controller.semaphore.value = max(0, self.pool.limit - len(running))

    def register_with_event_loop(self, hub: Any) -> None:
        """Also look often for children that died.

        The pool is told of a death by a pipe that closes a moment before the process can be waited for; if it looks in
        that moment, it looks again only after five seconds.
        """
        super().register_with_event_loop(hub)
        hub.call_repeatedly(LOOK_FOR_DEATHS_SECONDS, self.pool.maintain_pool)
        hub.call_repeatedly(TICK_SECONDS, self._look_ahead)
        hub.call_repeatedly(LOOK_EVERY_SECONDS, self.vitals.beat)
        hub.call_repeatedly(LOOK_EVERY_SECONDS, self.shutting_down.look)
        hub.call_repeatedly(LOOK_EVERY_SECONDS, self.registrar.beat)
        hub.call_repeatedly(ASK_EVERY_SECONDS, self._ask_after_the_bereft)
        hub.call_repeatedly(LOOK_EVERY_SECONDS, self.revoking.look)
        hub.call_repeatedly(LOOK_EVERY_SECONDS, self.pausing.look)
        if self.meter is not None:
            hub.call_repeatedly(FOLD_SECONDS, self.meter.fold)

    def ensure_connected(self, conn: Any) -> Any:
        """As Celery's, with a pulse while it tries again and again: a broker that is away is no reason to restart."""
        return super().ensure_connected(self.vitals.kept_up(conn))

    def stop_consuming(self) -> None:
        """Have no more messages delivered."""
        if self.is_connected():
            self.task_consumer.cancel()
            self.ahead.take(0)

    def stop_queue(self, queue: str) -> None:
        """Have no more messages of ``queue`` delivered; those that are under way still come."""
        self.ahead.take(0)
        tag = self.task_consumer._active_tags[queue]  # noqa: SLF001  kombu tells it nowhere else
        cancel(self.task_consumer.channel, tag)

    def start_queue(self, queue: str) -> None:
        """Have them delivered again, under the same tag."""
        if self.registrar.is_closed:
            return
        consumer = self.task_consumer
        bound = next(each for each in consumer.queues if each.name == queue)
        tag = consumer._active_tags.pop(queue)  # noqa: SLF001
        consumer._basic_consume(bound, tag, no_ack=False, nowait=True)  # noqa: SLF001

    def hand_back_waiting(self) -> None:
        """Put the messages back that wait for a child."""
        for request in self.line.leave():
            request.hand_back()

    def give_place_back(self) -> None:
        """The next in line may have the child that is free."""
        self.controller._quick_release()  # noqa: SLF001  as Celery's own, where an attempt turns out to be revoked

    def is_connected(self) -> bool:
        """Whether there is a connection that messages come on."""
        return bool(self.connection and self.task_consumer)

    def end_child(self, pid: int) -> None:
        """Kill the pool's child ``pid``."""
        self.pool.terminate_job(pid, SIGKILL)

    def children(self) -> list[int]:
        """Process ids of the pool."""
        try:
            return list(self.pool.info["processes"])
        except AttributeError:  # it has been stopped
            return []

    def _tier(self) -> Tier:
        """The first of those whose queues it consumes; a worker of ours has one."""
        queues = self.app.amqp.queues.consume_from
        return next((tier for tier in Tier if tier.queue in queues), Tier.NORMAL)

    def _meter(self) -> WorkerMeter | None:
        if self.endpoint.instruments is None:
            return None
        meter = WorkerMeter(self.endpoint.instruments, tier=self._tier(), tasks=self.app.tasks)
        meter.show(
            {
                catalog.WORKER_CHILDREN: lambda: self.pool.limit,
                catalog.WORKER_BUSY: lambda: len(state.active_requests),
                catalog.WORKER_IN_HAND: lambda: self.registrar.in_hand_count,
                catalog.WORKER_UNRECORDED: lambda: self.recorder.outstanding,
                catalog.WORKER_CONNECTED: self.is_connected,
            }
        )
        return meter

    def _turn_unconnected(self) -> None:
        self.vitals.cut_off()
        state.maybe_shutdown()

    def _look_ahead(self) -> None:
        if self.registrar.is_closed or self.pausing.stands_still:
            return
        now = time.monotonic()
        self.ahead.take(self.pace.ahead(now=now))
        if self.pace.is_stuck(now=now):
            self.hand_back_waiting()

    def _ask_after_the_bereft(self) -> None:
        for in_hand in self.registrar.bereft():
            self.inquiry.ask(in_hand.attempt, partial(self.call_soon, self._hear_of_the_bereft, in_hand))

    def _hear_of_the_bereft(self, in_hand: InHand, answer: Answer) -> None:
        if answer in {Answer.GONE_ON, Answer.ENDED, Answer.ENDED_DEAD}:
            self.registrar.overtaken(in_hand)

    def create_task_handler(self, *_args: Any, **_kwargs: Any) -> Callable[[Any], None]:
        """What is done with every message of a new connection."""
        return self.on_message

    def update_strategies(self) -> None:
        """Celery would prepare one function per task here; :meth:`on_message` serves them all."""

    def on_decode_error(self, message: Any, exc: BaseException) -> None:
        """The body could not even be unpacked; Celery would acknowledge it."""
        self._refuse(message, "BodyUndecodable", f"body: {type(exc).__name__}: {exc}")

    def on_message(self, message: Any) -> None:
        """Take one message, whatever it is. No message may end the worker or be let go in silence."""
        try:
            self._take(message, read(message))
        except MalformedMessageError as error:
            self._refuse(message, error.reason, str(error))
        except (*self.connection_errors, *self.channel_errors):
            raise
        except Exception as error:  # noqa: BLE001  what it was is recorded
            _log.exception("a message was not understood")
            self._refuse(message, type(error).__name__, str(error))

    def _take(self, message: Any, told: TaskMessage) -> None:
        envelope = told.envelope
        attempt = Attempt(
            envelope.id, envelope.attempt, envelope.task, self._queue_of(message), self.worker_name, envelope
        )
        in_hand = self.registrar.take(attempt, Delivery(message))
        if in_hand is None:
            return
        try:
            with about(attempt.fields):
                self.admission.admit(message, told, in_hand)
        except Exception:
            self.registrar.forget(in_hand)
            raise

    def _refuse(self, message: Any, reason: str, text: str) -> None:
        """The message cannot be executed: it goes to the dead letters, once the reason is recorded."""
        try:
            attempt = attempt_of_malformed(message, queue=self._queue_of(message), worker=self.worker_name)
            self.registrar.refuse(attempt, Delivery(message), Failure(reason, cut(text)))
        except Exception:  # noqa: BLE001  it is logged, and the message is kept
            _log.exception("a refusal cannot be recorded; its message becomes a dead letter without it")
            self.settlements.add(Delivery(message), Fate.DEAD_LETTERED, self._channel())
            self.settlements.send()

    def _queue_of(self, message: Any) -> str:
        tag = str((message.delivery_info or {}).get("consumer_tag"))
        if queue := Ahead.queue_of(tag):
            return queue
        tags = self.task_consumer._active_tags  # noqa: SLF001  kombu tells it nowhere else
        return next((str(queue) for queue, known in tags.items() if known == tag), "unknown")

    def _channel(self) -> Any:
        return self.task_consumer.channel if self.connection and self.task_consumer else None

    def _wake(self) -> None:
        self.call_soon(self.registrar.release)
