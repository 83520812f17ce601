"""Records in a Parquet file: written, made durable, read back; needs the extra `parquet`."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from hashlib import file_digest, sha256
from importlib.util import find_spec
from itertools import count
from operator import itemgetter
from pathlib import Path
from typing import Any
from uuid import uuid4

from shared.errors import ArchiveError, ConfigurationError
from worker.maintenance.prune.files import sync_folder


@dataclass(frozen=True, slots=True)
class Layout:
    """The columns of an archive and their types, by the names of pyarrow's functions.

    `payload` is the column whose SHA-256 begins with what is in `payload_hash`.
    """

    columns: Mapping[str, str]

    @property
    def names(self) -> Sequence[str]:
        return tuple(self.columns)

    @property
    def hashed(self) -> Callable[[Sequence[Any]], tuple[Any, Any]]:
        """What takes the payload and its hash out of a row."""
        return itemgetter(self.names.index("payload"), self.names.index("payload_hash"))


RAW_RECORDS = Layout(
    {
        "external_id": "string",
        "observed_at": "timestamp",
        "payload_hash": "binary",
        "run_id": "int32",
        "ingested_at": "timestamp",
        "payload": "string",
    }
)

REJECTS = Layout(
    {
        "id": "int64",
        "external_id": "string",
        "position": "string",
        "reasons": "string",
        "payload": "binary",
        "payload_hash": "binary",
        "first_run_id": "int32",
        "last_run_id": "int32",
        "times_seen": "int64",
        "first_seen_at": "timestamp",
        "last_seen_at": "timestamp",
        "resolved_at": "timestamp",
        "dismissed_by": "string",
        "dismissed_reason": "string",
    }
)


def require_parquet() -> None:
    """Check that archives can be written.

    Raises:
        ConfigurationError: pyarrow is not installed.
    """
    if find_spec("pyarrow") is None:
        raise ConfigurationError(
            "pyarrow, which writes Parquet, is not installed; install kasparro-etl[parquet], or "
            "say --drop to keep no copy"
        )


def write_archive(
    parts: Iterable[Sequence[Sequence[Any]]],
    folder: Path,
    name: str,
    layout: Layout = RAW_RECORDS,
) -> tuple[Path, bytes]:
    """Write records, some at a time, to a new file; return it and its SHA-256.

    The file has its name once all of it is on the disk and was read back. None is overwritten: one
    that holds the same records, from a time that was cut off, is taken instead.

    Raises:
        ArchiveError: it cannot be written, or what is read back is not what was written.
    """
    partial = folder / f".{name}.{uuid4().hex}.partial"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return _publish(partial, _write(partial, parts, layout), name, layout)
    except OSError as exc:
        raise ArchiveError(f"{name}: not archived: {exc}") from exc
    finally:
        with suppress(NotADirectoryError):
            partial.unlink(missing_ok=True)


def _publish(partial: Path, written: bytes, name: str, layout: Layout) -> tuple[Path, bytes]:
    """Give the file its name, once it holds what was written."""
    folder = partial.parent
    if _digest_of(partial, layout) != written:
        raise ArchiveError(
            f"{name}: not archived: what was read back is not what was written, or a payload is "
            "not the one that was hashed; `worker verify` tells"
        )
    for number in count(1):
        file = folder / (f"{name}.parquet" if number == 1 else f"{name}.{number}.parquet")
        if not file.exists():
            os.link(partial, file)  # unlike a rename, refuses to replace
            break
        if _digest_of(file, layout) == written:
            break
    sync_folder(folder)
    with file.open("rb") as archive:
        return file.absolute(), file_digest(archive, "sha256").digest()


def _write(file: Path, parts: Iterable[Sequence[Sequence[Any]]], layout: Layout) -> bytes:
    """Write the file and see it to the disk; return the digest of its records."""
    # Here and not above: it is optional, and large.
    import pyarrow  # type: ignore[import-untyped]  # noqa: PLC0415
    from pyarrow.parquet import ParquetWriter  # type: ignore[import-untyped]  # noqa: PLC0415

    instant = pyarrow.timestamp("us", "UTC")
    types = [
        instant if kind == "timestamp" else getattr(pyarrow, kind)()
        for kind in layout.columns.values()
    ]
    schema = pyarrow.schema(list(zip(layout.names, types, strict=True)))
    digest = sha256()
    with file.open("xb") as sink:
        with ParquetWriter(sink, schema, compression="zstd") as writer:
            for rows in parts:
                for row in rows:
                    digest.update(_line(row))
                arrays = [
                    pyarrow.array([row[place] for row in rows], type=kind)
                    for place, kind in enumerate(types)
                ]
                writer.write_table(pyarrow.Table.from_arrays(arrays, schema=schema))
        sink.flush()
        os.fsync(sink.fileno())
    return digest.digest()


def read_archive(file: Path, layout: Layout = RAW_RECORDS) -> Iterator[tuple[Any, ...]]:
    """Yield the records of an archive, in the order in which they were written."""
    from pyarrow.parquet import ParquetFile  # noqa: PLC0415

    with ParquetFile(file) as archive:
        for group in range(archive.num_row_groups):
            table = archive.read_row_group(group, columns=list(layout.names))
            yield from zip(*(column.to_pylist() for column in table.columns), strict=True)


def _digest_of(file: Path, layout: Layout) -> bytes:
    """Return the digest of an archive's records; none where a payload is not its hash.

    Nor of a file that is no archive: one that broke off, or somebody else's.
    """
    from pyarrow import ArrowException  # noqa: PLC0415

    digest = sha256()
    hashed = layout.hashed
    try:
        for row in read_archive(file, layout):
            if not _is_sound(*hashed(row)):
                return b""
            digest.update(_line(row))
    except (ArrowException, AttributeError, LookupError, TypeError, ValueError):
        return b""
    return digest.digest()


def _is_sound(payload: str | bytes, payload_hash: bytes) -> bool:
    """Whether a payload is the one that was hashed."""
    received = payload.encode() if isinstance(payload, str) else payload
    return sha256(received).digest()[: len(payload_hash)] == payload_hash


def _line(row: Sequence[Any]) -> bytes:
    return f"{[_plain(value) for value in row]!r}\n".encode(errors="surrogatepass")


def _plain(value: Any) -> Any:
    """Give a value as it reads whether it comes from Postgres or from the file."""
    if isinstance(value, datetime):
        return value.timestamp()
    return bytes(value) if isinstance(value, memoryview) else value
