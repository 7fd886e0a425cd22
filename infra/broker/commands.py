"""``ledgerq topology`` and ``ledgerq emit``."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Final

import click
import msgspec
from rich.console import Console
from rich.table import Table

from infra.broker.declarations import Queue
from infra.broker.definitions import definitions
from infra.broker.emitter import Emitter, Mode
from infra.broker.errors import BrokerError
from infra.broker.event_file import EventInvalidError, completed_event, events_of_file
from infra.broker.explaining import explain, version_of, version_of_broker
from infra.broker.granting import describe, grant
from infra.broker.management import ManagementApi
from infra.broker.role_commands import password, users
from infra.broker.roles import ROLES
from infra.broker.topology import POLICIES, TOPOLOGY, apply
from infra.cloudevents import CloudEvent
from infra.settings import load_settings

_SOURCE: Final = "/ledgerq/emit"


@click.group()
def topology() -> None:
    """Apply, show or export the broker's topology; its users and their passwords."""


topology.add_command(users)
topology.add_command(password)


@topology.command("apply")
@click.option("--all", "everything", is_flag=True, help="Also users and rights of the roles, policies, a description.")
def apply_topology(*, everything: bool) -> None:
    """Declare every exchange, queue and binding; what stands as it should is left alone.

    With --all every role's user gets its rights and no others, and keeps its password; a new one has none
    (`ledgerq topology password`). That wants the management API (LEDGERQ_MANAGEMENT_URL) and an administrator.
    """
    settings = load_settings()
    try:
        if everything:
            describe(ManagementApi(settings))  # a queue's leader is placed when it is declared
        apply(settings)
        if everything:
            grant(ManagementApi(settings))
    except BrokerError as error:
        raise click.ClickException(str(error)) from error
    click.echo(
        f"The topology stands: {len(TOPOLOGY.exchanges)} exchanges, {len(TOPOLOGY.queues)} queues, "
        f"{len(TOPOLOGY.bindings)} bindings{f', {len(POLICIES)} policies, {len(ROLES)} roles' if everything else ''}."
    )


@topology.command()
def show() -> None:
    """Tables of the exchanges and the queues, with what each is for."""
    console = Console()
    exchanges = Table("exchange", "kind", "else to", "purpose", title="Exchanges")
    for exchange in TOPOLOGY.exchanges:
        exchanges.add_row(exchange.name, exchange.kind, exchange.alternate or "", exchange.purpose)
    queues = Table("queue", "bound to", "keeps", "purpose", title="Queues")
    for queue in TOPOLOGY.queues:
        queues.add_row(queue.name, _sources(queue), _kept(queue), queue.purpose)
    console.print(exchanges)
    console.print(queues)


@topology.command()
def export() -> None:
    """The topology as a RabbitMQ definitions file (rabbitmq/definitions.json)."""
    click.echo(json.dumps(definitions(), indent=2))


@topology.command("explain")
@click.option(
    "--version", "asked", metavar="VERSION", help="Of RabbitMQ, such as 4.3; the connected broker's if not given."
)
def explain_topology(asked: str | None) -> None:
    """What each exchange and queue guarantees, and where that differs by the broker's version."""
    try:
        told = asked or version_of_broker(load_settings())
        version = version_of(told)
    except BrokerError as error:
        raise click.ClickException(str(error)) from error
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    click.echo(f"On RabbitMQ {told}{'' if asked else ', which is connected'}:\n")
    for line in explain(version):
        click.echo(line)


def _sources(queue: Queue) -> str:
    found = [binding for binding in TOPOLOGY.bindings if binding.destination == queue.name and binding.kind == "queue"]
    return "\n".join(f"{binding.source} {binding.key}".strip() for binding in found)


def _kept(queue: Queue) -> str:
    found = [str(queue.arguments["x-queue-type"])]
    for name, say in _SAID.items():
        if name in queue.arguments:
            found.append(say(queue.arguments[name]))
    return ", ".join(found)


def _age(age: timedelta) -> str:
    hours = age / timedelta(hours=1)
    return f"{hours:.0f} h" if hours.is_integer() else f"{age.total_seconds():.0f} s"


_SAID: Final[dict[str, Callable[[str | int], str]]] = {
    "x-max-priority": lambda most: f"priorities 0 to {most}",
    "x-max-length": lambda most: f"{most} messages",
    "x-max-length-bytes": lambda most: f"{int(most) // 2**20} MiB",
    "x-message-ttl": lambda age: _age(timedelta(milliseconds=int(age))),
    "x-dead-letter-exchange": lambda exchange: f"then {exchange}",
}


@click.command()
@click.argument("event_type", metavar="TYPE", required=False)
@click.option("--subject", help="What it happened to.")
@click.option("--data", default="{}", show_default=True, help="The event's data, JSON.")
@click.option("--source", default=_SOURCE, show_default=True, help="URI reference of who tells.")
@click.option("--time", help="When it happened, RFC 3339 with an offset; now, if not given.")
@click.option(
    "--file",
    "path",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Emit a file instead: a CloudEvent in JSON on every line; specversion, id, source, time may be left out.",
)
@click.option(
    "--mode", type=click.Choice([mode.value for mode in Mode]), default=Mode.STRUCTURED.value, show_default=True
)
def emit(
    event_type: str | None,
    *,
    subject: str | None,
    data: str,
    source: str,
    time: str | None,
    path: Path | None,
    mode: str,
) -> None:
    """Emit an event of TYPE, or those of a file, the way a domain service does.

    Everything is checked against the contract before anything is sent. The exit status is 0 when the broker has
    confirmed all of it, and 1 otherwise.
    """
    if (event_type is None) == (path is None):
        raise click.UsageError("give either a TYPE or --file")
    try:
        if path is not None:
            events = list(events_of_file(path, source=source))
        else:
            given = {"type": event_type, "subject": subject, "time": time, "data": _json(data)}
            attributes = {name: value for name, value in given.items() if value is not None}
            events = [completed_event(attributes, source=source)]
    except EventInvalidError as error:
        raise click.ClickException(f"nothing was sent: {error}") from None
    _emit(events, Mode(mode))


def _json(text: str) -> object:
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        raise EventInvalidError(f"--data: {error}") from None


def _emit(events: Sequence[CloudEvent], mode: Mode) -> None:
    try:
        with Emitter(load_settings(), role="emit") as emitter:
            messages = emitter.emit_all(events, mode=mode)
    except BrokerError as error:
        raise click.ClickException(str(error)) from error
    for name, count in Counter(event.type for event in events).items():
        click.echo(f"confirmed: {count} {name}")
    if len(events) == 1:
        click.echo(f"id {events[0].id}, in the log {events[0].unique_id}")
    else:
        click.echo(f"events: {len(events)}, messages: {messages}")
