"""Verifying: compares a log with its seals, and names what was altered, removed or inserted."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from infra.event_store.log import Log
from infra.events.finding import Fault, Finding, Head, Verified
from infra.events.seal import GENESIS, KEPT_BYTES, Leaf, Seal, pack
from infra.events.seals import FIRST_POSITION, SealTable


def verify(
    seals: SealTable,
    log: Log,
    *,
    key: bytes | None = None,
    heads: Sequence[Head] = (),
    tell: Callable[[Seal], None] = lambda _seal: None,
) -> Verified:
    """Compute every seal of a log again from the rows, and from the digests of those that were dropped.

    Args:
        seals: where they are.
        log: which log.
        key: what seals are signed with; None: signatures are not checked.
        heads: what was published once; those of other logs are passed over.
        tell: called after every seal.
    """
    blocks = _Blocks(seals, log)
    found = verify_blocks(log, blocks, key=key, heads=heads, tell=tell)
    unsealed = seals.count(log, after=found.upto, upto=seals.safe_position(log))
    return found._replace(unsealed=unsealed, dropped=blocks.dropped)


def verify_blocks(
    log: Log,
    blocks: Iterable[tuple[Seal, Sequence[Leaf]]],
    *,
    key: bytes | None = None,
    heads: Sequence[Head] = (),
    is_whole: bool = True,
    tell: Callable[[Seal], None] = lambda _seal: None,
) -> Verified:
    """Compute seals again, each from its events.

    Args:
        log: whose seals they are.
        blocks: each seal, in order, and the events of its stretch.
        key: what they are signed with; None: signatures are not checked.
        heads: what was published once; those of other logs are passed over.
        is_whole: whether these are all seals of the log; if not, what was before them and heads beyond are passed over.
        tell: called after every seal.
    """
    findings: list[Finding] = []
    known: set[Head] = set()
    first: Seal | None = None
    last: Seal | None = None
    signed_before = False
    count = events = 0
    for seal, leaves in blocks:
        if last is not None or is_whole or seal.number == 1:
            findings += _chain(seal, last)
        findings += _rows(seal, leaves)
        if key is not None:
            findings += _signature(seal, key, is_signed_before=signed_before)
        signed_before |= seal.signature is not None
        known.add(Head(log, seal.upto_position, seal.hash))
        first, last, count, events = first or seal, seal, count + 1, events + seal.event_count
        tell(seal)
    if key is not None and last is not None and not signed_before:
        findings.append(Finding(log, Fault.SIGNATURE, last.upto_position, "no seal is signed, and there is a key"))
    of_log = dict.fromkeys(head for head in heads if head.log is log)
    looked_for = [head for head in of_log if is_whole or _covers(first, last, head)]
    findings += [_missing(head) for head in looked_for if head not in known]
    upto, is_signed = (last.upto_position, last.signature is not None) if last else (0, False)
    return Verified(log, count, events, upto, None, is_signed, findings, looked_for)


class _Blocks:
    """The seals of a log, each with the leaves of what is under it; counts those that were dropped."""

    def __init__(self, seals: SealTable, log: Log) -> None:
        self._seals = seals
        self._log = log
        self.dropped = 0

    def __iter__(self) -> Iterator[tuple[Seal, list[Leaf]]]:
        has_dropped = self._seals.has_dropped(self._log)
        for seal in self._seals.all(self._log):
            # No event stands before the first one either.
            after = FIRST_POSITION if seal.number == 1 else seal.after_position
            leaves = self._seals.leaves(self._log, after=after, upto=seal.upto_position)
            yield seal, self._with_dropped(seal, leaves) if has_dropped else leaves

    def _with_dropped(self, seal: Seal, leaves: list[Leaf]) -> list[Leaf]:
        """What is there counts: an event that was put back must be the one that was dropped."""
        there = {leaf.position for leaf in leaves}
        dropped = [leaf for leaf in self._seals.dropped(seal) if leaf.position not in there]
        self.dropped += len(dropped)
        return sorted([*leaves, *dropped])


def _covers(first: Seal | None, last: Seal | None, head: Head) -> bool:
    return first is not None and last is not None and first.after_position < head.position <= last.upto_position


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
