"""What people and programs are told of endpoints."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from domain.webhook import Webhook
from infra.event_store import Recorded


def summary(webhook: Webhook) -> dict[str, Any]:
    """An endpoint in short: what ``webhook list --json`` gives."""
    terms = webhook.terms
    return {
        "endpoint": webhook.name,
        "state": webhook.state.value,
        "url": terms.url if terms else None,
        "patterns": terms.patterns if terms else (),
        "description": terms.description if terms else None,
        "generation": webhook.generation,
        "since": webhook.since,
        "failing_since": webhook.failing_since,
    }


def line(told: dict[str, Any]) -> str:
    """The same for people."""
    failing = told["failing_since"]
    how = f"failing since {failing.isoformat(sep=' ', timespec='seconds')}" if failing else "arriving"
    return f"{told['endpoint']:<20}  {told['state']:<8}  {how:<40}  {' '.join(told['patterns']):<30}  {told['url']}"


def tell(webhook: Webhook, story: Sequence[Recorded]) -> dict[str, Any]:
    """All that is known: what ``webhook show --json`` gives."""
    history = [
        {
            "name": each.event.name,
            "at": each.event.timestamp,
            "actor": each.metadata.get("actor"),
            "said": _said(each.event.data()),
        }
        for each in story
    ]
    return {**summary(webhook), "previous_secret_until": webhook.previous_until, "history": history}


def _said(data: dict[str, Any]) -> str | None:
    said = [str(data[name]) for name in ("because", "reason", "detail", "error") if data.get(name) is not None]
    return ", ".join(said) or None
