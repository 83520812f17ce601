"""Exports as Apache Parquet, one row group at a time; needs the extra `parquet` (pyarrow).

Decimals are written as text. Parquet's decimals have at most 38 digits and one scale per column.
Longer values would lose digits, or become floats in most readers.
"""

import io
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from importlib.util import find_spec
from typing import Any

from marshmallow import ValidationError

from api.queries.assets.columns import KINDS

PARQUET = "application/vnd.apache.parquet"


def require_parquet() -> None:
    """Check that Parquet can be written.

    Raises:
        ValidationError: pyarrow is not installed.
    """
    if find_spec("pyarrow") is None:
        reason = "this server cannot write Parquet; install kasparro-etl[parquet], or use csv"
        raise ValidationError({"format": [reason]})


class _Sink(io.RawIOBase):
    """Buffers written bytes until they are taken."""

    def __init__(self) -> None:
        self._written: list[bytes] = []
        self._position = 0

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def write(self, data: Any, /) -> int:
        part = bytes(data)
        self._written.append(part)
        self._position += len(part)
        return len(part)

    def take(self) -> bytes:
        taken = b"".join(self._written)
        self._written.clear()
        return taken


def write_parquet(
    columns: Sequence[str], parts: Iterable[Sequence[Sequence[Any]]]
) -> Iterator[tuple[int, bytes]]:
    """Write each part as a row group, and yield its row count and the bytes of the file."""
    # Imported here because it is optional and large.
    import pyarrow  # type: ignore[import-untyped]  # noqa: PLC0415
    from pyarrow.parquet import ParquetWriter  # type: ignore[import-untyped]  # noqa: PLC0415

    types = {
        str: pyarrow.string(),
        int: pyarrow.int64(),
        bool: pyarrow.bool_(),
        datetime: pyarrow.timestamp("us", "UTC"),
        list: pyarrow.list_(pyarrow.string()),
    }
    schema = pyarrow.schema([(name, types.get(KINDS[name], pyarrow.string())) for name in columns])
    sink = _Sink()
    with ParquetWriter(sink, schema, compression="zstd") as writer:
        for rows in parts:
            arrays = [
                pyarrow.array([row[position] for row in rows], type=field.type)
                for position, field in enumerate(schema)
            ]
            writer.write_table(pyarrow.Table.from_arrays(arrays, schema=schema))
            yield len(rows), sink.take()
    yield 0, sink.take()
