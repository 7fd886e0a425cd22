"""The load: asks for the plan's runs and notes what was confirmed.

Started as ``python -m infra.local.chaos.load SEED KILLS DIRECTORY``.

Only what the broker has confirmed is noted, in the file ``confirmed``, a line ``kind id`` each: those have to be found
in the log. A request is sent again under its id until it is confirmed; a Celery client's message is not (nobody knows
then whether it arrived), and counts only if it was confirmed.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import groupby
from pathlib import Path
from typing import Any, Final

import msgspec

from infra.broker.emitter import Emitter, NotEmittedError
from infra.broker.errors import BrokerError
from infra.broker.publisher import OutgoingMessage, Publisher
from infra.broker.topology import TASKS
from infra.cloudevents import CloudEvent
from infra.local.chaos.plan import Wish, plan
from infra.settings import load_settings

CONFIRMED: Final = "confirmed"
MARKS: Final = "marks"
SOURCE: Final = "/ledgerq/chaos"
_TICK_SECONDS: Final = 0.25
_AGAIN_SECONDS: Final = 0.5
_CONFIRM_WITHIN: Final = timedelta(seconds=10)


class Load:
    """Asks for runs and starts sessions, at their time or as soon after it as the broker lets it.

    Args:
        directory: where ``confirmed`` is written and the tasks leave their marks.
    """

    def __init__(self, directory: Path) -> None:
        settings = load_settings()
        self._emitter = Emitter(settings, role="chaos load")
        self._publisher = Publisher(settings, role="chaos load, direct")
        self._marks = str(directory / MARKS)
        self._confirmed = (directory / CONFIRMED).open("a", buffering=1)

    def play(self, wishes: Sequence[Wish], *, tag: str) -> None:
        """All of ``wishes``, and a session for every moment of theirs."""
        license_id = f"lic-chaos-{tag}"
        term = {"license_id": license_id, "valid_until": "2100-01-01T00:00:00Z"}
        self._tell("license", [(license_id, _event(f"{tag}/license", "license.issued", license_id, term))])
        began = time.monotonic()
        for tick, group in groupby(wishes, key=lambda wish: int(wish.after_seconds / _TICK_SECONDS)):
            time.sleep(max(0.0, began + tick * _TICK_SECONDS - time.monotonic()))
            asked = list(group)
            self._tell("run", [(str(wish.run_id), self._request(wish)) for wish in asked if not wish.is_direct])
            session = f"ses-chaos-{tag}-{tick}"
            data = {"session_id": session, "license_id": license_id}
            self._tell("session", [(session, _event(f"{tag}/{tick}", "session.started", session, data))])
            self._publish([wish for wish in asked if wish.is_direct])

    def close(self) -> None:
        """Close connections and file."""
        for closing in (self._emitter, self._publisher, self._confirmed):
            closing.close()

    def _tell(self, kind: str, told: Iterable[tuple[str, CloudEvent]]) -> None:
        waiting = dict(told)
        while waiting:
            try:
                self._emitter.emit_all(list(waiting.values()))
            except NotEmittedError as error:
                refused = {event.id for event in error.events}
                self._note(kind, [name for name, event in waiting.items() if event.id not in refused])
                waiting = {name: event for name, event in waiting.items() if event.id in refused}
                time.sleep(_AGAIN_SECONDS)
            except BrokerError:
                time.sleep(_AGAIN_SECONDS)
            else:
                self._note(kind, waiting)
                return

    def _publish(self, wishes: Sequence[Wish]) -> None:
        try:
            answers = self._publisher.publish([self._message(wish) for wish in wishes], timeout=_CONFIRM_WITHIN)
        except BrokerError:
            return
        taken = zip(wishes, answers, strict=True)
        self._note("direct", [str(wish.run_id) for wish, answer in taken if answer.confirmed])

    def _note(self, kind: str, names: Iterable[str]) -> None:
        self._confirmed.writelines(f"{kind} {name}\n" for name in names)

    def _kwargs(self, wish: Wish) -> dict[str, Any]:
        return {"marks": self._marks, **wish.kwargs}

    def _request(self, wish: Wish) -> CloudEvent:
        asked = {"run_id": str(wish.run_id), "task": wish.task, "tier": wish.tier.value, "priority": wish.priority}
        return _event(str(wish.run_id), "task.requested", wish.task, {**asked, "kwargs": self._kwargs(wish)})

    def _message(self, wish: Wish) -> OutgoingMessage:
        """As a Celery client publishes it (Celery documentation, "Message Protocol", version 2)."""
        run_id = str(wish.run_id)
        return OutgoingMessage(
            exchange=TASKS,
            routing_key=wish.tier.queue,
            body=json.dumps([[], self._kwargs(wish), {}]).encode(),
            content_type="application/json",
            content_encoding="utf-8",
            headers={"lang": "py", "task": wish.task, "id": run_id, "root_id": run_id, "retries": 0},
            priority=wish.priority,
            correlation_id=run_id,
            message_id=run_id,
        )


def _event(name: str, kind: str, subject: str, data: dict[str, Any]) -> CloudEvent:
    return CloudEvent(
        specversion="1.0",
        id=name,
        source=SOURCE,
        type=kind,
        subject=subject,
        time=datetime.now(UTC),
        data=msgspec.Raw(msgspec.json.encode(data)),
    )


if __name__ == "__main__":
    chosen = plan(seed=int(sys.argv[1]), kills=int(sys.argv[2]))
    playing = Load(Path(sys.argv[3]))
    playing.play(chosen.wishes, tag=str(chosen.seed))
    playing.close()
