"""Histories for tests: facts as the platform would record them, told by a seed."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid5

import msgspec

from domain.aggregate import Event
from domain.blindness import BlindWindowPassed
from domain.chain import TaskChainRecorded, WorkflowForked
from domain.dead_letter import ReplayFinished, ReplayRequested, replay_stream
from domain.failure_alert import AlertSent, alert_stream
from domain.fan_in import FanInDeclared, fan_in_stream
from domain.heartbeat import Heartbeat, HeartbeatsReceived, WatermarkPassed
from domain.ingest import MessageDeadLettered
from domain.license import License
from domain.license_policy import Expiry, LicensePolicy
from domain.license_state import LicenseState
from domain.notice import (
    NoticeFailed,
    NoticeRefusalReason,
    NoticeRefused,
    NoticeSent,
    alert_notice,
    license_notice,
    notice_id,
    notice_stream,
)
from domain.schedule import Schedule, ScheduleState
from domain.schedule_terms import Overlap, Terms
from domain.session import Session, Silence
from domain.session_denial import DenialReason, SessionDenied
from domain.session_events import SessionState
from domain.task_group import GroupSaved, group_stream
from domain.task_run import TaskEvent, TaskRequested, run_stream, task_event
from domain.timetable import Cron, Interval, Once, Timetable
from domain.unique_key import RequestFolded
from domain.webhook import Webhook, WebhookState
from domain.webhook_delivery import DeliveryFailed, DeliverySucceeded, DeliveryWithheld, delivery_stream
from domain.webhook_events import EndpointTerms
from infra.event_store import Log, NewEvent, Recorded

NAMESPACE = UUID("6f1a1d5e-6a1d-4c57-9d3c-0f8a5f2f7b11")
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"


def at(seconds: float) -> datetime:
    """So many seconds past noon."""
    return NOON + timedelta(seconds=seconds)


def minted(*parts: object) -> UUID:
    """An id that the same parts always give."""
    return uuid5(NAMESPACE, "/".join(map(str, parts)))


def new(events: Iterable[Event], **metadata: str) -> list[NewEvent]:
    """The events as they are appended, with ids that follow from their place."""
    return [NewEvent(event, minted(event.originator_id, event.originator_version), metadata) for event in events]


def recorded(events: Iterable[Event], **metadata: str) -> list[Recorded]:
    """The events as they are read back, one second apart, without a store."""
    return [
        Recorded(number, event, minted(event.originator_id, event.originator_version), metadata, at(1000 + number))
        for number, event in enumerate(events, start=1)
    ]


def told(run: object, name: str, seconds: float = 0, **data: Any) -> TaskEvent:
    """What is told of a run."""
    return task_event(f"task.{name}", str(run), at=at(seconds), data={"task": "bill", **data})


def requested(run: object, seconds: float = 0, **data: Any) -> TaskRequested:
    """A run that was asked for."""
    return TaskRequested(
        **{
            "originator_id": run_stream(str(run)),
            "originator_version": 1,
            "timestamp": at(seconds),
            "task": "bill",
            **data,
        }
    )


def signature(task: str, run: object, **options: Any) -> dict[str, Any]:
    """A task as Celery's canvas has it, frozen."""
    return {"task": task, "args": [], "kwargs": {}, "options": {"task_id": str(run), **options}, "subtask_type": None}


def chord(group: object, header: list[dict[str, Any]], body: dict[str, Any]) -> dict[str, Any]:
    """A chord as a link of a chain."""
    kwargs = {"header": {"subtask_type": "group", "kwargs": {"tasks": header}}, "body": body}
    return {"task": "celery.chord", "kwargs": kwargs, "options": {"task_id": str(group)}, "subtask_type": "chord"}


def changes(aggregate: License | Session) -> list[Event]:
    """The facts an aggregate has recorded since it was asked last."""
    events: list[Any] = list(aggregate.collect_events())
    return events


