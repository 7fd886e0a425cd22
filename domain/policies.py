"""Policies: what is to be done about an event. Pure: an event in, commands out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec

from domain.aggregate import Event
from domain.license import license_stream
from domain.license_events import LicenseExpired, LicenseExpiringSoon, LicensePolicyChanged, LicenseRevokedForGood
from domain.license_policy import Expiry
from domain.license_state import LicenseState
from domain.notice import NOTICE_TASKS
from domain.run import STATE_AFTER
from domain.schedule import RUN_PURPOSE
from domain.schedule_events import ScheduleFired, ScheduleFiredByHand
from domain.story import StoryRevocationRequested
from domain.task_run import TaskDeadLettered, TaskFailed, TaskFailure, TaskLost, TaskRejected, TaskTimedOut, run_stream
from domain.tier import Tier
from domain.webhook_delivery import RedeliveryRequested, delivery_purpose
from domain.webhook_events import WebhookTested
from domain.webhook_subscription import DELIVERY_TASK


class RequestTask(msgspec.Struct, frozen=True, kw_only=True):
    """The command to accept a task.

    Attributes:
        purpose: tells several tasks asked for by one event apart; part of the run's id.
        task: the Celery task's name.
        kwargs: small values and ids only.
        license_id: the license whose business this is, for analysts.
        once_by: what this is about, where it is to be asked for once in a window of time only: of all facts of one
            window that ask for the same, the first one does.
    """

    purpose: str
    task: str
    kwargs: dict[str, Any]
    tier: Tier = Tier.NORMAL
    priority: int | None = None
    license_id: str | None = None
    once_by: str | None = None


class RevokeWork(msgspec.Struct, frozen=True, kw_only=True):
    """The command to revoke the open runs that name a license, if the license says so when it is carried out.

    Attributes:
        purpose: who asks: the policy's name.
        license_id: which.
    """

    purpose: str
    license_id: str


class RevokeStory(msgspec.Struct, frozen=True, kw_only=True):
    """The command to revoke the open runs of a story.

    Attributes:
        purpose: which policy says so.
        correlation_id: names the story.
    """

    purpose: str
    correlation_id: str


Command = RequestTask | RevokeWork | RevokeStory


def tell_the_holder(event: LicenseExpiringSoon | LicenseExpired) -> tuple[RequestTask, ...]:
    """A license nears or reaches its end: its holder is told, once for each such fact."""
    license_id = event.originator_id.removeprefix(license_stream(""))
    days_left = event.days_left if isinstance(event, LicenseExpiringSoon) else 0
    notice_id = f"{event.TOPIC}:{event.valid_until.isoformat()}:{days_left}"
    kwargs = {
        "license_id": license_id,
        "notice_id": notice_id,
        "days_left": days_left,
        "valid_until": event.valid_until.isoformat(),
    }
    return (
        RequestTask(
            purpose="tell_the_holder",
            task="send_license_notice",
            kwargs=kwargs,
            tier=Tier.HIGH,
            license_id=license_id,
        ),
    )


def end_its_sessions(event: LicenseExpired | LicensePolicyChanged) -> tuple[RequestTask, ...]:
    """A license expires whose policy ends its sessions, or an expired one comes under such a policy: they end."""
    if not _ends_use(event):
        return ()
    license_id = event.originator_id.removeprefix(license_stream(""))
    return (
        RequestTask(
            purpose="end_its_sessions",
            task="end_license_sessions",
            kwargs={"license_id": license_id, "at": event.timestamp.isoformat()},
            tier=Tier.HIGH,
            license_id=license_id,
        ),
    )


def end_sessions_of_a_revoked_license(event: LicenseRevokedForGood) -> tuple[RequestTask, ...]:
    """A license was revoked: what is open under it ends."""
    license_id = event.originator_id.removeprefix(license_stream(""))
    return (
        RequestTask(
            purpose="end_sessions_of_a_revoked_license",
            task="end_license_sessions",
            kwargs={"license_id": license_id, "at": event.timestamp.isoformat(), "reason": "license revoked"},
            tier=Tier.HIGH,
            license_id=license_id,
        ),
    )


def end_its_work(event: LicenseRevokedForGood | LicenseExpired | LicensePolicyChanged) -> tuple[RevokeWork, ...]:
    """A license is revoked, or comes to an end that its policy makes one of its work: its open runs end."""
    if not isinstance(event, LicenseRevokedForGood) and not _ends_use(event):
        return ()
    return (RevokeWork(purpose="end_its_work", license_id=event.originator_id.removeprefix(license_stream(""))),)


def _ends_use(event: LicenseExpired | LicensePolicyChanged) -> bool:
    """Whether a license expires under a policy that ends its use then, or comes under such a policy later."""
    if isinstance(event, LicenseExpired):
        return event.expiry is Expiry.REVOKE
    comes = event.policy.expiry is Expiry.REVOKE and event.previous_policy.expiry is not Expiry.REVOKE
    return comes and event.state is LicenseState.EXPIRED


def end_its_runs(event: StoryRevocationRequested) -> tuple[RevokeStory, ...]:
    """Somebody took a story back: its open runs end. Those that turn up later end where they are met."""
    return (RevokeStory(purpose="end_its_runs", correlation_id=event.correlation_id),)


def run_what_is_scheduled(event: ScheduleFired | ScheduleFiredByHand) -> tuple[RequestTask, ...]:
    """A slot came, or somebody did not wait for one: the task is asked for."""
    return (RequestTask(purpose=RUN_PURPOSE, task=event.task, kwargs=event.kwargs, tier=Tier(event.tier)),)


def tell_people_of_a_failure(event: TaskFailure | TaskDeadLettered) -> tuple[RequestTask, ...]:
    """A run of a critical task ended badly: people are told, once for each task and window.

    Critical is a task that says so, and the worker tells it with the end. Where the broker ended the run no worker did;
    then it is critical if it died in the queue of the critical tier.
    """
    if isinstance(event, TaskFailure):
        is_meant, why = event.critical, {"error_type": event.error_type, "error": event.error}
    else:
        is_meant = event.reason != "rejected" and event.queue == Tier.CRITICAL.queue
        why = {"error_type": event.reason, "error": f"the broker took it out of queue {event.queue}"}
    if not is_meant:
        return ()
    kwargs = {
        "task": event.task,
        "run_id": event.originator_id.removeprefix(run_stream("")),
        "ended": STATE_AFTER[event.TOPIC].value,
        "failed_at": event.timestamp.isoformat(),
        "worker": event.worker if isinstance(event, TaskFailure) else None,
        **why,
    }
    return (
        RequestTask(
            purpose="tell_people_of_a_failure",
            task="send_failure_alert",
            kwargs=kwargs,
            tier=Tier.HIGH,
            once_by=event.task,
        ),
    )


def record_what_did_not_go_out(event: TaskDeadLettered) -> tuple[RequestTask, ...]:
    """A run that was to send a notice has died: the notice is told, whatever the run died of."""
    if event.task not in NOTICE_TASKS:
        return ()
    kwargs = {"run_id": event.originator_id.removeprefix(run_stream(""))}
    return (RequestTask(purpose="record_what_did_not_go_out", task="record_failed_notice", kwargs=kwargs),)


def deliver(endpoint: str, *, log: str, stream: str, version: int, purpose: str) -> RequestTask:
    """The command to send the event that has this place in its log to an endpoint."""
    kwargs = {"endpoint": endpoint, "event_log": log, "event_stream": stream, "event_version": version}
    return RequestTask(purpose=purpose, task=DELIVERY_TASK, kwargs=kwargs, tier=Tier.LOW)


def send_the_test(event: WebhookTested) -> tuple[RequestTask, ...]:
    """Somebody wants to see a delivery arrive: the event that says so is sent to the endpoint it is about."""
    return (
        deliver(
            event.endpoint,
            log="licensing",
            stream=event.originator_id,
            version=event.originator_version,
            purpose=delivery_purpose(event.endpoint),
        ),
    )


def send_again(event: RedeliveryRequested) -> tuple[RequestTask, ...]:
    """Somebody wants an event sent to an endpoint once more."""
    return (
        deliver(
            event.endpoint,
            log=event.event_log,
            stream=event.event_stream,
            version=event.event_version,
            purpose="send_again",
        ),
    )


POLICIES: Final[dict[type[Event], tuple[Callable[[Any], tuple[Command, ...]], ...]]] = {
    LicenseExpiringSoon: (tell_the_holder,),
    LicenseExpired: (tell_the_holder, end_its_sessions, end_its_work),
    LicensePolicyChanged: (end_its_sessions, end_its_work),
    LicenseRevokedForGood: (end_sessions_of_a_revoked_license, end_its_work),
    ScheduleFired: (run_what_is_scheduled,),
    ScheduleFiredByHand: (run_what_is_scheduled,),
    StoryRevocationRequested: (end_its_runs,),
    TaskFailed: (tell_people_of_a_failure,),
    TaskTimedOut: (tell_people_of_a_failure,),
    TaskLost: (tell_people_of_a_failure,),
    TaskRejected: (tell_people_of_a_failure,),
    TaskDeadLettered: (tell_people_of_a_failure, record_what_did_not_go_out),
    WebhookTested: (send_the_test,),
    RedeliveryRequested: (send_again,),
}
"""Which policies look at which events."""


def decide(event: Event) -> tuple[Command, ...]:
    """Everything that is to be done about ``event``."""
    return tuple(command for policy in POLICIES.get(type(event), ()) for command in policy(event))
