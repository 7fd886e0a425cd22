"""``ledgerq webhook deliveries`` and ``redrive``: what was sent to endpoints, and sending it again."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

import click

from domain.aggregate import Event
from domain.webhook_delivery import (
    DeliveryEvent,
    DeliverySucceeded,
    RedeliveryRequested,
    delivery_stream,
)
from infra.database.door import connected
from infra.event_store import EventStore, Log
from infra.moments import moment
from infra.words import WORDS
from projections.queries import DeliveryFilter, webhook_deliveries
from tasks.decision_commands import append, json_option, opened, reason_option
from tasks.webhooks.asking import COMMAND, as_text
from tasks.webhooks.reading import endpoint

AT_ONCE: Final = 200
"""Deliveries asked for again per transaction."""
MOST: Final = 100_000
_since_option = click.option("--since", metavar="WHEN", help="Tried last since then: 45m, 2h, 7d, or a date and time.")


@click.command()
@click.option("--endpoint", type=WORDS, help="To this endpoint.")
@click.option("--outcome", type=click.Choice(["succeeded", "failed", "withheld"]), help="Of the last attempt.")
@_since_option
@click.option("--limit", type=click.IntRange(1, 10_000), default=50, show_default=True)
@json_option
def deliveries(*, endpoint: str | None, outcome: str | None, since: str | None, limit: int, as_json: bool) -> None:
    """What was sent to endpoints and what came of it: the last attempt of each delivery, the latest first."""
    when = moment(since, now=datetime.now(UTC), option="--since")
    with connected("webhook deliveries") as connection:
        found = webhook_deliveries(connection, DeliveryFilter(endpoint, None, outcome, when), limit=limit)
    if as_json:
        click.echo(as_text(found))
        return
    for each in found:
        click.echo(_line(each))


@click.command()
@click.argument("deliveries", nargs=-1, type=click.UUID)
@click.option("--endpoint", type=WORDS, help="All that this endpoint was not told, and will not be by itself.")
@_since_option
@reason_option
def redrive(*, deliveries: tuple[UUID, ...], endpoint: str | None, since: str | None, reason: str | None) -> None:
    """Send DELIVERIES again, whatever came of them, or all of an --endpoint that failed; under the same ids."""
    if bool(deliveries) == bool(endpoint):
        raise click.UsageError("name DELIVERIES by their ids, or an --endpoint (with --since), and not both")
    when = moment(since, now=datetime.now(UTC), option="--since")
    with opened(COMMAND) as store:
        ids = [str(each) for each in deliveries] or _failed(store, str(endpoint), when)
        asked = 0
        for first in range(0, len(ids), AT_ONCE):
            asked += _ask(store, ids[first : first + AT_ONCE], is_named=bool(deliveries), reason=reason)
    click.echo(f"{asked} deliveries asked for again")


def _failed(store: EventStore, name: str, since: datetime | None) -> list[str]:
    endpoint(store, name).known_terms()
    rows: list[dict[str, Any]] = []
    with connected("webhook redrive") as connection:
        for outcome in ("failed", "withheld"):
            rows += webhook_deliveries(connection, DeliveryFilter(name, None, outcome, since, True), limit=MOST)
    return [row["delivery_id"] for row in sorted(rows, key=lambda row: row["attempted_at"])]


def _ask(store: EventStore, ids: list[str], *, is_named: bool, reason: str | None) -> int:
    """Ask for what is known of these again; those that were only suggested, unless they have arrived meanwhile."""
    stories = store.load(Log.LICENSING, [delivery_stream(each) for each in ids])
    events: list[Event] = []
    for each in ids:
        story = [event for event in stories.get(delivery_stream(each), []) if isinstance(event, DeliveryEvent)]
        if not story:
            raise click.ClickException(f"the log knows no delivery {each}")
        if is_named or not isinstance(story[-1], DeliverySucceeded | RedeliveryRequested):
            events.append(_again(story[-1], reason))
    append(store, events)
    return len(events)


def _again(last: DeliveryEvent, reason: str | None) -> RedeliveryRequested:
    return RedeliveryRequested(
        originator_id=last.originator_id,
        originator_version=last.originator_version + 1,
        timestamp=datetime.now(UTC),
        endpoint=last.endpoint,
        event_log=last.event_log,
        event_stream=last.event_stream,
        event_version=last.event_version,
        event_name=last.event_name,
        reason=reason,
    )


def _line(row: dict[str, Any]) -> str:
    at, following = row["attempted_at"], row["next_attempt_at"]
    then = f"again at {following.isoformat(sep=' ', timespec='seconds')}" if following else ""
    status = row["status_code"] or "-"
    said = f"{row['outcome']} ({status}) {row['error'] or ''}".strip()
    return "  ".join(
        (at.isoformat(sep=" ", timespec="seconds"), row["delivery_id"], row["endpoint"], row["event_name"], said, then)
    ).rstrip()
