"""Find the files under a path, name them, and recognise whether they changed."""

import glob
import hashlib
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from shared.errors import SourceError
from worker.sources.csv.declaration import HEADER_KEYS

SUFFIXES = {".csv", ".tsv"}
"""Extensions of files that are read from a folder; a glob selects any file but `.toml`."""

_DIGITS = re.compile(r"\d+")


def find_files(path: Path) -> list[Path]:
    if path.is_dir():
        names = [each for each in path.iterdir() if each.suffix.lower() in SUFFIXES]
        found = [each for each in names if not each.name.startswith(".")]
    elif path.exists():
        found = [path]
    else:
        matches = glob.glob(str(path), recursive=True)  # noqa: PTH207 -- may be absolute
        found = [Path(match) for match in matches if not match.endswith(".toml")]
    return [each for each in found if each.is_file()]


def absolute(path: Path) -> Path:
    return Path(os.path.abspath(path))  # noqa: PTH100 -- removes `..` without following links


def family_of(path: Path, declared: Mapping[str, Any]) -> str:
    """Name the files that should have the same shape: same folder and name, except for digits.

    The declaration of the header is part of the name, because it determines the headers. Files with
    different headers are not compared for drift.
    """
    name = _DIGITS.sub("#", printable_path(Path(path.parent.name, path.name)))
    heading = {key: declared[key] for key in HEADER_KEYS if key in declared}
    return f"{name} ({digest_of(heading)[:8]})" if heading else name


def digest_of(declared: Mapping[str, Any]) -> str:
    encoded = msgspec.json.encode(declared, order="deterministic")
    return hashlib.sha256(encoded).hexdigest()[:16]


def printable_path(path: Path) -> str:
    """Format a path as text that Postgres can store, even if it is not UTF-8."""
    return os.fsencode(path).decode(errors="backslashreplace")


def version_of(stat: os.stat_result, declared: Mapping[str, Any]) -> dict[str, Any]:
    """Return attributes that change whenever a file or its declaration changes."""
    return {
        "size": stat.st_size,
        "mtime_ns": stat.st_mtime_ns,
        "ctime_ns": stat.st_ctime_ns,  # cannot be reset by a program, unlike the mtime
        "inode": stat.st_ino,
        "declared": digest_of(declared) if declared else None,
    }


def join_errors(refused: Sequence[SourceError], count: int) -> SourceError:
    """Combine the errors of refused files; an unfinished row is the least serious."""
    if len(refused) == 1 and count == 1:
        return refused[0]
    codes = [each.code for each in refused]
    serious = [code for code in codes if code != "unfinished_row"]
    summary = f"csv: {len(refused)} of {count} files refused, the others are read"
    return SourceError(
        "\n".join([summary, *map(str, refused)]),
        code=(serious or codes)[0],
        brief="; ".join([summary, *(each.brief for each in refused)]),
    )
