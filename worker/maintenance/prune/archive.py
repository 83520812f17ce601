"""Archives in Parquet files, written durably and verified; needs the extra `parquet`."""

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
    """The columns of an archive with their types, as names of pyarrow's functions.

    `payload_hash` is the beginning of the SHA-256 of `payload`.
    """

    columns: Mapping[str, str]

    @property
    def names(self) -> Sequence[str]:
        return tuple(self.columns)

    @property
    def hashed(self) -> Callable[[Sequence[Any]], tuple[Any, Any]]:
        """A function that returns the payload and its hash from a row."""
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
            "--archive needs pyarrow, which is not installed; pip install 'kasparro-etl[parquet]', "
            "or use --drop to keep no copy"
        )


def write_archive(
    parts: Iterable[Sequence[Sequence[Any]]],
    folder: Path,
    name: str,
    layout: Layout = RAW_RECORDS,
) -> tuple[Path, bytes]:
    """Write records in parts to a new file; return the file and its SHA-256.

    The file gets its name after it was flushed to the disk and read back. Existing files are never
    overwritten. An existing file with the same records, from a call that was killed, is reused.

    Raises:
        ArchiveError: the file cannot be written, or the records read back differ.
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
    """Verify the file and give it its name."""
    folder = partial.parent
    if _digest_of(partial, layout) != written:
        raise ArchiveError(
            f"{name}: not archived: the records read back differ from those written, or a payload "
            "does not match its hash; run `worker verify`"
        )
    for number in count(1):
        file = folder / (f"{name}.parquet" if number == 1 else f"{name}.{number}.parquet")
        if not file.exists():
            os.link(partial, file)  # unlike a rename, it does not replace an existing file
            break
        if _digest_of(file, layout) == written:
            break
    sync_folder(folder)
    with file.open("rb") as archive:
        return file.absolute(), file_digest(archive, "sha256").digest()


def _write(file: Path, parts: Iterable[Sequence[Sequence[Any]]], layout: Layout) -> bytes:
    """Write the file and flush it to the disk; return the digest of its records."""
    # Imported here because it is optional and large.
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
    """Yield the records of an archive in the order of writing."""
    from pyarrow.parquet import ParquetFile  # noqa: PLC0415

    with ParquetFile(file) as archive:
        for group in range(archive.num_row_groups):
            table = archive.read_row_group(group, columns=list(layout.names))
            yield from zip(*(column.to_pylist() for column in table.columns), strict=True)


def _digest_of(file: Path, layout: Layout) -> bytes:
    """Return the digest of an archive's records.

    Empty if a payload does not match its hash, or if the file is not a complete archive.
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

    received = payload.encode() if isinstance(payload, str) else payload
    return sha256(received).digest()[: len(payload_hash)] == payload_hash


def _line(row: Sequence[Any]) -> bytes:
    return f"{[_plain(value) for value in row]!r}\n".encode(errors="surrogatepass")


def _plain(value: Any) -> Any:
    """Convert a value to a form that is the same for Postgres and Parquet."""
    if isinstance(value, datetime):
        return value.timestamp()
    return bytes(value) if isinstance(value, memoryview) else value
