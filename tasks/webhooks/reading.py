"""Endpoints and hooks as the log has them."""

from __future__ import annotations

from collections.abc import Iterable

from domain.hook import Hook, hook_stream
from domain.webhook import Webhook, webhook_stream
from infra.event_store import EventStore, Log, Recorded

WEBHOOK_PREFIX = webhook_stream("")
HOOK_PREFIX = hook_stream("")


def endpoint_story(store: EventStore, name: str) -> list[Recorded]:
    """What was done about an endpoint, in order; empty where there never was one."""
    stream = webhook_stream(name)
    return store.load_recorded(Log.LICENSING, [stream]).get(stream, [])


def folded(name: str, story: Iterable[Recorded]) -> Webhook:
    """The endpoint that a story tells."""
    webhook = Webhook(name)
    for each in story:
        webhook = webhook.after(each.event, recorded_at=each.recorded_at)
    return webhook


def endpoint(store: EventStore, name: str) -> Webhook:
    """The endpoint of that name, whatever it is up to."""
    return folded(name, endpoint_story(store, name))


def endpoints(events: Iterable[Recorded]) -> list[Webhook]:
    """All that were ever registered, by name."""
    found: dict[str, Webhook] = {}
    for each in events:
        stream = each.event.originator_id
        if stream.startswith(WEBHOOK_PREFIX):
            name = stream.removeprefix(WEBHOOK_PREFIX)
            found[name] = (found.get(name) or Webhook(name)).after(each.event, recorded_at=each.recorded_at)
    return [found[name] for name in sorted(found)]


def hook(store: EventStore, name: str) -> Hook:
    """The hook of that name, whether it may be called or not."""
    stream = hook_stream(name)
    found = Hook(name)
    for event in store.load(Log.LICENSING, [stream]).get(stream, []):
        found = found.after(event)
    return found


def hooks(events: Iterable[Recorded]) -> list[Hook]:
    """All that were ever declared, by name."""
    found: dict[str, Hook] = {}
    for each in events:
        stream = each.event.originator_id
        if stream.startswith(HOOK_PREFIX):
            name = stream.removeprefix(HOOK_PREFIX)
            found[name] = (found.get(name) or Hook(name)).after(each.event)
    return [found[name] for name in sorted(found)]
