"""The broker itself: alarms, the user everybody knows, feature flags, and how long it waits for an acknowledgement."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Final

from domain.tier import Tier
from infra.doctor.finding import Finding
from infra.doctor.patient import Patient

_NEEDED_FLAGS: Final = {
    "quorum_queue": "quorum queues cannot be declared",
    "stream_queue": "dead-lettering at least once becomes at most once, and a killed broker loses waiting retries",
}
_FLAGS_ARE_FIXED_FROM: Final = (4, 0)
"""From here on a broker does not start without them."""
_TIMEOUT_OF_QUEUES_FROM: Final = (3, 12)
_NO_TIMEOUT_OF_CLASSIC_FROM: Final = (4, 3)
"""From here on no classic queue has a consumer timeout."""


def alarms(patient: Patient) -> Iterator[Finding]:
    """Resources that have run out."""
    for node in patient.nodes:
        for key, resource in (("mem_alarm", "memory"), ("disk_free_alarm", "disk space")):
            if node.get(key):
                yield Finding(
                    check="alarm",
                    where=f"node {node['name']}",
                    what=f"has an alarm over its {resource}, and reads from no publisher",
                    remedy=f"Free {resource}, or raise the limit in rabbitmq.conf",
                )


def users(patient: Patient) -> Iterator[Finding]:
    """The user whose password everybody knows."""
    if any(user["name"] == "guest" for user in patient.users):
        yield Finding(
            check="default_user",
            where="user guest",
            what="exists, with a password that everybody knows unless it was changed",
            remedy="Delete it: `rabbitmqctl delete_user guest`",
        )


def feature_flags(patient: Patient) -> Iterator[Finding]:
    """Flags that a node which started as an older version still has to get."""
    if patient.version >= _FLAGS_ARE_FIXED_FROM:
        return
    for name, what in _NEEDED_FLAGS.items():
        if patient.feature_flags.get(name) != "enabled":
            yield Finding(
                check="feature_flag",
                where=f"feature flag {name}",
                what=f"is not enabled: {what}",
                remedy=f"`rabbitmqctl enable_feature_flag {name}`",
            )


def consumer_timeout(patient: Patient, *, broker_wide: timedelta, limits: Mapping[str, timedelta]) -> Iterator[Finding]:
    """Tasks that may run longer than the broker waits for their message to be acknowledged.

    The broker then closes the worker's channel. Nothing is lost, but the message is delivered again and again.

    Args:
        patient: the broker; it tells what queues and policies say, and nothing of its own configuration.
        broker_wide: ``consumer_timeout`` of rabbitmq.conf.
        limits: hard time limit by task.
    """
    if not limits or patient.version >= _NO_TIMEOUT_OF_CLASSIC_FROM:
        return
    task, longest = max(limits.items(), key=lambda item: item[1])
    for tier in Tier:
        waits, source = _patience(patient, tier.queue, broker_wide)
        if waits < longest:
            yield Finding(
                check="consumer_timeout",
                where=f"queue {tier.queue}",
                what=f"{source} closes a worker's channel after {_seconds(waits)}, "
                f"and task {task} may run for {_seconds(longest)}",
                remedy="Set it longer than the longest time limit, or shorten that",
            )


def _patience(patient: Patient, queue: str, broker_wide: timedelta) -> tuple[timedelta, str]:
    """How long the broker waits for an acknowledgement, and who says so (``get_queue_consumer_timeout`` in the broker).

    From 3.12 on, a queue's argument or policy counts more than the broker's configuration; of the two, the shorter.
    """
    found = patient.queues.get(queue, {})
    told = {
        "its argument x-consumer-timeout": (found.get("arguments") or {}).get("x-consumer-timeout"),
        "a policy's consumer-timeout": dict(found.get("effective_policy_definition") or {}).get("consumer-timeout"),
    }
    said = [(timedelta(milliseconds=value), source) for source, value in told.items() if isinstance(value, int)]
    if said and patient.version >= _TIMEOUT_OF_QUEUES_FROM:
        return min(said)
    return broker_wide, "the broker's consumer_timeout"


def _seconds(duration: timedelta) -> str:
    return f"{duration.total_seconds():g} s"
