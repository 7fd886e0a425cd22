"""What a seal says, and how it is computed: see docs/adr/0012-seals.md."""

from __future__ import annotations

import hashlib
import hmac
import struct
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

from infra.event_store.log import Log

GENESIS: Final = bytes(32)
"""What the first seal of a log has as its predecessor's hash."""
KEPT_BYTES: Final = 8
"""How much of an event's digest a seal keeps, to name the event; the seal's hash covers all 32 bytes."""
_DOMAIN: Final = b"\x01ledgerq seal 1\x00"
_HEADER: Final = struct.Struct(">qqqqq")
_LEAF: Final = struct.Struct(f">q{KEPT_BYTES}s")
_WHOLE_LEAF: Final = struct.Struct(">q32s")
LEAF_BYTES: Final = _LEAF.size
"""How much a seal keeps of an event: its position and a part of its digest."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

# Made by the database, so that 32 bytes travel instead of a row. Unambiguous: all parts but the last four have a fixed
# length, and no text of PostgreSQL's and no JSON holds a NUL. Text of jsonb is canonical: it does not depend on how
# the value was written. The binary forms of times hold for every time the column can, infinity too.
LEAF_SQL: Final = r"""
    sha256('\x00'::bytea || int8send(position) || int8send(version) || uuid_send(event_id)
        || timestamptz_send(occurred_at) || timestamptz_send(recorded_at)
        || convert_to(stream_id, 'UTF8') || '\x00'::bytea || convert_to(name, 'UTF8') || '\x00'::bytea
        || convert_to(data::text, 'UTF8') || '\x00'::bytea || convert_to(metadata::text, 'UTF8'))
"""


class Leaf(NamedTuple):
    """An event's place and its digest (SHA-256, 32 bytes)."""

    position: int
    digest: bytes


class Seal(NamedTuple):
    """A stretch of a log under a hash that covers the seal before it; the columns of ``event_store.seals``."""

    log: Log
    number: int
    after_position: int
    upto_position: int
    leaves: bytes
    previous: bytes
    hash: bytes
    signature: bytes | None
    sealed_at: datetime

    @property
    def head(self) -> str:
        """What to publish: ``LOG:POSITION:HASH``."""
        return f"{self.log.value}:{self.upto_position}:{self.hash.hex()}"

    @property
    def event_count(self) -> int:
        """How many events it covers."""
        return len(self.leaves) // _LEAF.size

    def kept(self) -> dict[int, bytes]:
        """What it keeps of its events' digests, by position."""
        return dict(_LEAF.iter_unpack(self.leaves))

    def agrees_with(self, leaves: Sequence[Leaf]) -> bool:
        """Whether its hash is the one of these events."""
        return hmac.compare_digest(self.hash, _hash(self, leaves))

    def is_signed_with(self, key: bytes) -> bool:
        """Whether its signature was made with the key."""
        return self.signature is not None and hmac.compare_digest(self.signature, _signature(self.hash, key))


def make_seal(
    log: Log, leaves: Sequence[Leaf], *, previous: Seal | None, sealed_at: datetime, key: bytes | None
) -> Seal:
    """The seal over some events.

    Args:
        log: of which log.
        leaves: at least one, in order of position, all that follow ``previous``.
        previous: the seal before; None: this is the first.
        sealed_at: the present.
        key: to sign with; None: it is not signed.
    """
    open_ = Seal(
        log=log,
        number=previous.number + 1 if previous else 1,
        after_position=previous.upto_position if previous else 0,
        upto_position=leaves[-1].position,
        leaves=pack(leaves),
        previous=previous.hash if previous else GENESIS,
        hash=b"",
        signature=None,
        sealed_at=sealed_at,
    )
    hash_ = _hash(open_, leaves)
    return open_._replace(hash=hash_, signature=None if key is None else _signature(hash_, key))


def pack(leaves: Sequence[Leaf]) -> bytes:
    """What a seal keeps of them."""
    return b"".join(_LEAF.pack(leaf.position, leaf.digest[:KEPT_BYTES]) for leaf in leaves)


def pack_whole(leaves: Sequence[Leaf]) -> bytes:
    """Their positions and whole digests, 40 bytes each: what is kept of events that are dropped."""
    return b"".join(_WHOLE_LEAF.pack(*leaf) for leaf in leaves)


def unpack_whole(packed: bytes) -> list[Leaf]:
    """What :func:`pack_whole` has packed."""
    return [Leaf(*each) for each in _WHOLE_LEAF.iter_unpack(packed)]


def _hash(seal: Seal, leaves: Sequence[Leaf]) -> bytes:
    sealed_us = (seal.sealed_at - _EPOCH) // timedelta(microseconds=1)
    header = _HEADER.pack(seal.number, seal.after_position, seal.upto_position, len(leaves), sealed_us)
    digests = b"".join(leaf.digest for leaf in leaves)
    return hashlib.sha256(_DOMAIN + seal.log.value.encode() + b"\x00" + header + seal.previous + digests).digest()


def _signature(hash_: bytes, key: bytes) -> bytes:
    return hmac.digest(key, hash_, "sha256")