class History:
    """A random but repeatable story: what each log holds, in the order in which it was recorded."""

    def __init__(self, seed: int, *, size: int = 12) -> None:
        self._chance = random.Random(seed)
        self.events: dict[Log, list[Event]] = {
            Log.LICENSING: self._interleaved(
                [
                    *self._licenses(size),
                    *self._refused(size // 3),
                    *self._folded(size // 3),
                    *self._denied(size // 3),
                    *self._notices(size // 2),
                    *self._schedules(size // 2),
                    *self._webhooks(size // 2),
                ]
            ),
            Log.TASKS: self._shuffled(
                [event for run in range(size) for event in self._run(run)]
                + self._batches(size // 3)
                + self._alerts(size // 3)
                + self._workflows(size)
            ),
            Log.HEARTBEATS: self._heartbeats(size),
        }

    def chunks(self) -> list[tuple[Log, Sequence[NewEvent]]]:
        """The same in pieces of random size, the logs mixed; in order within each log."""
        left = {log: new(events, correlation_id=f"story-{log.value}") for log, events in self.events.items()}
        pieces: list[tuple[Log, Sequence[NewEvent]]] = []
        while any(left.values()):
            log = self._chance.choice([log for log in Log if left[log]])
            size = self._chance.randint(1, 9)
            pieces.append((log, left[log][:size]))
            left[log] = left[log][size:]
        return pieces

    def _interleaved(self, streams: Sequence[Sequence[Event]]) -> list[Event]:
        """All events of ``streams``, mixed, in order within each stream."""
        left = [list(stream) for stream in streams if stream]
        mixed = []
        while left:
            stream = self._chance.choice(left)
            mixed.append(stream.pop(0))
            left = [stream for stream in left if stream]
        return mixed

    def _shuffled(self, events: list[Event]) -> list[Event]:
        self._chance.shuffle(events)
        return events

    def _licenses(self, count: int) -> list[list[Event]]:
        streams = []
        for number in range(count):
            held = License.issue(f"l{number}", valid_until=at(86_400 * self._chance.randint(1, 60)), at=at(0), seats=5)
            streams += [self._session(f"{held.license_id}-s{each}", held) for each in range(self._chance.randint(0, 3))]
            self._live(held)
            streams.append(changes(held))
        return streams

    def _live(self, held: License) -> None:
        for step in range(1, self._chance.randint(1, 7)):
            now = at(86_400 * 10 * step)
            held.judge_term(now=now)
            if held.state is LicenseState.SUSPENDED:
                held.reinstate(reason="paid", at=now)
            elif held.state is LicenseState.EXPIRED or self._chance.random() < 0.3:
                held.renew(valid_until=max(held.valid_until, now) + timedelta(days=20), at=now)
            elif self._chance.random() < 0.3:
                held.suspend(reason="late", at=now)
            held.record_notice(f"n{step}", recipient="a@example.org", at=now)
            self._agree_anew(held, now)

    def _agree_anew(self, held: License, now: datetime) -> None:
        """Something else about a license changes, as it is not revoked."""
        match self._chance.randrange(5):
            case 0:
                held.change_seats((held.seats or 0) + 1, at=now, reason="order")
            case 1:
                held.transfer(holder=str(now), holder_email=None, at=now)
            case 2:
                expiry = self._chance.choice([each for each in Expiry if each is not held.policy.expiry])
                held.change_policy(LicensePolicy(expiry=expiry, patience_seconds=90), at=now)
            case 3 if held.entitlements:
                held.detach(self._chance.choice(held.entitlements), at=now, reason="not paid for")
            case _ if "sso" not in held.entitlements:
                held.attach("sso", at=now)

    def _notices(self, count: int) -> list[list[Event]]:
        """What came of notices; some are those that a license or an alert remembers, too."""
        return [self._notice(number) for number in range(count)]

    def _notice(self, number: int) -> list[Event]:
        license_id = f"l{number}"
        named = self._chance.choice(
            [license_notice(license_id, "n1"), alert_notice(alert_stream("bill", at(number))), ("welcome", license_id)]
        )
        facts: list[Event] = []
        for version in range(1, self._chance.randint(2, 5)):
            told = {
                "originator_id": notice_stream(notice_id(*named)),
                "originator_version": version,
                "timestamp": at(86_400 * 10 + 60 * version),
                "template": named[0],
                "cause": named[1],
                "recipient": self._chance.choice(["a@example.org", "b@example.org", None]),
                "license_id": license_id if named[0] == "license_expiring" else None,
                "run_id": str(minted("notice", number, version)),
                "attempt": version,
            }
            facts.append(self._notice_fact(told))
        return facts

    def _notice_fact(self, told: dict[str, Any]) -> Event:
        match self._chance.randrange(3):
            case 0:
                return NoticeSent(message_id="<n@example.org>", reply_code=250, reply="ok", **told)
            case 1:
                return NoticeRefused(reason=NoticeRefusalReason.SERVER_REFUSED, detail="550", reply_code=550, **told)
            case _:
                return NoticeFailed(error_type="OSError", error="away", **told)

    def _alerts(self, count: int) -> list[Event]:
        return [
            AlertSent(
                originator_id=alert_stream("bill", at(number)),
                originator_version=1,
                timestamp=at(number),
                task="bill",
                run_id=str(minted("run", number)),
                recipient="ops@example.org",
                window_start=at(number),
                unannounced=number,
            )
            for number in range(count)
        ]

    def _workflows(self, count: int) -> list[Event]:
        """Chains and chords of the runs there are, each run in several of them; and forks."""
        runs = [str(minted("run", number)) for number in range(count)]
        facts: list[Event] = []
        for number in range(0, count - 4, 3):
            first, *others = self._chance.sample(runs, 4)
            group = str(minted("group", number))
            links = [signature("bill", run) for run in others]
            links.append(chord(group, [signature("bill", run) for run in self._chance.sample(runs, 2)], links[-1]))
            told_of = {"attempt": 1, "links": tuple(links), "args": (), "kwargs": {}}
            facts.append(task_event(TaskChainRecorded.TOPIC, first, at=at(number), data={"task": "bill", **told_of}))
            members = tuple((run, other) for run, other in zip(others, runs, strict=False))
            named = {"originator_id": fan_in_stream(group), "originator_version": 1, "timestamp": at(number)}
            saved = [[group, None], [[[run, None], None] for run in others]]
            named_group = {**named, "originator_id": group_stream(group)}
            facts.append(GroupSaved(result=saved, **named_group))
            facts.append(FanInDeclared(members=members, body=signature("sum", first), least=number or None, **named))
            forked = {"forked_from": first, "step": 2, "task": "bill", "run_id": others[0]}
            named["originator_id"] = f"fork-{group}"
            facts.append(WorkflowForked(**forked, **named))
        return facts

    def _session(self, session_id: str, under: License) -> list[Event]:
        start = self._chance.randint(0, 7200)
        taken = self._chance.choice([None, 4, 5])
        lived = Session.start(session_id, under=under, default_patience=timedelta(minutes=6), at=at(start), taken=taken)
        for step in range(self._chance.randint(0, 3)):
            moment = at(start + 600 * (step + 1) + self._chance.random())
            if lived.state is SessionState.LAPSED:
                lived.resume(heartbeat_at=moment)
            else:
                lived.lapse(Silence(moment + timedelta(minutes=7), last_heartbeat_at=moment))
        if self._chance.random() < 0.5:
            lived.end(reason="signed out", at=at(start + 3600))
        return changes(lived)

    def _heartbeats(self, count: int) -> list[Event]:
        facts: list[Event] = []
        for number in range(count * 2):
            sessions = [f"l{self._chance.randrange(count)}-s{self._chance.randrange(4)}" for _ in range(5)]
            ahead = (0, 0, 0, 90_000)
            beats = [
                Heartbeat(session, at(self._chance.randint(0, 7200)), self._chance.choice(ahead))
                for session in sessions
            ]
            facts.append(HeartbeatsReceived.of(beats, batch_id=minted("batch", number)))
            if number % 3 == 0:
                marker = minted("marker", number)
                if number % 9 == 6:
                    facts.append(BlindWindowPassed.between(at((number - 3) * 60), at(number * 60), marker_id=marker))
                facts.append(WatermarkPassed.at(at(number * 60), marker_id=marker))
        return facts

    def _refused(self, count: int) -> list[list[Event]]:
        return [
            [MessageDeadLettered.record(minted("m", number), reason="invalid", detail="no id", at=at(number))]
            for number in range(count)
        ]

    def _folded(self, count: int) -> list[list[Event]]:
        asked = {"task": "bill", "key": "k", "run_id": str(minted("run", 0)), "asked_run_id": str(minted("asked"))}
        return [[RequestFolded.record(minted("f", number), at=at(number), **asked)] for number in range(count)]

    def _denied(self, count: int) -> list[list[Event]]:
        under = License.issue("l0", valid_until=at(86_400), at=at(0), seats=2)
        return [
            [
                SessionDenied.record(
                    minted("denied", number),
                    self._chance.choice(list(DenialReason)),
                    session_id=f"l0-d{number}",
                    under=under,
                    taken=self._chance.choice([None, 2]),
                    at=at(number),
                )
            ]
            for number in range(count)
        ]

    def _schedules(self, count: int) -> list[list[Event]]:
        """Schedules that people change their minds about, and what becomes of slots."""
        return [
            stream for number in range(count) for stream in (self._schedule(f"n{number}"), *self._slots(f"n{number}"))
        ]

    def _schedule(self, name: str) -> list[Event]:
        story: list[Event] = []
        schedule = Schedule(name)
        for step in range(self._chance.randint(1, 6)):
            match schedule.state, self._chance.randrange(3):
                case ((ScheduleState.ABSENT | ScheduleState.REMOVED), _):
                    event: Event = schedule.declare(self._terms(), at=at(step), reason="wanted")
                case ScheduleState.PAUSED, _:
                    event = schedule.resume(at=at(step))
                case _, 0:
                    event = schedule.pause(at=at(step), reason="stocktaking")
                case _, 1:
                    event = schedule.remove(at=at(step))
                case _:
                    terms = msgspec.structs.replace(self._terms(), kwargs={"step": step})
                    event = schedule.change(terms, at=at(step))
            story.append(event)
            schedule = schedule.after(event)
        return story

    def _terms(self) -> Terms:
        timetables: list[Timetable] = [Cron("30 2 * * *", "Europe/Berlin"), Interval(60.0), Once(at(1e9))]
        return Terms(task="bill", timetable=self._chance.choice(timetables), overlap=self._chance.choice(list(Overlap)))

    def _slots(self, name: str) -> list[list[Event]]:
        terms = Terms(task="bill", timetable=Interval(60.0))
        schedule = Schedule(name)
        schedule = schedule.after(schedule.declare(terms, at=at(0)))
        facts: list[Event] = []
        for number in range(1, self._chance.randint(2, 6)):
            slot, now = at(600 * number), at(600 * number + self._chance.random())
            match self._chance.randrange(4):
                case 0:
                    facts.append(schedule.fire_by_hand(minted("hand", name, number), at=now, reason="now"))
                case 1:
                    facts.append(schedule.skip(slot, terms=terms, open_run_id=str(minted("run", number)), at=now))
                case 2:
                    facts.append(schedule.miss(slot, slot + timedelta(minutes=3), slots=4, at=now))
                case _:
                    facts.append(schedule.fire(slot, terms=terms, at=now))
        return [[fact] for fact in facts]

    def _webhooks(self, count: int) -> list[list[Event]]:
        """Endpoints that people and failures do things about, and what was sent to them."""
        return [stream for number in range(count) for stream in (self._webhook(f"w{number}"), self._delivery(number))]

    def _webhook(self, name: str) -> list[Event]:
        story: list[Event] = []
        webhook = Webhook(name)
        terms = EndpointTerms(url="https://example.org/hook", patterns=("license.*",))
        for step in range(self._chance.randint(1, 7)):
            now = at(step)
            match webhook.state, self._chance.randrange(4):
                case ((WebhookState.ABSENT | WebhookState.REMOVED), _):
                    event: Event | None = webhook.register(terms, allows_http=False, at=now)
                case WebhookState.DISABLED, _:
                    event = webhook.enable(at=now)
                case _, 0:
                    event = webhook.failed("E: e", is_gone=step > 3, disable_after=timedelta(0), at=now)
                case _, 1:
                    event = webhook.arrived(at=now)
                case _, 2:
                    event = webhook.rotate(previous_for=timedelta(days=1), at=now)
                case _:
                    event = webhook.remove(at=now)
            if event is not None:
                story.append(event)
                webhook = webhook.after(event, recorded_at=now)
        return story

    def _delivery(self, number: int) -> list[Event]:
        facts: list[Event] = []
        for version in range(1, self._chance.randint(2, 5)):
            told = {
                "originator_id": delivery_stream(minted("delivery", number)),
                "originator_version": version,
                "timestamp": at(60 * version),
                "endpoint": f"w{number}",
                "event_log": "licensing",
                "event_stream": f"license-l{number}",
                "event_version": 1,
                "event_name": "license.issued",
                "run_id": str(minted("delivering", number)),
                "attempt": version,
            }
            sent = {"url": "https://example.org/hook", "duration_seconds": 0.5}
            match self._chance.randrange(3):
                case 0:
                    facts.append(DeliverySucceeded(status_code=204, **sent, **told))
                case 1:
                    why = {"error_type": "HTTPStatus", "error": "it answered 500", "next_attempt_at": at(3600)}
                    facts.append(DeliveryFailed(status_code=500, **why, **sent, **told))
                case _:
                    facts.append(DeliveryWithheld(because="the endpoint is disabled", **told))
        return facts

    def _run(self, number: int) -> list[Event]:
        """One run's whole story; some are asked for and some are only met by a worker."""
        run = minted("run", number)
        worker = {"queue": "tasks.normal", "worker": f"w{number % 3}"}
        story: list[Event] = []
        if self._chance.random() < 0.7:
            story += [requested(run, license_id="l1"), told(run, "published", 1, queue="tasks.normal", priority=2)]
        attempts = self._chance.randint(1, 3)
        for attempt in range(1, attempts + 1):
            story += self._held(run, attempt)
            by = str(minted("reinstated", number)) if self._chance.random() < 0.5 else None
            began = {"attempt": attempt, "pid": number, "priority": 2, "admitted_by": by, **worker}
            story.append(told(run, "started", attempt * 10, **began))
            if attempt < attempts and number % 5 == 4:
                story += self._waited(run, attempt, worker)
            elif attempt < attempts:
                why: dict[str, Any] = {
                    "spent_by": "exception",
                    "error_type": "OSError",
                    "error": "busy",
                    "delay_seconds": 1.5,
                }
                if self._chance.random() < 0.3:
                    why |= {"spent_by": "snooze", "is_spared": True}
                story.append(told(run, "retry_scheduled", attempt * 10 + 5, attempt=attempt, **why, **worker))
                if self._chance.random() < 0.3:
                    late = {"attempt": attempt, "outcome": "succeeded", **worker}
                    story.append(told(run, "outcome_ignored", attempt * 10 + 7, **late))
        if self._chance.random() < 0.3:
            story.append(told(run, "revocation_requested", attempts * 10 + 8, reason="ordered twice"))
        return story + self._end(run, attempts, worker)

    def _waited(self, run: UUID, attempt: int, worker: dict[str, str]) -> list[Event]:
        """An attempt that waits for an event, and what comes of that."""
        message = {"body": "[[], {}, {}]", "size_bytes": 12}
        terms = {"event": "license.renewed", "match": {"license_id": "l1"}, "until": at(attempt * 10 + 7)}
        began = told(run, "wait_began", attempt * 10 + 5, attempt=attempt, terms=terms, message=message, **worker)
        if attempt % 2:
            return [began, told(run, "wait_timed_out", attempt * 10 + 7, attempt=attempt, until=at(attempt * 10 + 7))]
        came = {
            "id": str(minted("came", run)),
            "name": "license.renewed",
            "stream": "license-l1",
            "log": "licensing",
            "position": 1,
            "data": {},
            "occurred_at": at(attempt * 10 + 6),
            "recorded_at": at(attempt * 10 + 6),
        }
        return [began, told(run, "wait_satisfied", attempt * 10 + 7, attempt=attempt, came=came)]

    def _held(self, run: UUID, attempt: int) -> list[Event]:
        """What kept an attempt waiting: its own time, its license, or the silence about that; by several workers."""
        reasons = self._chance.sample([None, "license_suspended", "license_away", "paused"], self._chance.randint(0, 3))
        return [
            told(
                run,
                "received",
                attempt * 10 - 5 + number,
                attempt=attempt,
                eta=at(attempt * 10),
                because=because,
                decided_by=str(minted("suspended", run)) if because == "license_suspended" else None,
                queue="tasks.normal",
                worker=f"w{self._chance.randrange(3)}",
            )
            for number, because in enumerate(reasons)
        ]

    def _end(self, run: UUID, attempt: int, worker: dict[str, str]) -> list[Event]:
        by = str(minted("revoked", run)) if self._chance.random() < 0.5 else None
        failure = {"attempt": attempt, "error_type": "ValueError", "error": "no bill", "decided_by": by, **worker}
        match self._chance.randrange(5):
            case 0:
                return []
            case 1 | 2:
                return [told(run, "succeeded", 90, attempt=attempt, result="7", runtime_seconds=2.5, **worker)]
            case 3:
                end = [told(run, "failed", 90, **failure), told(run, "dead_lettered", 91, reason="rejected")]
            case _:
                end = [told(run, "dead_lettered", 92, reason="expired", queue="tasks.normal", priority=2)]
        return end + self._decisions(run)

    def _decisions(self, run: UUID) -> list[Event]:
        """What people decide about a dead letter: it is replayed, and perhaps again, or discarded then."""
        decided: list[Event] = []
        for number in range(1, self._chance.randint(2, 4)):
            because = {"number": number, "reason": f"because {number}"}
            batch = {"replay_id": str(minted("batch", number)), "new_run_id": str(minted("again", run, number))}
            if number == 1 or self._chance.random() < 0.5:
                decided.append(told(run, "letter_replayed", 100 + number, generation=1, **because, **batch))
            else:
                decided.append(told(run, "letter_discarded", 100 + number, **because))
        return decided

    def _batches(self, count: int) -> list[Event]:
        facts: list[Event] = []
        for number in range(1, count + 1):
            batch = {"originator_id": replay_stream(minted("batch", number)), "timestamp": at(100 + number)}
            asked = {"reason": "the gateway is back", "chosen_by": {"task": "bill"}, "run_ids": ("a", "b")}
            facts.append(ReplayRequested(originator_version=1, **batch, **asked))
            if self._chance.random() < 0.7:
                facts.append(ReplayFinished(originator_version=2, replayed=1, left={"b": "it is gone"}, **batch))
        return facts


def with_attempt(event: TaskEvent, attempt: int) -> TaskEvent:
    """The same told of another attempt, as no honest worker would."""
    return msgspec.structs.replace(event, attempt=attempt)
