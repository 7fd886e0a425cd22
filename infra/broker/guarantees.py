"""What each part of the topology guarantees, and where that depends on the broker's version.

What is said of 3.10 was tried with this code, of 4.0 and 4.3 with prototypes (docs/adr/0002, 0003); the rest is
RabbitMQ's documentation: "Classic Queues", "Quorum Queues", "Dead Letter Exchanges", "Consumers", "Consumer Prefetch",
the list of deprecated features and the release notes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Final, NamedTuple

Version = tuple[int, int]

_OLDEST: Final = (3, 10)
_VERSION: Final = re.compile(r"(\d+)\.(\d+)(\D|$)")


def version_of(text: str) -> Version:
    """Major and minor of a version such as ``3.10.8`` or ``4.3``.

    Raises:
        ValueError: it is none, or one from before what this was written for.
    """
    found = _VERSION.match(text)
    if found is None:
        raise ValueError(f"{text!r} is no version of RabbitMQ; allowed is 3.10 or later, such as 4.3")
    version = int(found[1]), int(found[2])
    if version < _OLDEST:
        raise ValueError(f"RabbitMQ {text} is too old; allowed is 3.10 or later")
    return version


class Guarantee(NamedTuple):
    """One point, about exchanges, queues or something else.

    Attributes:
        kind: ``exchange``, ``queue`` or nothing, where it is about a subject of its own.
        about: names, with ``*``.
        point: in a word or two.
        says: from which version on what holds, oldest first. None: nothing to be said any more.
    """

    kind: str
    about: tuple[str, ...]
    point: str
    says: tuple[tuple[Version, str | None], ...]

    def holds(self, version: Version) -> str | None:
        """What holds for a version."""
        return next((text for since, text in reversed(self.says) if since <= version), None)

    def changes(self, version: Version) -> Iterator[tuple[str, str]]:
        """What holds for other versions, and from when on."""
        held = self.holds(version)
        for since, text in self.says:
            if text != held:
                yield _until(self.says, since), text or "does not matter any more"

    def is_about(self, kind: str, name: str) -> bool:
        """Whether it concerns an exchange, a queue or a subject."""
        return kind == self.kind and any(fnmatchcase(name, pattern) for pattern in self.about)


def _until(says: tuple[tuple[Version, str | None], ...], since: Version) -> str:
    later = [version for version, _ in says if version > since]
    first = "" if since == _OLDEST else f"from {_dotted(since)} on"
    return first if not later else (f"{first}, " if first else "") + f"before {_dotted(later[0])}"


def _dotted(version: Version) -> str:
    return f"{version[0]}.{version[1]}"


def _always(text: str) -> tuple[tuple[Version, str | None], ...]:
    return ((_OLDEST, text),)


_PUBLISHED: Final = ("events", "tasks")
_TIERS: Final = ("tasks.*",)
_KEPT: Final = ("ingest", "ingest.dead", "dead", "dead.record", "unrouted")
_LADDER: Final = ("delay.*",)

GUARANTEES: Final = (
    Guarantee(
        "exchange",
        _PUBLISHED,
        "unroutable",
        _always("what matches no queue is kept in unrouted, and refused to its publisher (nack)"),
    ),
    Guarantee(
        "exchange",
        ("tasks", "delay.out"),
        "delays",
        _always(
            "topic: what comes down the ladder still has the ladder's key, which a direct exchange matches nowhere"
        ),
    ),
    Guarantee(
        "exchange",
        ("dead", "ingest.dead"),
        "dead letters",
        _always("a queue keeps them for people; what they say is in the log"),
    ),
    Guarantee(
        "exchange",
        ("unrouted", "unrouted.late"),
        "last resort",
        _always("takes everything, whatever its key"),
    ),
    Guarantee(
        "exchange",
        ("delay.*",),
        "way",
        _always("each leads through its queue or past it, to the next; quorum queues and confirms all the way"),
    ),
    Guarantee(
        "queue",
        ("unrouted.refused",),
        "refusal",
        _always("has no room, so that a publisher hears a nack; nothing is ever in it"),
    ),
    Guarantee(
        "queue",
        _TIERS,
        "order",
        _always(
            "strictly by priority among what is ready (x-max-priority); a worker takes one message per child, and more "
            "only while its tasks are short, which it orders itself"
        ),
    ),
    Guarantee(
        "queue",
        _TIERS,
        "starvation",
        _always("the queue itself never raises what waits: low priorities wait as long as higher ones keep coming"),
    ),
    Guarantee(
        "queue",
        _TIERS,
        "disk",
        _always(
            "confirmed means on this node's disk; what is found after a kill is marked as redelivered, delivered or not"
        ),
    ),
    Guarantee(
        "queue",
        _TIERS,
        "replicas",
        (
            ((3, 10), "none, unless a policy mirrors the queue (deprecated): it is away while its node is"),
            (
                (4, 0),
                "none, mirroring is gone: the queue is away while its node is; the log can publish its runs again",
            ),
        ),
    ),
    Guarantee(
        "queue",
        _TIERS,
        "dead-lettering",
        _always("at most once inside the broker; the reason and the end are in the log before the message is rejected"),
    ),
    Guarantee(
        "queue",
        _TIERS,
        "poison",
        _always("the broker has no limit for classic queues; the attempt budget of the worker is one"),
    ),
    Guarantee(
        "queue",
        _TIERS,
        "consumer timeout",
        (
            ((3, 10), "broker-wide (consumer_timeout, 30 min by default), looked at once a minute; closes the channel"),
            ((3, 12), "broker-wide, or by x-consumer-timeout or policy for the queue; closes the channel"),
            ((4, 3), "never looked at for classic queues"),
        ),
    ),
    Guarantee(
        "queue",
        (*_KEPT, *_LADDER),
        "replicas",
        _always("quorum: on several nodes of a cluster, survives the loss of a minority of them"),
    ),
    Guarantee(
        "queue",
        (*_KEPT, *_LADDER),
        "delivery limit",
        (
            ((3, 10), "none by default; ours is stated and never reached"),
            (
                (4, 0),
                "20 by default, past which a message is dropped or dead-lettered; ours is stated and never reached",
            ),
        ),
    ),
    Guarantee(
        "queue",
        ("dead", "ingest.dead", "unrouted"),
        "bounds",
        _always("drops its oldest message past its length or age; the log keeps what it said"),
    ),
    Guarantee(
        "queue",
        ("ingest", *_LADDER),
        "dead-lettering",
        (
            (
                (3, 10),
                "at least once, if the feature flag stream_queue is enabled; without it at most once, and a kill loses",
            ),
            ((4, 0), "at least once; the feature flag it needs is always on"),
        ),
    ),
    Guarantee(
        "queue",
        ("ingest",),
        "overflow",
        _always("has no bound; publishers are slowed by the broker's own flow control"),
    ),
    Guarantee(
        "queue",
        _LADDER,
        "kill",
        _always("3 000 waiting messages and a broker killed: none lost, one or two delivered twice"),
    ),
    Guarantee(
        "queue",
        _LADDER,
        "cycles",
        (
            ((3, 10), "a message that keeps x-death is dropped in silence on its second pass; ours is stripped"),
            ((4, 0), "a message may pass again; x-death is stripped all the same (4.0.0 still drops)"),
        ),
    ),
    Guarantee(
        "queue", _LADDER, "delay", _always("whole seconds, rounded up, at most 36 h 24 min; never early; priority kept")
    ),
    Guarantee(
        "",
        ("consumers",),
        "prefetch",
        (
            ((3, 10), "a limit per channel (global) exists; ours is per consumer"),
            (
                (4, 0),
                "a limit per channel is deprecated and counts per consumer: a worker of four queues holds four times",
            ),
            ((4, 3), "a limit per channel may be refused; ours is per consumer"),
        ),
    ),
    Guarantee(
        "",
        ("consumers",),
        "queues of Celery's own",
        (
            (
                (3, 10),
                "transient queues that are not exclusive are allowed; we have none (no remote control, no gossip)",
            ),
            (
                (4, 3),
                "transient queues that are not exclusive are refused; we have none (no remote control, no gossip)",
            ),
        ),
    ),
    Guarantee(
        "",
        ("publishers",),
        "alarms",
        _always(
            "the broker stops reading from publishers; ours give up after their timeout and try again from the store"
        ),
    ),
    Guarantee(
        "",
        ("instead of classic tiers",),
        "quorum tiers",
        (
            ((3, 10), "no choice: quorum queues have no priorities"),
            ((4, 0), "no choice: quorum queues know two classes of priority"),
            (
                (4, 3),
                "possible and safer: priorities 0 to 31 without x-max-priority, which is refused; drain it first",
            ),
        ),
    ),
)

SUBJECTS: Final = ("consumers", "publishers", "instead of classic tiers")
"""What guarantees are about beside exchanges and queues."""
