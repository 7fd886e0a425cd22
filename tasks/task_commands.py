"""``ledgerq task``: ask for a task, and read what became of it."""

from __future__ import annotations

import getpass
import time
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

import click
import msgspec

from domain.cause import derived_run_id
from domain.messages import MessageInvalid
from domain.run import RunState
from domain.task_run import run_stream
from domain.tier import Tier
from domain.unique_key import RequestFolded, folded_stream
from infra.broker.emitter import Emitter
from infra.broker.errors import BrokerError
from infra.cloudevents import CloudEvent, new_event
from infra.database import DatabaseUnreachableError
from infra.event_store import EventStore, Log
from infra.events.as_of import AsOf, story_as_of
from infra.events.asking import as_of_options, asked_as_of
from infra.settings import Settings, load_settings
from infra.tracing.address import shown, values
from infra.words import WORDS
from tasks.backlog_check import check_backlog
from tasks.flow_commands import limit_task, pause_task, resume_task
from tasks.revoke_command import revoke
from tasks.run_story import Story, story_values, tell

SOURCE: Final = "/ledgerq/task"
LOOK_EVERY_SECONDS: Final = 0.2
DECIDED_WITHIN_SECONDS: Final = 30.0
"""How long a request with a unique key is looked for in the log."""


@click.group()
def task() -> None:
    """Request a task; show what happened to a run, take runs back; pause and limit a task."""


for _command in (revoke, pause_task, resume_task, limit_task):
    task.add_command(_command)


@task.command()
@click.argument("name", type=WORDS)
@click.option("--kwargs", type=WORDS, default="{}", show_default=True, help="Keyword arguments, a JSON object.")
@click.option("--tier", type=click.Choice([tier.value for tier in Tier]), default=Tier.NORMAL.value, show_default=True)
@click.option(
    "--priority",
    type=click.IntRange(0, 10),
    help="Within the tier, higher is sooner; at most 10, 8, 5, 2 from critical to low. Default: the middle.",
)
@click.option("--license", "license_id", type=WORDS, help="The license whose business this is.")
@click.option(
    "--unique-key",
    type=WORDS,
    help="Fold this request into the run that has this key for the task, if there is one.",
)
@click.option(
    "--unique-for",
    "unique_for_seconds",
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    help="For how long the run keeps its key, from its acceptance on. Default: until it ends.",
)
@click.option("--force", is_flag=True, default=None, help="Ask although the backlog of the tier is full.")
@click.option("--wait", is_flag=True, help="Wait for the run's end and show its story; status 0 if it succeeded.")
@click.option("--timeout", default=600.0, show_default=True, help="How long to wait at most, in seconds.")
def run(name: str, *, kwargs: str, wait: bool, timeout: float, **asked: Any) -> None:
    """Ask for a run of the task NAME and print the run's id, once the broker has the request."""
    settings = load_settings()
    event, run_id = _request({"task": name, "kwargs": _json_object(kwargs), **asked})
    if not asked["force"]:
        check_backlog(settings, Tier(asked["tier"]))
    try:
        with Emitter(settings, role="task command") as emitter:
            emitter.emit(event)
    except BrokerError as error:
        raise click.ClickException(str(error)) from error
    if asked["unique_key"] is not None:
        run_id = _holder(settings, event, run_id)
    click.echo(str(run_id))
    if wait:
        found = _ended(settings, run_id, within_seconds=timeout)
        click.echo(_told(found, settings))
        if found.run.state is not RunState.SUCCEEDED:
            raise click.exceptions.Exit(1)


@task.command()
@click.argument("run_id")
@as_of_options
@click.option("--json", "as_json", is_flag=True, help="One JSON object, for programs.")
def show(run_id: str, *, as_of: str | None, by: str | None, as_json: bool) -> None:
    """Tell the story of the run RUN_ID as the log has it, or had it."""
    when, settings = asked_as_of(as_of, by), load_settings()
    with _store(settings) as store:
        found = _run(store, run_id, when)
        if found is None and when is not None and _run(store, run_id) is not None:
            raise click.ClickException(f"there was nothing of the run {run_id} as of {when}")
    if found is None:
        raise click.ClickException(f"nothing is recorded of a run {run_id}")
    click.echo(msgspec.json.encode(_values(found, settings)).decode() if as_json else _told(found, settings))


def _told(story: Story, settings: Settings) -> str:
    return tell(story.run, trace=None if story.trace_id is None else shown(story.trace_id, settings))


def _values(story: Story, settings: Settings) -> dict[str, Any]:
    return story_values(story.run) | ({} if story.trace_id is None else values(story.trace_id, settings))


def _request(asked: dict[str, Any]) -> tuple[CloudEvent, UUID]:
    """The request under a run id of our own making, so that it can be told before anything is stored."""
    now = datetime.now(UTC)
    given = {name: value for name, value in asked.items() if value is not None}
    try:
        event = new_event("task.requested", source=SOURCE, data=given, subject=given["task"], time=now)
        run_id = derived_run_id(event.unique_id, given["task"], now)
        data = msgspec.Raw(msgspec.json.encode({**given, "run_id": run_id}))
        return msgspec.structs.replace(event, data=data, actor=getpass.getuser()), run_id
    except (MessageInvalid, msgspec.ValidationError, ValueError) as error:
        raise click.UsageError(str(error)) from error


def _holder(settings: Settings, event: CloudEvent, run_id: UUID) -> UUID:
    """The run that has the key, once the request is stored: its own, or the one it was folded into."""
    folded, own = folded_stream(event.unique_id), run_stream(run_id)
    deadline = time.monotonic() + DECIDED_WITHIN_SECONDS
    with _store(settings) as store:
        while time.monotonic() < deadline:
            if store.load(Log.TASKS, [own]):
                return run_id
            for fact in store.load(Log.LICENSING, [folded]).get(folded, []):
                if isinstance(fact, RequestFolded):
                    click.echo(f"folded: a run of {fact.task} has the key {fact.key!r} already", err=True)
                    return UUID(fact.run_id)
            time.sleep(LOOK_EVERY_SECONDS)
    raise click.ClickException(
        f"the request was sent and is not stored after {DECIDED_WITHIN_SECONDS:g} s: is ingest running? "
        f"It is run {run_id}, or folded into another (analytics.fct_folded_requests)"
    )


def _json_object(text: str) -> dict[str, Any]:
    try:
        found: dict[str, Any] = msgspec.json.decode(text, type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise click.BadParameter(f"{error}; wanted is a JSON object", param_hint="--kwargs") from error
    return found


def _ended(settings: Settings, run_id: UUID, *, within_seconds: float) -> Story:
    deadline = time.monotonic() + within_seconds
    with _store(settings) as store:
        while time.monotonic() < deadline:
            found = _run(store, str(run_id))
            if found is not None and found.run.is_ended:
                return found
            time.sleep(LOOK_EVERY_SECONDS)
    state = found.run.state.value if found else "not stored yet"
    raise click.ClickException(f"the run has not ended within {within_seconds:g} s; it is {state}")


def _store(settings: Settings) -> EventStore:
    return EventStore(settings.database_url.get_secret_value(), connections=1, name="task command")


def _run(store: EventStore, run_id: str, when: AsOf | None = None) -> Story | None:
    try:
        return Story.of(story_as_of(store, Log.TASKS, run_stream(run_id), when))
    except DatabaseUnreachableError as error:
        raise click.ClickException(f"the database cannot be reached: {error}") from error
