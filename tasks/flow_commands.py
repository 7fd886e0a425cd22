"""``ledgerq queue`` and parts of ``ledgerq task``: pause, resume and limit what workers begin, everywhere at once."""

from __future__ import annotations

import getpass
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final
from uuid import uuid4

import click

from domain.cause import Cause
from domain.flow import Flow, FlowEvent, FlowKind, flow_stream
from domain.limits import ConcurrencyLimit, Limits, RateLimit
from domain.refusal import Refusal
from domain.tier import Tier
from infra.database import DatabaseUnreachableError
from infra.event_store import EventStore, Log, LostRaceError, caused
from infra.settings import load_settings

NONE: Final = "none"
_reason = click.option("--reason", required=True, help="Why; it is recorded, with your name.")
Verb = Callable[[Flow, datetime], FlowEvent]


class QueueName(click.ParamType[str]):
    """A tier's queue, by its own name or the tier's."""

    name = "queue"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The queue's name."""
        for tier in Tier:
            if value in {tier.value, tier.queue}:
                return tier.queue
        return self.fail(f"{value!r} is none of {', '.join(tier.queue for tier in Tier)}", param, ctx)


@click.group()
def queue() -> None:
    """Pause and resume queues, in all workers; list what is paused or limited."""


@queue.command("pause")
@click.argument("name", metavar="QUEUE_OR_TIER", type=QueueName())
@_reason
def pause_queue(name: str, reason: str) -> None:
    """Let no worker take anything from a queue; what runs is finished, and what comes waits in it."""
    _do(FlowKind.QUEUE, name, lambda flow, now: flow.pause(reason=reason, at=now), said="paused")


@queue.command("resume")
@click.argument("name", metavar="QUEUE_OR_TIER", type=QueueName())
@_reason
def resume_queue(name: str, reason: str) -> None:
    """Let workers take messages from a queue again."""
    _do(FlowKind.QUEUE, name, lambda flow, now: flow.resume(reason=reason, at=now), said="resumed")


@queue.command("list")
def list_flows() -> None:
    """All queues, and the tasks that are paused or limited: since when, by whom and why."""
    flows = {flow_stream(FlowKind.QUEUE, tier.queue): Flow(FlowKind.QUEUE, tier.queue) for tier in Tier}
    latest: dict[str, str] = {}
    try:
        with _store() as store:
            told = store.flow_events()
    except DatabaseUnreachableError as error:
        raise _unreachable(error) from error
    for event, actor in told:
        stream = event.originator_id
        flows[stream] = (flows.get(stream) or Flow(event.kind, event.flow)).after(event)
        latest[stream] = f"{event.timestamp:%Y-%m-%d %H:%M:%S} UTC by {actor}: {event.data().get('reason')}"
    for stream, flow in flows.items():
        if flow.kind is FlowKind.QUEUE or flow.paused or flow.limits is not None:
            click.echo(f"{flow.kind}  {flow.name:<32}  {_state(flow):<30}  {latest.get(stream, '')}".rstrip())


@click.command("pause")
@click.argument("name")
@_reason
def pause_task(name: str, reason: str) -> None:
    """Let no worker begin the task NAME; its messages wait in the delay ladder and spend no attempt."""
    _do(FlowKind.TASK, name, lambda flow, now: flow.pause(reason=reason, at=now), said="paused")


@click.command("resume")
@click.argument("name")
@_reason
def resume_task(name: str, reason: str) -> None:
    """Let workers begin the task NAME again."""
    _do(FlowKind.TASK, name, lambda flow, now: flow.resume(reason=reason, at=now), said="resumed")


@click.command("limit")
@click.argument("name")
@click.option("--rate", help="At most so many beginnings in a second, minute or hour (20/m), or none.")
@click.option("--concurrency", help="At most so many at once, or none.")
@click.option("--key", help="Keyword argument whose every value is limited by itself (license_id).")
@click.option("--as-declared", is_flag=True, help="The limits again that the task declares.")
@_reason
def limit_task(
    name: str, *, rate: str | None, concurrency: str | None, key: str | None, as_declared: bool, reason: str
) -> None:
    """Put limits in place of those that the task NAME declares, over all workers together.

    They are all its limits: one that is not named does not hold.
    """
    if as_declared == bool(rate or concurrency):
        raise click.UsageError("wanted is --rate, --concurrency or both; or --as-declared")
    if as_declared:
        _do(FlowKind.TASK, name, lambda flow, now: flow.withdraw_limits(reason=reason, at=now), said="as declared")
        return
    limits = _limits(rate or NONE, concurrency or NONE, key)
    _do(FlowKind.TASK, name, lambda flow, now: flow.limit(limits, reason=reason, at=now), said=str(limits))


def _limits(rate: str, concurrency: str, key: str | None) -> Limits:
    try:
        return Limits(
            None if rate == NONE else RateLimit.parse(rate),
            None if concurrency == NONE else ConcurrencyLimit(int(concurrency), key),
        )
    except ValueError as error:
        raise click.UsageError(str(error)) from error


def _do(kind: FlowKind, name: str, verb: Verb, *, said: str) -> None:
    now, flow = datetime.now(UTC), Flow(kind, name)
    try:
        with _store() as store:
            for event in store.load(Log.LICENSING, [flow.stream]).get(flow.stream, []):
                flow = flow.after(event)
            store.append(Log.LICENSING, caused([verb(flow, now)], Cause(id=uuid4(), at=now, actor=getpass.getuser())))
    except Refusal as refusal:
        raise click.ClickException(str(refusal)) from refusal
    except LostRaceError as error:
        raise click.ClickException("somebody did something about it at the same moment; look, and try again") from error
    except DatabaseUnreachableError as error:
        raise _unreachable(error) from error
    click.echo(f"{kind} {name}: {said}")


def _state(flow: Flow) -> str:
    limits = "" if flow.limits is None else str(flow.limits)
    return ", ".join(filter(None, ("paused" if flow.paused else "", limits))) or "open"


def _store() -> EventStore:
    return EventStore(load_settings().database_url.get_secret_value(), connections=1, name="flow command")


def _unreachable(error: DatabaseUnreachableError) -> click.ClickException:
    return click.ClickException(f"the database cannot be reached: {error}")
