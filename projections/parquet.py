"""Parquet files, by pyarrow, which is an extra: 55 MB to download, and only this needs it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Any, BinaryIO, Final, Self

from projections.dictionary import Column

ROWS_PER_GROUP: Final = 50_000
_DECIMAL: Final = re.compile(r"numeric\((\d+),(\d+)\)")


class ParquetMissingError(Exception):
    """pyarrow is not installed; CSV needs nothing more, and Parquet: ``pip install pyarrow``."""

    def __init__(self) -> None:
        super().__init__(
            "Parquet needs pyarrow, which is not installed: pip install 'pyarrow>=26' (55 MB), or ask for --format csv"
        )


class ParquetFile:
    """Writes rows of a view into an open file, a row group at a time; a context, at whose end comes the file's foot.

    Raises:
        ParquetMissingError: pyarrow is not installed.
    """

    def __init__(self, file: BinaryIO, columns: Sequence[Column]) -> None:
        try:
            import pyarrow as pa  # noqa: PLC0415  half a second, and an extra
            from pyarrow import parquet  # noqa: PLC0415
        except ImportError as error:
            raise ParquetMissingError from error
        self._arrow = pa
        self._schema = pa.schema(
            [
                pa.field(column.name, _type(pa, column.type), metadata={"comment": column.comment or ""})
                for column in columns
            ]
        )
        self._writer = parquet.ParquetWriter(file, self._schema, compression="zstd")

    def write(self, pages: Iterator[Sequence[tuple[Any, ...]]]) -> Iterator[int]:
        """Write pages, each a row group; yields how many rows have been written so far."""
        written = 0
        for page in pages:
            values = [
                self._arrow.array(column, type=field.type)
                for column, field in zip(zip(*page, strict=True), self._schema, strict=True)
            ]
            self._writer.write_batch(self._arrow.record_batch(values, schema=self._schema))
            written += len(page)
            yield written

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        del kind, error, at
        self._writer.close()


def _type(arrow: Any, type_: str) -> Any:
    """The Arrow type of a PostgreSQL type as ``format_type`` names it; text where there is no closer one."""
    if found := _DECIMAL.fullmatch(type_):
        return arrow.decimal128(int(found[1]), int(found[2]))
    types = {
        "boolean": arrow.bool_(),
        "smallint": arrow.int16(),
        "integer": arrow.int32(),
        "bigint": arrow.int64(),
        "double precision": arrow.float64(),
        "date": arrow.date32(),
        "timestamp with time zone": arrow.timestamp("us", tz="UTC"),
    }
    return types.get(type_, arrow.string())
