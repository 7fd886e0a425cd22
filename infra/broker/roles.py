"""The roles: who may do what on the broker, one user for each, and none with more rights than its process needs.

Found by letting every process run as its user. A pattern is what the broker matches with the name of a resource
(RabbitMQ documentation, "Access Control"):

- ``configure`` is to declare and to delete. Nobody may, what is Celery's own apart: the topology has one owner, who
  applies it as an administrator.
- ``write`` to an exchange is to publish there. A queue's name in it lets nobody publish, but who asks for a queue's
  depth has to have some right to it from RabbitMQ 4.2.7 and 4.3.1 on (4.2.6 and 4.3.0 want ``configure``: release
  notes).
- ``read`` from a queue is to consume, to get and to purge.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from infra.broker.delay import RUNGS, TASKS
from infra.broker.topology import DEAD, DEAD_RECORD, EVENTS, INGEST, INGEST_DEAD, REFUSING, TIERS, UNROUTED

NOTHING: Final = "^$"
"""The pattern that no name matches."""

_CELERY_EVENTS: Final = "celeryev"
"""Exchange of Celery's task events; whoever sends one declares it again (``celery.events.dispatcher``)."""
_EARS: Final = r"celeryev\.[^.]+"
"""The queues of those who listen, each its own (``celery.events.receiver``)."""
_DEFAULT_EXCHANGE: Final = "amq.default"
"""The name by which the broker judges publishing to the exchange without a name."""
_OF_SERVICES: Final = r"^((session|license)\.|task\.requested$|fan_in\.declared$|group\.saved$|signal\.received$)"
"""Routing keys of what services tell; what happened to a run is for workers to tell, log time for ingest."""


@dataclass(frozen=True, kw_only=True)
class Role:
    """One user and its rights.

    Attributes:
        purpose: who logs in as this, and for what.
        configure: pattern of what it may declare and delete.
        write: pattern of the exchanges it may publish to.
        read: pattern of the queues it may take from.
        keys: by exchange, the pattern of the routing keys it may publish there; of others every key.
        tags: what the management API lets it do.
    """

    name: str
    purpose: str
    configure: str = NOTHING
    write: str = NOTHING
    read: str = NOTHING
    keys: Mapping[str, str] = field(default_factory=dict, hash=False)
    tags: tuple[str, ...] = ()

    @property
    def permission(self) -> dict[str, str]:
        """Its rights in the virtual host, as the broker takes them."""
        return {"configure": self.configure, "write": self.write, "read": self.read}


def _any_of(*patterns: str) -> str:
    return f"^({'|'.join(patterns)})$"


def _named(*names: str) -> tuple[str, ...]:
    return tuple(name.replace(".", r"\.") for name in names)


ROLES: Final = (
    Role(
        name="emitter",
        purpose="Services that tell what happened, and ask for tasks.",
        write=_any_of(EVENTS),
        keys={EVENTS: _OF_SERVICES},
    ),
    Role(
        name="client",
        purpose="Services that send tasks with Celery's apply_async, and chords.",
        write=_any_of(TASKS, EVENTS),
        keys={EVENTS: r"^(fan_in\.declared|group\.saved)$"},
    ),
    Role(
        name="ingest",
        purpose="Stores what comes in; sends itself the time, and sets aside what it cannot take.",
        write=_any_of(EVENTS, *_named(INGEST_DEAD)),
        read=_any_of(*_named(INGEST, DEAD_RECORD)),
        keys={EVENTS: r"^ingest\.watermark$"},
    ),
    Role(
        name="dispatch",
        purpose="Publishes runs to their tiers, as far as those have room.",
        write=_any_of(TASKS, TIERS),
    ),
    Role(
        name="worker",
        purpose="Takes runs from the tiers, tells what happened to them, and puts off what waits.",
        configure=_any_of(_CELERY_EVENTS),
        write=_any_of(EVENTS, TASKS, RUNGS, _CELERY_EVENTS),
        read=_any_of(TIERS),
        keys={EVENTS: r"^(task\.lifecycle|fan_in\.declared|group\.saved)$"},
    ),
    Role(name="scheduler", purpose="Works in the log alone: may log in, and nothing else."),
    Role(
        name="operator",
        purpose="People: look, take out, purge, fill `dead` again, publish again what is nowhere.",
        write=_any_of(EVENTS, TASKS, RUNGS, *_named(_DEFAULT_EXCHANGE)),
        read=_any_of(TIERS, RUNGS, *_named(INGEST, INGEST_DEAD, DEAD, DEAD_RECORD, UNROUTED)),
        keys={EVENTS: _OF_SERVICES},
        tags=("monitoring",),
    ),
    Role(
        name="tools",
        purpose="Celery's own tools, such as Flower: hear the task events that workers send if they are told to.",
        configure=_any_of(_CELERY_EVENTS, _EARS),
        write=_any_of(_EARS),
        read=_any_of(_CELERY_EVENTS, _EARS),
    ),
    Role(
        name="monitoring",
        purpose="Looks at everything, touches nothing.",
        write=_any_of(TIERS, *_named(INGEST, DEAD_RECORD, REFUSING)),  # queues no exchange shares its name with
        tags=("monitoring",),
    ),
)
"""All of them."""

ROLE: Final = {role.name: role for role in ROLES}
"""By name."""


def user_of(role: str, *, vhost: str) -> str:
    """The role's user. Users belong to the whole broker, so the virtual host is in the name: ``staging.ingest``."""
    return f"ledgerq-{role}" if vhost == "/" else f"{vhost}.{role}"


def definitions_of_roles(*, vhost: str) -> dict[str, Any]:
    """Users, permissions and topic permissions as parts of a definitions file; nobody can log in yet.

    A user whose password has no hash cannot log in (RabbitMQ documentation, "Credentials and Passwords").
    """
    users = [(user_of(role.name, vhost=vhost), role) for role in ROLES]
    return {
        "users": [{"name": user, "password_hash": "", "tags": list(role.tags)} for user, role in users],
        "permissions": [{"user": user, "vhost": vhost, **role.permission} for user, role in users],
        "topic_permissions": [
            {"user": user, "vhost": vhost, **permission}
            for user, role in users
            for permission in topic_permissions(role)
        ],
    }


def topic_permissions(role: Role) -> Iterator[dict[str, str]]:
    """A role's, as the broker takes them."""
    for exchange, keys in role.keys.items():
        yield {"exchange": exchange, "write": keys, "read": NOTHING}
