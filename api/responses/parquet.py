"""Exports as Apache Parquet, written row group by row group; needs the extra `parquet` (pyarrow).

Decimals are text there: Parquet's own hold 38 digits with as many places for every value of a
column, and what does not fit would lose digits, or become a float in most readers.
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
    """Refuse the format where it cannot be written.

    Raises:
        ValidationError: pyarrow is not installed.
    """
    if find_spec("pyarrow") is None:
        reason = "this server cannot write Parquet; install kasparro-etl[parquet], or ask for csv"
        raise ValidationError({"format": [reason]})


class _Sink(io.RawIOBase):
    """Holds what was written until it is taken."""

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
    """Write rows, some at a time as a row group: how many there are, and the bytes of the file."""
    # Here and not above: it is optional, and large.
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
                pyarrow.array([row[place] for row in rows], type=field.type)
                for place, field in enumerate(schema)
            ]
            writer.write_table(pyarrow.Table.from_arrays(arrays, schema=schema))
            yield len(rows), sink.take()
    yield 0, sink.take()
