"""What people, services and workers do about webhooks, without the processes that do it."""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from pydantic import SecretStr

from domain.aggregate import Event
from domain.cause import Cause
from domain.license import License
from domain.task_run import TaskRequested
from domain.webhook import Webhook, WebhookState
from domain.webhook_delivery import DeliveryEvent
from domain.webhook_events import EndpointTerms, WebhookEvent
from infra.database.connections import parameters
from infra.database.pool import ConnectionPool
from infra.event_store import EventStore, Log, Recorded, caused
from infra.settings import Settings
from infra.web.admission import Admission
from tasks.dispatch.policies import PolicyFollower
from tasks.dispatch.webhooks import WebhookFollower
from tasks.webhooks.delivering import Errand, Outcome, Place, attempt
from tasks.webhooks.reading import endpoint, endpoints

SETTINGS: dict[str, Any] = {
    "webhook_key": SecretStr("a key that nobody else knows, 32 and more"),
    "webhook_http_allowed": True,
    "webhook_allowed_networks": "127.0.0.0/8",
    "webhook_timeout_seconds": 1.0,
    "webhook_retry_seconds": "5,300",
}


class Desk:
    """The platform's part in webhooks, step by step; sees what was recorded since it was made.

    Attributes:
        name: of its endpoint, where none is said.
    """

    def __init__(self, store: EventStore, settings: Settings) -> None:
        self.store = store
        self.settings = settings
        self.name = f"crm-{uuid4().hex[:8]}"
        pool = ConnectionPool(parameters(settings.database_url.get_secret_value(), name="test"), size=1)
        self.admission = Admission(pool, settings)  # hooks have no tokens: it connects to nothing
        self._start = {log: store.safe_position(log) for log in Log}

    def cause(self) -> Cause:
        """Somebody at the desk."""
        return Cause(id=uuid4(), at=datetime.now(UTC), actor="desk")

    def append(self, *events: Event) -> None:
        """Facts of the licensing log."""
        self.store.append(Log.LICENSING, caused(events, self.cause()))

    def register(self, url: str, *patterns: str, name: str | None = None) -> None:
        """Let there be an endpoint."""
        terms = EndpointTerms(url=url, patterns=patterns or ("license.*",))
        self.do(lambda known: known.register(terms, allows_http=True, at=datetime.now(UTC)), name=name)

    def do(self, verb: Callable[[Webhook], WebhookEvent | None], *, name: str | None = None) -> None:
        """Something about an endpoint."""
        event = verb(endpoint(self.store, name or self.name))
        assert event is not None
        self.append(event)

    def remove_all(self) -> None:
        """Leave no endpoint behind."""
        for each in endpoints(self.store.webhook_stories().events):
            if each.state in {WebhookState.ACTIVE, WebhookState.DISABLED}:
                self.append(each.remove(at=datetime.now(UTC)))

    def issue_a_license(self) -> str:
        """One fact that `license.*` fits; its license's id."""
        license_id = f"lic-{uuid4()}"
        now = datetime.now(UTC)
        issued = License.issue(license_id, valid_until=now + timedelta(days=90), at=now)
        self.append(*issued.collect_events())  # type: ignore[arg-type]
        return license_id

    def dispatch(self, logs: Collection[Log] = (Log.LICENSING, Log.TASKS)) -> list[TaskRequested]:
        """Every delivery that is accepted by now."""
        for log in logs:
            for kind in (WebhookFollower, PolicyFollower):
                follower = kind(self.store, clock=lambda: datetime.now(UTC), page_events=100, log=log)
                follower.take_over()
                while follower.step():
                    pass
                follower.note_position()
        found = [each.event for each in self.recorded(Log.TASKS)]
        return [each for each in found if isinstance(each, TaskRequested) and each.task == "deliver_webhook"]

    def deliver(self, run: TaskRequested, number: int = 1, **changed: Any) -> Outcome:
        """One attempt of a run."""
        run_id = run.originator_id.removeprefix("task_run-")
        cause = Cause(id=UUID(run_id), at=datetime.now(UTC), actor="task:deliver_webhook")
        settings = self.settings.model_copy(update=changed)
        errand = Errand(self.store, settings, cause, run_id, number, lambda: 0.0)
        told = run.kwargs
        return attempt(
            told["endpoint"], Place(Log(told["event_log"]), told["event_stream"], told["event_version"]), errand
        )

    def recorded(self, log: Log) -> list[Recorded]:
        """What a log has taken in since this desk was made."""
        return self.store.read(log, after=self._start[log], limit=1000).events

    def told(self, prefix: str) -> list[Event]:
        """What is recorded under names that begin so."""
        found = [each.event for each in self.recorded(Log.LICENSING)]
        return [each for each in found if each.name.startswith(prefix)]

    def deliveries(self) -> list[DeliveryEvent]:
        """What came of deliveries."""
        return [each for each in self.told("delivery.") if isinstance(each, DeliveryEvent)]
