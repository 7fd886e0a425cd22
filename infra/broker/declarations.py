"""The parts a topology is made of, and their form in RabbitMQ's definitions file.

Arguments are chosen so that RabbitMQ 3.10 and 4.3 take them alike:

- The queue type is always stated: a virtual host may have another default.
- Quorum queues have a delivery limit of 20 since 4.0 (none before, and -1 means something else there), past which a
  message is dropped or dead-lettered. Here redelivery is not a reason to lose a message, so a limit that is never
  reached is stated.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final, Literal

_NEVER_REACHED: Final = 2**31 - 1
_LAST_OF_ALL: Final = -1

Arguments = Mapping[str, str | int]
Destination = Literal["queue", "exchange"]


@dataclass(frozen=True)
class Exchange:
    """A durable exchange."""

    name: str
    kind: Literal["topic", "fanout", "direct"]
    purpose: str
    alternate: str | None = None
    """Where messages go that match no binding."""

    @property
    def arguments(self) -> dict[str, str | int]:
        """As the broker takes them."""
        return {} if self.alternate is None else {"alternate-exchange": self.alternate}


@dataclass(frozen=True)
class Queue:
    """A durable queue."""

    name: str
    purpose: str
    arguments: Arguments = field(hash=False)


@dataclass(frozen=True)
class Binding:
    """From an exchange to a queue or to another exchange."""

    source: str
    destination: str
    key: str = ""
    kind: Destination = "queue"


@dataclass(frozen=True)
class Policy:
    """A name for queues that do the same thing, shown beside each in the management UI, and what is set for them.

    Only what decides nothing about messages belongs here: that stands in the queues' own arguments, which nobody can
    change in passing.
    """

    name: str
    pattern: str
    purpose: str
    definition: Mapping[str, str] = field(hash=False)

    @property
    def settings(self) -> dict[str, Any]:
        """As the broker takes them; any other policy for the same queue counts before this one."""
        return {
            "pattern": self.pattern,
            "apply-to": "queues",
            "definition": dict(self.definition),
            "priority": _LAST_OF_ALL,
        }


@dataclass(frozen=True)
class Topology:
    """Everything that has to stand on the broker, in the order in which it can be declared."""

    exchanges: tuple[Exchange, ...]
    queues: tuple[Queue, ...]
    bindings: tuple[Binding, ...]

    def __add__(self, other: Topology) -> Topology:
        return Topology(
            exchanges=self.exchanges + other.exchanges,
            queues=self.queues + other.queues,
            bindings=self.bindings + other.bindings,
        )


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """How much a queue keeps. What is over is dropped from its head, oldest first."""

    messages: int
    age: timedelta
    bytes: int | None = None

    @property
    def arguments(self) -> dict[str, str | int]:
        """As the broker takes them."""
        limits: dict[str, str | int] = {
            "x-max-length": self.messages,
            "x-message-ttl": milliseconds(self.age),
            "x-overflow": "drop-head",
        }
        return limits if self.bytes is None else {**limits, "x-max-length-bytes": self.bytes}


def quorum(name: str, purpose: str, *, bounds: Bounds | None = None, **arguments: str | int) -> Queue:
    """A replicated queue on disk. Further arguments by their names without ``x-``, underscores for hyphens."""
    stated = {f"x-{key.replace('_', '-')}": value for key, value in arguments.items()}
    limits = {} if bounds is None else bounds.arguments
    return Queue(name, purpose, {"x-queue-type": "quorum", "x-delivery-limit": _NEVER_REACHED, **limits, **stated})


def classic(name: str, purpose: str, **arguments: str | int) -> Queue:
    """A queue on one node, the only type that orders by ``x-max-priority``. Arguments as in :func:`quorum`."""
    stated = {f"x-{key.replace('_', '-')}": value for key, value in arguments.items()}
    return Queue(name, purpose, {"x-queue-type": "classic", **stated})


def milliseconds(duration: timedelta) -> int:
    """The unit in which the broker counts."""
    return duration // timedelta(milliseconds=1)


def definitions_of_topology(topology: Topology, *, vhost: str) -> dict[str, Any]:
    """The topology as parts of a definitions file (RabbitMQ documentation, "Definition Export and Import")."""
    return {
        "exchanges": [
            {
                "name": exchange.name,
                "vhost": vhost,
                "type": exchange.kind,
                "durable": True,
                "auto_delete": False,
                "internal": False,
                "arguments": exchange.arguments,
            }
            for exchange in topology.exchanges
        ],
        "queues": [
            {
                "name": queue.name,
                "vhost": vhost,
                "durable": True,
                "auto_delete": False,
                "arguments": dict(queue.arguments),
            }
            for queue in topology.queues
        ],
        "bindings": [
            {
                "source": binding.source,
                "vhost": vhost,
                "destination": binding.destination,
                "destination_type": binding.kind,
                "routing_key": binding.key,
                "arguments": {},
            }
            for binding in topology.bindings
        ],
    }
