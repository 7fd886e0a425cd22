"""All checks, one after the other; what one of them cannot see does not keep the others from looking."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Final

import msgspec

from infra.broker.errors import BrokerRefusedError
from infra.broker.management import ManagementApi
from infra.database.connections import connect
from infra.database.errors import DatabaseUnreachableError
from infra.doctor import node, standing, traffic
from infra.doctor.clocks import Reading, clocks, read
from infra.doctor.finding import Finding, Unseen
from infra.doctor.patient import Patient
from infra.settings import Settings

_SECOND: Final = timedelta(seconds=1)


class Expected(msgspec.Struct, frozen=True, kw_only=True):
    """What only those know who run tasks.

    Attributes:
        limits: hard time limit by task, of those that have one.
        prefetch_per_child: how many messages a worker of ours may have in hand for each of its children.
        prefetch_ahead: how many more while its tasks are short.
    """

    limits: Mapping[str, timedelta]
    prefetch_per_child: int
    prefetch_ahead: int


class Report(msgspec.Struct, frozen=True):
    """What was found, and what could not be seen."""

    findings: list[Finding]
    unseen: list[Unseen]

    @property
    def is_healthy(self) -> bool:
        """Whether nothing was found."""
        return not self.findings


def examine(settings: Settings, expected: Expected, *, clock: Callable[[], datetime]) -> Report:
    """Run every check.

    Raises:
        ManagementUnknownError: the settings name no management API.
        BrokerUnreachableError: it does not answer.
    """
    report = Report([], [])
    for name, check in _checks(settings, expected, clock):
        try:
            report.findings.extend(check())
        except (BrokerRefusedError, DatabaseUnreachableError, ValueError) as error:
            report.unseen.append(Unseen(check=name, why=str(error)))
    return report


def _checks(
    settings: Settings, expected: Expected, clock: Callable[[], datetime]
) -> Iterator[tuple[str, Callable[[], Iterable[Finding]]]]:
    patient = Patient(settings)
    for check in (standing.exchanges, standing.queues, standing.bindings, standing.policies, standing.roles):
        yield check.__name__, partial(check, patient)
    for check in (node.alarms, node.users, node.feature_flags, traffic.consumers, traffic.confirms):
        yield check.__name__, partial(check, patient)
    per_child, ahead = expected.prefetch_per_child, expected.prefetch_ahead
    yield "prefetch", partial(traffic.prefetch, patient, per_child=per_child, ahead=ahead)
    broker_wide = timedelta(seconds=settings.consumer_timeout_seconds)
    timeout = partial(node.consumer_timeout, patient, broker_wide=broker_wide, limits=expected.limits)
    yield "consumer_timeout", timeout
    yield "clock of the broker", lambda: clocks([_of_broker(settings, clock)])
    yield "clock of the database", lambda: clocks([_of_database(settings, clock)])


def _of_broker(settings: Settings, clock: Callable[[], datetime]) -> Reading:
    return read("the broker", ManagementApi(settings).clock, clock, _SECOND)


def _of_database(settings: Settings, clock: Callable[[], datetime]) -> Reading:
    with connect(settings, name="doctor") as connection:

        def ask() -> datetime:
            found = connection.execute("select clock_timestamp()").fetchone()
            moment: datetime = found[0] if found else datetime.now(UTC)
            return moment

        return read("the database", ask, clock, timedelta())
