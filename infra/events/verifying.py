"""Verifying: compares a log with its seals, and names what was altered, removed or inserted."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from enum import StrEnum
from typing import Final, NamedTuple

from infra.event_store.log import Log
from infra.events.seal import GENESIS, KEPT_BYTES, Leaf, Seal, pack
from infra.events.seals import FIRST_POSITION, SealTable


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


class Verified(NamedTuple):
    """What became of verifying a log.

    Attributes:
        log: which.
        seals: how many seals it has.
        events: how many events they cover.
        upto: up to where they cover it; 0: it has none.
        unsealed: how many newer events are final and wait to be sealed.
        is_signed: whether its newest seal has a signature.
        findings: what is wrong, in order of position.
    """

    log: Log
    seals: int
    events: int
    upto: int
    unsealed: int
    is_signed: bool
    findings: list[Finding]


_UNSEALED_FROM: Final = 0


def verify(
    seals: SealTable,
    log: Log,
    *,
    key: bytes | None = None,
    heads: Sequence[Head] = (),
    tell: Callable[[Seal], None] = lambda _seal: None,
) -> Verified:
    """Compute every seal of a log again from the rows.

    Args:
        seals: where they are.
        log: which log.
        key: what seals are signed with; None: signatures are not checked.
        heads: what was published once; those of other logs are passed over.
        tell: called after every seal.
    """
    findings: list[Finding] = []
    missing = dict.fromkeys(head for head in heads if head.log is log)
    last: Seal | None = None
    signed_before = False
    count = events = 0
    for seal in seals.all(log):
        after = seal.after_position if last else FIRST_POSITION  # no event stands before the first one either
        leaves = seals.leaves(log, after=after, upto=seal.upto_position)
        findings += _chain(seal, last)
        findings += _rows(seal, leaves)
        if key is not None:
            findings += _signature(seal, key, is_signed_before=signed_before)
        signed_before |= seal.signature is not None
        missing.pop(Head(log, seal.upto_position, seal.hash), None)
        last, count, events = seal, count + 1, events + seal.event_count
        tell(seal)
    if key is not None and last is not None and not signed_before:
        findings.append(Finding(log, Fault.SIGNATURE, last.upto_position, "no seal is signed, and there is a key"))
    findings += map(_missing, missing)
    upto = last.upto_position if last else _UNSEALED_FROM
    unsealed = seals.count(log, after=upto, upto=seals.safe_position(log))
    return Verified(log, count, events, upto, unsealed, bool(last and last.signature), findings)


def _chain(seal: Seal, last: Seal | None) -> Iterator[Finding]:
    number, upto, hash_ = (last.number, last.upto_position, last.hash) if last else (0, 0, GENESIS)
    if (seal.number, seal.after_position, seal.previous) != (number + 1, upto, hash_):
        before = f"seal {number}" if last else "the log's beginning"
        yield _of_seal(seal, f"does not follow from {before}: a seal was altered, removed or inserted")


def _rows(seal: Seal, leaves: Sequence[Leaf]) -> Iterable[Finding]:
    if seal.agrees_with(leaves):
        if seal.leaves == pack(leaves):
            return []
        return [_of_seal(seal, "keeps other digests than those of its events; the events are as they were sealed")]
    named = list(_named(seal, leaves))
    return named or [_of_seal(seal, "does not say what it said when it was made, or one of its events was altered")]


def _named(seal: Seal, leaves: Sequence[Leaf]) -> Iterator[Finding]:
    sealed, found = seal.kept(), {leaf.position: leaf.digest[:KEPT_BYTES] for leaf in leaves}
    for position in sorted(sealed.keys() | found.keys()):
        if position not in found:
            fault = Fault.REMOVED
        elif position not in sealed:
            fault = Fault.INSERTED
        elif sealed[position] != found[position]:
            fault = Fault.ALTERED
        else:
            continue
        text = f"the event at position {position} was {fault.value} after seal {seal.number} was made"
        yield Finding(seal.log, fault, position, text)


def _signature(seal: Seal, key: bytes, *, is_signed_before: bool) -> Iterator[Finding]:
    if seal.signature is None and is_signed_before:
        yield Finding(
            seal.log, Fault.SIGNATURE, seal.upto_position, f"seal {seal.number} follows signed ones and is not"
        )
    elif seal.signature is not None and not seal.is_signed_with(key):
        text = f"seal {seal.number} was not signed with this key"
        yield Finding(seal.log, Fault.SIGNATURE, seal.upto_position, text)


def _missing(head: Head) -> Finding:
    text = f"no seal ends at position {head.position} with the hash that was published, {head.hash.hex()}"
    return Finding(head.log, Fault.HEAD, head.position, text)


def _of_seal(seal: Seal, text: str) -> Finding:
    where = f"seal {seal.number} (positions after {seal.after_position} up to {seal.upto_position})"
    return Finding(seal.log, Fault.SEAL, seal.upto_position, f"{where} {text}")
