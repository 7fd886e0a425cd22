"""``ledgerq webhook``: whom we tell of events, and what people do about them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import click
import msgspec

from domain.cause import derived_run_id
from domain.webhook import Webhook, WebhookState
from domain.webhook_delivery import delivery_purpose
from domain.webhook_events import DisabledBecause, EndpointTerms, WebhookEvent
from infra.event_store import NewEvent
from infra.settings import load_settings
from infra.webhooks.secrets import endpoint_secret
from infra.words import WORDS
from tasks.decision_commands import append, json_option, name_argument, opened, reason_option, verb_of
from tasks.webhooks.asking import COMMAND, as_text, overlap_of, told_secret
from tasks.webhooks.delivery_commands import deliveries, redrive
from tasks.webhooks.hook_commands import receive
from tasks.webhooks.reading import endpoint, endpoint_story, endpoints, folded
from tasks.webhooks.showing import line, summary, tell

Verb = Callable[[Webhook, datetime], WebhookEvent]


@click.group()
def webhook() -> None:
    """Webhooks: endpoints that are told of events, what came of it; receive: hooks that others call."""


for _command in (deliveries, redrive, receive):
    webhook.add_command(_command)

_events_option = click.option(
    "--event",
    "patterns",
    multiple=True,
    type=WORDS,
    metavar="PATTERN",
    help="Name of an event, or a pattern: license.*, session.lapsed. May be given several times.",
)


@webhook.command()
@name_argument
@click.option("--url", required=True, type=WORDS, help="Where deliveries are posted to.")
@_events_option
@click.option("--description", type=WORDS, help="Whose it is.")
@reason_option
def add(name: str, *, url: str, patterns: tuple[str, ...], description: str | None, reason: str | None) -> None:
    """Let there be an endpoint NAME, which is told of what is recorded from now on; print its secret."""
    terms = EndpointTerms(url=url, patterns=patterns, description=description)
    allows_http = load_settings().webhook_http_allowed
    told_secret(endpoint_secret, name, 1)  # without a key there is nothing to sign with: say so before it is stored
    done = _do(name, lambda known, at: known.register(terms, allows_http=allows_http, at=at, reason=reason))
    click.echo(told_secret(endpoint_secret, name, done.event.data()["generation"]))


@webhook.command("list")
@click.option("--all", "is_all", is_flag=True, help="Those that were removed, too.")
@json_option
def list_webhooks(*, is_all: bool, as_json: bool) -> None:
    """Every endpoint: what it is up to, since when it fails, what it wants to hear, where it is."""
    with opened(COMMAND) as store:
        found = endpoints(store.webhook_stories().events)
    shown = [summary(each) for each in found if is_all or each.state is not WebhookState.REMOVED]
    click.echo(as_text(shown) if as_json else "\n".join(map(line, shown)), nl=bool(shown) or as_json)


@webhook.command()
@name_argument
@click.option("--secret", "with_secret", is_flag=True, help="Its secret, too.")
@json_option
def show(name: str, *, with_secret: bool, as_json: bool) -> None:
    """One endpoint, and what was done about it."""
    with opened(COMMAND) as store:
        story = endpoint_story(store, name)
        known = folded(name, story)
        if not story:
            known.known_terms()
    told = tell(known, story)
    if with_secret:
        told["secret"] = told_secret(endpoint_secret, name, known.generation)
    if as_json:
        click.echo(as_text(told))
        return
    for key, value in told.items():
        if key != "history":
            click.echo(f"{key:<15} {'-' if value is None else value}")
    for each in told["history"]:
        why = f": {each['said']}" if each["said"] else ""
        click.echo(f"  {each['at'].isoformat(sep=' ', timespec='seconds')}  {each['name']} by {each['actor']}{why}")


@webhook.command()
@name_argument
@click.option("--url", type=WORDS, help="Where deliveries are posted to.")
@_events_option
@click.option("--description", type=WORDS, help="Whose it is.")
@reason_option
def change(name: str, *, patterns: tuple[str, ...], reason: str | None, **options: str | None) -> None:
    """Change what the options name."""
    given: dict[str, Any] = {key: value for key, value in options.items() if value is not None}
    given |= {"patterns": patterns} if patterns else {}
    allows_http = load_settings().webhook_http_allowed

    def verb(known: Webhook, at: datetime) -> WebhookEvent:
        terms = msgspec.structs.replace(known.known_terms(), **given)
        return known.change(terms, allows_http=allows_http, at=at, reason=reason)

    _do(name, verb)
    click.echo(f"{name}: changed")


@verb_of(webhook, done="disabled")
def disable(name: str, reason: str | None) -> None:
    """Send nothing to an endpoint from now on; what it would have been sent can be sent by redrive, if it was tried."""
    _do(name, lambda known, at: known.disable(DisabledBecause.ASKED, at=at, detail=reason))


@verb_of(webhook, done="enabled")
def enable(name: str, reason: str | None) -> None:
    """Send to an endpoint again what is recorded from now on."""
    _do(name, lambda known, at: known.enable(at=at, reason=reason))


@verb_of(webhook, done="removed")
def remove(name: str, reason: str | None) -> None:
    """Let there be no endpoint NAME any more."""
    _do(name, lambda known, at: known.remove(at=at, reason=reason))


@webhook.command()
@name_argument
@click.option("--previous-for", default="1d", show_default=True, help="How long the secret before it is used, too.")
@reason_option
def rotate(name: str, *, previous_for: str, reason: str | None) -> None:
    """Sign with a new secret, for a while with both; print the new one."""
    overlap = overlap_of(previous_for)
    told_secret(endpoint_secret, name, 1)
    done = _do(name, lambda known, at: known.rotate(previous_for=overlap, at=at, reason=reason))
    click.echo(told_secret(endpoint_secret, name, done.event.data()["generation"]))


@webhook.command()
@name_argument
@reason_option
def test(name: str, *, reason: str | None) -> None:
    """Have an event of its own (webhook.tested) sent to an endpoint; print the run's id."""
    done = _do(name, lambda known, at: known.test(at=at, reason=reason))
    click.echo(str(derived_run_id(done.event_id, delivery_purpose(name), done.event.timestamp)))


def _do(name: str, verb: Verb) -> NewEvent:
    """Append what ``verb`` makes of the endpoint, as whoever calls the command."""
    now = datetime.now(UTC)
    with opened(COMMAND) as store:
        (new,) = append(store, [verb(endpoint(store, name), now)], at=now)
    return new
