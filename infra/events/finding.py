"""What verifying finds: what is wrong, where, and how much was looked at."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from infra.event_store.log import Log
from infra.events.seal import GENESIS


class Fault(StrEnum):
    """What is wrong."""

    ALTERED = "altered"
    """The event at the position is not the one that was sealed."""
    REMOVED = "removed"
    """The event that was sealed at the position is not there."""
    INSERTED = "inserted"
    """There is an event at the position that was not there when its stretch was sealed."""
    SEAL = "seal"
    """A seal does not follow from the one before, or does not say what it said when it was made."""
    SIGNATURE = "signature"
    """A seal was not signed with the key."""
    HEAD = "head"
    """A head that was published is not one of the log's seals."""


class Finding(NamedTuple):
    """Something that is wrong.

    Attributes:
        log: in which log.
        fault: what it is.
        position: of which event; of a seal, up to where it covers.
        text: the same for people.
    """

    log: Log
    fault: Fault
    position: int
    text: str


class Head(NamedTuple):
    """The end of a log's seals as it was published once."""

    log: Log
    position: int
    hash: bytes

    @classmethod
    def parse(cls, text: str) -> Head:
        """From ``LOG:POSITION:HASH``.

        Raises:
            ValueError: it is none.
        """
        try:
            log, position, hash_ = text.strip().split(":")
            head = cls(Log(log), int(position), bytes.fromhex(hash_))
        except ValueError:
            raise ValueError(f"{text!r} is no head; one looks like tasks:1000:<64 hexadecimal digits>") from None
        if len(head.hash) != len(GENESIS):
            raise ValueError(f"{text!r} is no head: its hash has {len(head.hash)} bytes and not {len(GENESIS)}")
        return head

    @property
    def text(self) -> str:
        """``LOG:POSITION:HASH``."""
        return f"{self.log.value}:{self.position}:{self.hash.hex()}"


class Verified(NamedTuple):
    """What became of verifying a log.

    Attributes:
        log: which.
        seals: how many seals it has.
        events: how many events they cover.
        upto: up to where they cover it; 0: it has none.
        unsealed: how many newer events are final and wait to be sealed; None: this is not the log itself.
        is_signed: whether its newest seal has a signature.
        findings: what is wrong, in order of position.
        heads: the published heads that were looked for.
        dropped: of the events, how many were dropped with their part of the log: verified by what is kept of them.
    """

    log: Log
    seals: int
    events: int
    upto: int
    unsealed: int | None
    is_signed: bool
    findings: list[Finding]
    heads: list[Head]
    dropped: int = 0
