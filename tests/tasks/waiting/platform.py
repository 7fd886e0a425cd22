"""What a test about waits does: have runs wait, let things happen, look how they go on."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from domain.cause import Cause
from domain.kept_message import KeptMessage
from domain.run import revocation_requested
from domain.signal import SignalReceived
from domain.task_run import run_stream, task_event
from domain.tier import Tier
from domain.wait import TaskWaitBegan, WaitTerms
from infra.broker.publisher import Publisher
from infra.event_store import EventStore, Log, caused
from infra.settings import Settings
from tasks.dispatch.policies import PolicyFollower
from tasks.dispatch.resuming import ResumingFollower
from tasks.dispatch.waits import WaitsFollower
from tasks.revoking import ask_for_revocation_of_story
from tests.tasks.dispatch.world import World

BODY = '[["signal.received"], {"timeout": 5}, {"chain": [{"task": "ship"}]}]'


class Waiting(World):
    """A platform on which runs wait.

    Attributes:
        ahead: by how much its clock is ahead.
    """

    def __init__(self, settings: Settings, store: EventStore) -> None:
        super().__init__(settings, store)
        self.ahead = timedelta(0)
        self.waits = self.ended_by()
        self.resuming = self.resumed_by()

    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead

    def ended_by(self) -> WaitsFollower:
        """Another follower that has taken over."""
        made = WaitsFollower(self.store, clock=self.now, page_events=50)
        made.take_over()
        return made

    def resumed_by(self) -> ResumingFollower:
        """Another follower that has taken over."""
        publisher = Publisher(self.settings, role="test resuming")
        self.publishers.append(publisher)
        made = ResumingFollower(self.store, publisher, page_runs=100)
        made.take_over()
        return made

    def begin(
        self,
        run: str | None = None,
        *,
        root: str | None = None,
        attempt: int = 1,
        body: str = BODY,
        sent: str = "",
        story: str = "",
        tier: Tier = Tier.HIGH,
        **terms: Any,
    ) -> str:
        """Have a run begin to wait, for signals unless it is said for what."""
        run = run or str(uuid4())
        headers = {"id": run, "ledgerq-began-at": sent}
        told = {
            "task": "wait_for_event",
            "attempt": attempt,
            "queue": tier.queue,
            "terms": WaitTerms(**{"event": "signal.received", **terms}),
            "message": KeptMessage.of(body.encode(), {**headers, "ledgerq-attempt": attempt + 1}, limit_bytes=10_000),
            "priority": 7,
            "root_id": root or run,
        }
        self._tell(run, TaskWaitBegan.TOPIC, story=story, **told)
        return run

    def start(self, run: str) -> None:
        """A worker takes the run up."""
        self._tell(run, "task.started", task="wait_for_event", attempt=1, queue="tasks.high")

    def signal(self, signal: str, *, key: str | None = None, **details: Any) -> str:
        """Somebody signals; the event's id."""
        event = SignalReceived.record(uuid4(), signal=signal, key=key, details=details, at=datetime.now(UTC))
        (new,) = caused([event], Cause(id=uuid4(), at=datetime.now(UTC), actor="test"))
        self.store.append(Log.LICENSING, [new])
        return str(new.event_id)

    def revoke(self, run: str) -> None:
        """Somebody takes the run back."""
        now = datetime.now(UTC)
        event = revocation_requested(run, task="wait_for_event", reason="not needed", at=now)
        self.store.append(Log.TASKS, caused([event], Cause(id=uuid4(), at=now, actor="ann")))

    def revoke_story(self, story: str) -> str:
        """Somebody takes a story back, and dispatch asks for its open runs; the event's id."""
        now = datetime.now(UTC)
        position = ask_for_revocation_of_story(self.store, story, reason="not needed", actor="ann", at=now)
        policies = PolicyFollower(self.store, clock=self.now, page_events=50, log=Log.TASKS)
        policies.take_over()
        while policies.step():
            pass
        [fact] = self.store.read(Log.TASKS, after=position - 1, limit=1, upto=position).events
        return str(fact.event_id)

    def look(self, follower: WaitsFollower | None = None) -> None:
        """Let a follower look until it finds nothing more to do."""
        while (follower or self.waits).step():
            pass

    def ends(self, run: str) -> list[str]:
        """How the run's waits ended, and the run."""
        return [n.removeprefix("task.") for n in self.names_in(run) if n not in {"task.wait_began", "task.started"}]

    def came(self, run: str) -> str | None:
        """Id of the event that satisfied the run's wait."""
        ends = [event for event in self.stream(run) if event.name == "task.wait_satisfied"]
        return ends[-1].came.id if ends and ends[-1].came else None  # type: ignore[attr-defined]

    def _tell(self, run: str, name: str, *, story: str = "", **data: Any) -> None:
        event = task_event(name, run, at=datetime.now(UTC), data=data)
        cause = Cause(id=uuid4(), at=datetime.now(UTC), actor="test", correlation_id=story)
        self.store.append(Log.TASKS, caused([event], cause))


def told(body: list[Any]) -> Any:
    """What a published attempt is told of its wait."""
    return json.loads(json.dumps(body[1]["came"]))


__all__ = ["Waiting", "run_stream", "told"]
