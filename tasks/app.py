"""The Celery application: what clients publish through and workers run.

Nothing is read from the environment until the configuration is first needed, so that importing a task costs nothing.
"""

from __future__ import annotations

import importlib.util
import pkgutil
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

from celery import Celery
from kombu.entity import Exchange, Queue

from domain.limits import ConcurrencyLimit, Limits, RateLimit
from domain.tier import TIER_OF_QUEUE, Tier
from infra.broker.connection import connection_name
from infra.broker.topology import TASKS
from infra.settings import load_settings
from tasks.client_connection import ClientTransport
from tasks.client_spans import sending
from tasks.worker.policies import declared_policy
from tasks.worker.retry import RetryPolicy

_CATALOG: Final = "tasks.catalog"
_SAMPLES: Final = ("tasks.sample.work", "tasks.sample.marking")
_CORRELATION: Final = "ledgerq-correlation-id"
CHAIN: Final = "ledgerq-chain"
"""Header of the links of a chain but the first: the first one's run."""
LICENSE: Final = "ledgerq-license-id"
BEGAN_AT: Final = "ledgerq-began-at"
"""Header: when the workflow began; what happened before it is not waited for (docs/waiting.md)."""


class TaskApp(Celery):  # type: ignore[misc]  # Celery is untyped
    """Celery, publishing in a way that cannot fail in silence, and revoking nothing in silence."""

    control_cls = "tasks.remote_control:RemoteControl"

    def send_task(self, name: str, args: Any = None, kwargs: Any = None, **options: Any) -> Any:
        """Publish a task, mandatory and with a priority that its tier's queue can order by.

        A message without a priority would count as 0, below every other; a task that names none gets the middle of
        its tier. What a running task sends (a link of its chain, a chord's body, another task) goes to the tier and has
        the priority of that task where it names none of its own; so it is with the license and the trace. All else is
        Celery's ``Celery.send_task``.
        """
        options.setdefault("mandatory", True)
        options["headers"] = {BEGAN_AT: self._began_at(), **(options.get("headers") or {})}
        self._inherit(options)
        self._tell_story(options)
        self._tell_chain(options)
        queue = options.get("queue") or (None if options.get("exchange") is not None else Tier.NORMAL.queue)
        tier = TIER_OF_QUEUE.get(str(getattr(queue, "name", queue)))
        if tier is not None:
            options["priority"] = tier.clamp(options.get("priority"))
        queue_name = str(getattr(queue, "name", queue) or "")
        within = None if self.current_worker_task is None else self.current_worker_task.request.get("traceparent")
        with sending(name, queue_name, options, correlation_id=self._correlation_id(options), within=within):
            return super().send_task(name, args, kwargs, **options)

    def _tell_story(self, options: dict[str, Any]) -> None:
        """Say which story it belongs to, where Celery's root id does not: the parent's own, or that of its group.

        Celery gives each member of a group a root of its own.
        """
        headers, parent = options.get("headers") or {}, self.current_worker_task
        story = _group(options) if parent is None else parent.request.get(_CORRELATION)
        if story and not headers.get(_CORRELATION):
            options["headers"] = {**headers, _CORRELATION: str(story)}

    def _tell_chain(self, options: dict[str, Any]) -> None:
        """Say of which chain it is a link, where it is what Celery sends after a link that has succeeded."""
        parent = self.current_worker_task
        following = None if parent is None else (parent.request.chain or (None,))[-1]
        if following and (following.get("options") or {}).get("task_id") == options.get("task_id") is not None:
            told = {CHAIN: parent.request.get(CHAIN) or parent.request.id}
            options["headers"] = {**(options.get("headers") or {}), **told}

    def _began_at(self) -> str:
        """When the workflow began that the message belongs to: now, or when the running task's did."""
        parent = self.current_worker_task
        told = None if parent is None else (parent.request.headers or {}).get(BEGAN_AT)
        return str(told or datetime.now(UTC).isoformat())

    def _correlation_id(self, options: dict[str, Any]) -> str | None:
        """As the worker will find it; None: that of the run itself."""
        parent = self.current_worker_task
        told = (options.get("headers") or {}).get(_CORRELATION) or options.get("root_id")
        inherited = None if parent is None else parent.request.root_id or parent.request.id
        return told or inherited

    def _inherit(self, options: dict[str, Any]) -> None:
        parent = self.current_worker_task
        if parent is None:
            return
        license_id, headers = parent.request.get(LICENSE), options.get("headers") or {}
        if license_id and LICENSE not in headers:
            options["headers"] = {**headers, LICENSE: license_id}
        if self.conf.task_routes:
            return
        delivered = parent.request.delivery_info or {}
        if options.get("priority") is None:
            options["priority"] = delivered.get("priority")
        if not any(options.get(named) for named in ("queue", "exchange", "routing_key")):
            options["queue"] = _tier_queue(str(delivered.get("routing_key")))

    def connection_for_write(self, url: str | None = None, **options: Any) -> Any:
        """A connection to publish through, whose wait for a confirm has an end (``publish_timeout_seconds``)."""
        bound = {"publish_timeout_seconds": load_settings().publish_timeout_seconds}
        options["transport_options"] = {**bound, **(options.get("transport_options") or {})}
        return super().connection_for_write(url, **{"transport": ClientTransport, **options})


