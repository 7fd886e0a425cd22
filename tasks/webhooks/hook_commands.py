"""``ledgerq webhook receive``: hooks by which others ask for a task."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import click
import msgspec

from domain.hook import Hook
from domain.tier import Tier
from domain.webhook_events import HookEvent
from infra.event_store import NewEvent
from infra.settings import load_settings
from infra.webhooks.secrets import chosen_secrets, hook_secret
from infra.words import WORDS
from tasks.decision_commands import append, json_option, name_argument, opened, reason_option, verb_of
from tasks.schedules.asking import check_task
from tasks.webhooks.asking import COMMAND, as_text, overlap_of, told_secret
from tasks.webhooks.reading import hook, hooks


@click.group()
def receive() -> None:
    """Hooks that others call to ask for a task: POST /hooks/NAME, signed as Standard Webhooks has it."""


@receive.command()
@name_argument
@click.option("--task", required=True, type=WORDS, help="The task that each call asks for.")
@click.option("--argument", default="payload", show_default=True, help="The keyword argument that is what was sent.")
@click.option("--kwargs", type=WORDS, default="{}", show_default=True, help="Further arguments, a JSON object.")
@click.option("--tier", type=click.Choice([tier.value for tier in Tier]), default=Tier.NORMAL.value, show_default=True)
@click.option("--any-task", is_flag=True, help="Take a task that is not known here: another program's.")
@reason_option
def add(name: str, *, task: str, kwargs: str, any_task: bool, **options: Any) -> None:
    """Let others call a hook NAME; print the secret that they sign with, unless they have chosen one."""
    if not any_task:
        check_task(task)
    try:
        further = msgspec.json.decode(kwargs, type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise click.BadParameter(f"{error}; wanted is a JSON object", param_hint="--kwargs") from error
    told_secret(hook_secret, name, 1)
    done = _do(name, lambda known, at: known.declare(task, at=at, kwargs=further, **options))
    _tell_secret(name, done)


@receive.command("list")
@json_option
def list_hooks(*, as_json: bool) -> None:
    """Every hook, and the task that a call asks for."""
    with opened(COMMAND) as store:
        found = [_told(each) for each in hooks(store.webhook_stories().events) if each.declared is not None]
    if as_json:
        click.echo(as_text(found))
        return
    for each in found:
        click.echo(f"{each['hook']:<20}  {each['path']:<28}  {each['tier']:<8}  {each['task']} ({each['argument']})")


@receive.command()
@name_argument
@click.option("--secret", "with_secret", is_flag=True, help="Its secret, too.")
@json_option
def show(name: str, *, with_secret: bool, as_json: bool) -> None:
    """One hook."""
    with opened(COMMAND) as store:
        known = hook(store, name)
        known.terms()
    told = _told(known)
    if with_secret:
        told["secret"] = told_secret(hook_secret, name, known.generation)
    click.echo(as_text(told) if as_json else "\n".join(f"{key:<15} {value}" for key, value in told.items()))


@receive.command()
@name_argument
@click.option("--previous-for", default="1d", show_default=True, help="How long the secret before it is taken, too.")
@reason_option
def rotate(name: str, *, previous_for: str, reason: str | None) -> None:
    """Take calls signed with a new secret, for a while with either; print the new one."""
    if name in chosen_secrets(load_settings()):
        raise click.ClickException(f"the caller chose the secret of {name}: change it in LEDGERQ_WEBHOOK_SECRETS")
    overlap = overlap_of(previous_for)
    told_secret(hook_secret, name, 1)
    _tell_secret(name, _do(name, lambda known, at: known.rotate(previous_for=overlap, at=at, reason=reason)))


@verb_of(receive, done="removed")
def remove(name: str, reason: str | None) -> None:
    """Let nobody call the hook any more."""
    _do(name, lambda known, at: known.remove(at=at, reason=reason))


def _told(known: Hook) -> dict[str, Any]:
    declared = known.terms()
    return {
        "hook": known.name,
        "path": f"/hooks/{known.name}",
        "task": declared.task,
        "tier": declared.tier,
        "argument": declared.argument,
        "kwargs": declared.kwargs,
        "generation": known.generation,
        "previous_secret_until": known.previous_until,
    }


def _tell_secret(name: str, done: NewEvent) -> None:
    if name in chosen_secrets(load_settings()):
        click.echo(f"{name}: its calls are signed with the secret in LEDGERQ_WEBHOOK_SECRETS")
    else:
        click.echo(told_secret(hook_secret, name, done.event.data()["generation"]))


def _do(name: str, verb: Callable[[Hook, datetime], HookEvent]) -> NewEvent:
    now = datetime.now(UTC)
    with opened(COMMAND) as store:
        (new,) = append(store, [verb(hook(store, name), now)], at=now)
    return new
