"""Archives: a sealed part of one log as compressed JSON lines, which can be read and verified without a database.

Lines are a beginning, then block by block its events and their seal, then an ending, each an object with a ``kind``.
The digests are computed here from the lines, by other code than the database's.
"""

from __future__ import annotations

import gzip
import hashlib
import struct
import zlib
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any, Final, NamedTuple
from uuid import UUID

import msgspec

from infra.event_store.log import Log
from infra.event_store.log_table import Found
from infra.events.seal import LEAF_BYTES, Leaf, Seal

FORMAT: Final = 1
_LEVEL: Final = 6
"""Of compression: the highest takes more than twice as long for a few hundredths less."""
_FIXED: Final = struct.Struct(">qq16sqq")
_POSTGRES_EPOCH: Final = datetime(2000, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_Bigint = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
_Moment = Annotated[datetime, msgspec.Meta(tz=True)]


class ArchiveUnreadableError(Exception):
    """A file is no archive, or not a whole one."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path} cannot be read as an archive: {reason}")


class Block(NamedTuple):
    """A seal and the events that lie under it, in order."""

    seal: Seal
    events: list[Found]

    @property
    def leaves(self) -> list[Leaf]:
        """The places and digests of the events."""
        return [Leaf(row.position, digest(row)) for row in self.events]


class Beginning(msgspec.Struct, tag_field="kind", tag="archive"):
    """The first line."""

    log: Log
    format: int = FORMAT


class EventLine(msgspec.Struct, tag_field="kind", tag="event"):
    """An event: the columns of its row."""

    position: _Bigint
    stream_id: str
    version: _Bigint
    name: str
    data: msgspec.Raw
    metadata: msgspec.Raw
    event_id: UUID
    occurred_at: _Moment
    recorded_at: _Moment


class SealLine(msgspec.Struct, tag_field="kind", tag="seal"):
    """A seal over the events since the last one; bytes are base64."""

    number: _Bigint
    after_position: _Bigint
    upto_position: _Bigint
    leaves: bytes
    previous: bytes
    hash: bytes
    signature: bytes | None
    sealed_at: _Moment


class Ending(msgspec.Struct, tag_field="kind", tag="end"):
    """The last line: without it the file was cut."""

    events: int
    seals: int


_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(Beginning | EventLine | SealLine | Ending).decode


def write_archive(path: Path, log: Log, blocks: Iterable[Block]) -> Ending:
    """Write a file anew, block by block.

    Raises:
        FileExistsError: there is a file of that name.
        OSError: it cannot be written.
    """
    ending = Ending(0, 0)
    with gzip.GzipFile(path, "xb", compresslevel=_LEVEL, mtime=0) as file:  # the same blocks make the same file
        file.write(_encode(Beginning(log)) + b"\n")
        for block in blocks:
            file.writelines(_encode(_event_line(row)) + b"\n" for row in block.events)
            file.write(_encode(SealLine(*block.seal[1:])) + b"\n")
            ending = Ending(ending.events + len(block.events), ending.seals + 1)
        file.write(_encode(ending) + b"\n")
    return ending


def read_archive(path: Path) -> Iterator[Block]:
    """The blocks of a file, in order; at least one.

    Raises:
        ArchiveUnreadableError: it is no archive, or not a whole one.
    """
    log: Log | None = None
    events: list[Found] = []
    counted, ending = Ending(0, 0), None
    for line in _lines(path):
        match line:
            case _ if ending is not None:
                raise ArchiveUnreadableError(path, f"it has a line after its ending: {line!r:.100}")
            case Beginning() if log is None and line.format == FORMAT:
                log = line.log
            case EventLine() if log is not None:
                events.append(_row(path, line))
            case SealLine() if log is not None:
                if len(line.leaves) % LEAF_BYTES:
                    raise ArchiveUnreadableError(path, f"seal {line.number} was cut")
                yield Block(Seal(log, *msgspec.structs.astuple(line)), events)
                counted = Ending(counted.events + len(events), counted.seals + 1)
                events = []
            case Ending() if not events:
                ending = line
            case _:
                raise ArchiveUnreadableError(path, f"it has a line where none of its kind may be: {line!r:.100}")
    if ending is None or ending != counted:
        raise ArchiveUnreadableError(path, "its end is missing: it was cut, or lines were taken out")
    if not counted.seals:
        raise ArchiveUnreadableError(path, "there is nothing in it")


def digest(row: Found) -> bytes:
    """SHA-256 over every column; the same as :data:`infra.events.seal.LEAF_SQL` gives in the database."""
    times = [(time - _POSTGRES_EPOCH) // _MICROSECOND for time in (row.occurred_at, row.recorded_at)]
    fixed = _FIXED.pack(row.position, row.version, row.event_id.bytes, *times)
    texts = f"{row.stream_id}\x00{row.name}\x00{row.data}\x00{row.metadata}"
    return hashlib.sha256(b"\x00" + fixed + texts.encode()).digest()


def _lines(path: Path) -> Iterator[Beginning | EventLine | SealLine | Ending]:
    try:
        with gzip.open(path, "rb") as file:
            yield from map(_decode, file)
    except (OSError, EOFError, zlib.error, UnicodeDecodeError, msgspec.MsgspecError) as error:
        raise ArchiveUnreadableError(path, str(error)) from error


def _event_line(row: Found) -> EventLine:
    values: dict[str, Any] = row._asdict()
    return EventLine(
        **values | {"data": msgspec.Raw(row.data.encode()), "metadata": msgspec.Raw(row.metadata.encode())}
    )


def _row(path: Path, line: EventLine) -> Found:
    try:
        texts = {"data": bytes(line.data).decode(), "metadata": bytes(line.metadata).decode()}
    except UnicodeDecodeError as error:
        raise ArchiveUnreadableError(path, f"the event at position {line.position} is no text: {error}") from error
    for name, text in texts.items():
        if not text.startswith("{"):
            raise ArchiveUnreadableError(path, f"{name} of the event at position {line.position} is no object")
    return Found(**msgspec.structs.asdict(line) | texts)
