"""The crosswalk: CSV files in `IDENTITY_PATH` with the asset of each listing."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

from sqlalchemy import Connection, delete, select, text, tuple_
from sqlalchemy.dialects.postgresql import insert

from shared.errors import ConfigurationError
from shared.model.catalogue import LISTING_SOURCES
from shared.schema.identity import crosswalk
from worker.database.locks import lock_identity
from worker.identity.resolver.evidence import Ref
from worker.ingest.batch.apply_decisions import decide_listings

HEADER = ["source", "external_id", "asset"]

# Rows that differ between files and table, or are missing in one of them, in one statement.
FIND_DIFFERENCES = text("""
SELECT source, external_id, f.asset
FROM unnest(CAST(:sources AS text[]), CAST(:external_ids AS text[]), CAST(:assets AS text[]))
  AS f (source, external_id, asset)
FULL JOIN crosswalk AS c USING (source, external_id)
WHERE f.asset COLLATE "C" IS DISTINCT FROM c.asset
""")


def read_crosswalk(folder: Path) -> dict[Ref, str]:
    """Read all `*.csv` files of the folder; an empty folder means an empty crosswalk.

    Raises:
        ConfigurationError: the folder or a file cannot be read, or a line is invalid; the message
            names file and line.
    """
    try:
        files = sorted(file for file in folder.iterdir() if file.match("*.csv"))
    except OSError as exc:
        # Reading a missing folder as an empty one would revoke every line of the crosswalk.
        raise ConfigurationError(
            f"IDENTITY_PATH is {str(folder)!r}: {exc.strerror}; expected a folder of crosswalk "
            "files; for no crosswalk, set it to an empty folder"
        ) from exc
    found: dict[Ref, tuple[str, str]] = {}
    for file in files:
        for line, (source, external_id, asset) in _read_file(file):
            where = f"{file}, line {line}"
            first_asset, first = found.setdefault((source, external_id), (asset, where))
            if first_asset != asset:
                raise ConfigurationError(
                    f"{where}: {source} {external_id!r} is {asset!r} here, but {first_asset!r} at "
                    f"{first}"
                )
    return {ref: asset for ref, (asset, _) in found.items()}


def _read_file(file: Path) -> Sequence[tuple[int, list[str]]]:
    try:
        content = file.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        line = exc.object[: exc.start].count(b"\n") + 1
        raise ConfigurationError(f"{file}, line {line}: not UTF-8") from exc
    except OSError as exc:
        raise ConfigurationError(f"{file}: {exc.strerror}") from exc
    reader = csv.reader(content.splitlines(), strict=True)
    rows: list[tuple[int, list[str]]] = []
    try:
        for row in reader:
            cells = [cell.strip() for cell in row]
            if reader.line_num == 1:
                if cells != HEADER:
                    raise ConfigurationError(
                        f"{file}, line 1: {','.join(cells)!r}: expected the header "
                        f"{','.join(HEADER)!r}"
                    )
            elif any(cells):
                _check_row(cells, f"{file}, line {reader.line_num}")
                rows.append((reader.line_num, cells))
    except csv.Error as exc:
        raise ConfigurationError(f"{file}, line {reader.line_num}: {exc}") from exc
    if not reader.line_num:
        raise ConfigurationError(f"{file}, line 1: expected the header {','.join(HEADER)!r}")
    return rows


def _check_row(cells: Sequence[str], where: str) -> None:
    if len(cells) != len(HEADER):
        raise ConfigurationError(f"{where}: {len(cells)} cells; expected {len(HEADER)}")
    for column, cell in zip(HEADER, cells, strict=True):
        if not cell or "\0" in cell:
            raise ConfigurationError(f"{where}: {column} is empty or contains a NUL")
    if cells[0] not in LISTING_SOURCES:
        raise ConfigurationError(
            f"{where}: {cells[0]!r} is not a source; expected one of {', '.join(LISTING_SOURCES)}"
        )


def apply_crosswalk(conn: Connection, lines: Mapping[Ref, str]) -> int:
    """Update the table `crosswalk` from the lines of the files; return how many rows changed.

    Identity decides again for the listings of changed rows, and of the same crosswalk assets, in
    the same transaction and under the identity lock. Without differences no lock is taken.
    """
    if not _find_differences(conn, lines):
        return 0
    lock_identity(conn)
    differences = _find_differences(conn, lines)
    if not differences:
        return 0
    key = tuple_(crosswalk.c.source, crosswalk.c.external_id)
    refs = list(differences)
    assets = {asset for asset in differences.values() if asset is not None}
    assets.update(conn.scalars(select(crosswalk.c.asset).where(key.in_(refs))))
    affected = _refs_of(conn, assets)
    removed = [ref for ref, asset in differences.items() if asset is None]
    conn.execute(delete(crosswalk).where(key.in_(removed)))
    rows = [
        {"source": source, "external_id": external_id, "asset": asset}
        for (source, external_id), asset in differences.items()
        if asset is not None
    ]
    if rows:
        stmt = insert(crosswalk).values(rows)
        conn.execute(
            stmt.on_conflict_do_update(
                index_elements=["source", "external_id"], set_={"asset": stmt.excluded.asset}
            )
        )
    decide_listings(conn, {*refs, *affected})
    return len(differences)


def _find_differences(conn: Connection, lines: Mapping[Ref, str]) -> dict[Ref, str | None]:
    columns = {
        "sources": [source for source, _ in lines],
        "external_ids": [external_id for _, external_id in lines],
        "assets": list(lines.values()),
    }
    rows = conn.execute(FIND_DIFFERENCES, columns)
    return {(row.source, row.external_id): row.asset for row in rows}


def _refs_of(conn: Connection, assets: set[str]) -> set[Ref]:
    stmt = select(crosswalk.c.source, crosswalk.c.external_id)
    rows = conn.execute(stmt.where(crosswalk.c.asset.in_(assets)))
    return {(row.source, row.external_id) for row in rows}