def _group(options: dict[str, Any]) -> Any:
    """The group that it is a member of, or that the last link of its chain is."""
    links = options.get("chain") or ()
    last = links[0] if links else {}  # a chain's links are embedded in reverse
    return options.get("group_id") or (last.get("options") or {}).get("group_id")


def _tier_queue(routing_key: str) -> str | None:
    """The tier's queue that a message of this routing key was in; what came down the delay ladder has a longer key."""
    return next((queue for queue in TIER_OF_QUEUE if f".{routing_key}".endswith(f".{queue}")), None)


def configuration() -> dict[str, Any]:
    """Celery's settings. The broker's topology is owned by `infra.broker.topology`: nothing here declares."""
    settings = load_settings()
    exchange = Exchange(TASKS, type="topic", no_declare=True)  # type: ignore[no-untyped-call]
    return {
        "broker_url": settings.broker_url.get_secret_value(),
        "broker_transport_options": {
            "confirm_publish": True,
            "client_properties": {"connection_name": connection_name("celery")},
        },
        "broker_connection_retry": True,
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,
        "broker_channel_error_retry": True,  # a consumer timeout closes the channel; the worker has to live on
        "enable_utc": True,
        "timezone": "UTC",
        "task_serializer": "json",
        "result_serializer": "json",
        "accept_content": ["json"],
        "result_backend": "tasks.results.backend:LedgerBackend",
        "task_queues": [_queue(tier, exchange) for tier in Tier],
        "task_create_missing_queues": False,
        "task_default_queue": Tier.NORMAL.queue,
        "task_default_exchange": TASKS,
        "task_default_exchange_type": "topic",
        "task_default_routing_key": Tier.NORMAL.queue,
        "task_inherit_parent_priority": True,
        "task_acks_late": True,
        "worker_consumer": "tasks.worker.consumer:RecordingConsumer",
        "worker_prefetch_multiplier": 1,
        "worker_enable_prefetch_count_reduction": False,  # after a reconnect it is not always restored
        "worker_detect_quorum_queues": False,
        "worker_enable_remote_control": False,
        "worker_send_task_events": False,
        "worker_cancel_long_running_tasks_on_connection_loss": False,  # the redelivery finds its attempt still running
        "worker_proc_alive_timeout": 60.0,
        "worker_redirect_stdouts": False,
        "imports": task_modules(),
    }


def _queue(tier: Tier, exchange: Exchange) -> Queue:
    return Queue(tier.queue, exchange, routing_key=tier.queue, no_declare=True)  # type: ignore[no-untyped-call]


def task_modules() -> list[str]:
    """Modules that tasks are defined in: every module of the catalog, and the samples."""
    modules = [name for name in _SAMPLES if importlib.util.find_spec(name)]
    catalog = importlib.util.find_spec(_CATALOG)
    locations = (catalog.submodule_search_locations if catalog else None) or []
    return modules + [f"{_CATALOG}.{module.name}" for module in pkgutil.iter_modules(locations)]


app: Final = TaskApp("ledgerq")
app.add_defaults(configuration)


def task(
    name: str,
    *,
    retry_policy: RetryPolicy | None = None,
    no_retry_for: tuple[type[BaseException], ...] = (),
    critical: bool = False,
    rate: RateLimit | None = None,
    concurrency: ConcurrencyLimit | None = None,
    **options: Any,
) -> Callable[[Callable[..., Any]], Any]:
    """Declare a task with a retry policy: an exception brings about the next attempt while the budget lasts.

    Args:
        name: stable name (``cleanup_zombie_sessions``); it is in the log and in messages for ever.
        retry_policy: how often and how patiently; else what `tasks.worker.policies` says for the name.
        no_retry_for: exceptions that end the run at once; a :class:`domain.refusal.Refusal` always does.
        critical: people are told by e-mail when a run of it ends badly (``LEDGERQ_ALERT_EMAIL``).
        rate: how often it may begin, over all workers together.
        concurrency: how many of its runs may be executed at once, over all workers together.
        options: any other option of ``Celery.task`` (``bind``, ``time_limit`` …).
    """
    policy = declared_policy(name, retry_policy)
    declare: Callable[[Callable[..., Any]], Any] = app.task(
        name=name,
        retry_policy=policy,
        no_retry_for=no_retry_for,
        critical=critical,
        limits=Limits(rate, concurrency),
        max_retries=policy.max_retries,
        default_retry_delay=None,  # `self.retry()` without a countdown waits as the policy says
        **options,
    )
    return declare
