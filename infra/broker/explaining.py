"""``ledgerq topology explain``: the guarantees of what stands, for one version of the broker."""

from __future__ import annotations

from collections.abc import Iterator

from infra.broker.connection import open_amqp
from infra.broker.guarantees import GUARANTEES, SUBJECTS, Guarantee, Version, version_of
from infra.broker.topology import TOPOLOGY
from infra.settings import Settings

__all__ = ["explain", "guarantees_of", "version_of", "version_of_broker"]


def version_of_broker(settings: Settings) -> str:
    """The version the connected broker tells its clients.

    Raises:
        BrokerUnreachableError: there is none.
        BrokerRefusedError: it refuses the login.
    """
    with open_amqp(settings, role="topology") as connection:
        return str(connection.server_properties.get("version", "unknown"))


def explain(version: Version) -> Iterator[str]:
    """Lines for people: each exchange, queue and subject, those with the same guarantees together."""
    parts = [("exchange", exchange.name) for exchange in TOPOLOGY.exchanges]
    parts += [("queue", queue.name) for queue in TOPOLOGY.queues]
    parts += [("", subject) for subject in SUBJECTS]
    for kind, names, found in _groups(parts):
        yield f"{kind} {_joined(names)}".strip()
        for guarantee in found:
            yield from _told(guarantee, version)
        yield ""


def guarantees_of(kind: str, name: str) -> tuple[Guarantee, ...]:
    """What is guaranteed of one exchange, queue or subject."""
    return tuple(guarantee for guarantee in GUARANTEES if guarantee.is_about(kind, name))


def _groups(parts: list[tuple[str, str]]) -> Iterator[tuple[str, list[str], tuple[Guarantee, ...]]]:
    together: dict[tuple[str, tuple[Guarantee, ...]], list[str]] = {}
    for kind, name in parts:
        together.setdefault((kind, guarantees_of(kind, name)), []).append(name)
    for (kind, found), names in together.items():
        yield kind, names, found


def _joined(names: list[str]) -> str:
    few = 4
    return ", ".join(names) if len(names) <= few else f"{names[0]} … {names[-1]}"


def _told(guarantee: Guarantee, version: Version) -> Iterator[str]:
    yield f"  {guarantee.point}: {guarantee.holds(version) or 'nothing'}"
    for when, text in guarantee.changes(version):
        yield f"    {when}: {text}"
