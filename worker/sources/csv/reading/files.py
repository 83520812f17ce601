"""The files under a path: found, named, and told from their later versions."""

import glob
import hashlib
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from shared.errors import SourceError
from worker.sources.csv.declaration import HEADING

SUFFIXES = {".csv", ".tsv"}
"""What is read of a folder; a glob says for itself."""

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
    return Path(os.path.abspath(path))  # noqa: PTH100 -- takes out `..`, and follows no link


def family_of(path: Path, declared: Mapping[str, Any]) -> str:
    """Name the files whose rows should have one shape: those of a folder and name, digits apart.

    What is declared of the header makes the headers: rows under another one are no drift of these.
    """
    name = _DIGITS.sub("#", shown_path(Path(path.parent.name, path.name)))
    heading = {key: declared[key] for key in HEADING if key in declared}
    return f"{name} ({digest_of(heading)[:8]})" if heading else name


def digest_of(declared: Mapping[str, Any]) -> str:
    told = msgspec.json.encode(declared, order="deterministic")
    return hashlib.sha256(told).hexdigest()[:16]


def shown_path(path: Path) -> str:
    """Write a path as text that can be stored, also where its name is not UTF-8."""
    return os.fsencode(path).decode(errors="backslashreplace")


def version_of(stat: os.stat_result, declared: Mapping[str, Any]) -> dict[str, Any]:
    """Say by what a file is known to be the one that was read, without reading it."""
    return {
        "size": stat.st_size,
        "mtime_ns": stat.st_mtime_ns,
        "ctime_ns": stat.st_ctime_ns,  # who sets the other back cannot set this one
        "inode": stat.st_ino,
        "declared": digest_of(declared) if declared else None,
    }


def join_refusals(refused: Sequence[SourceError], count: int) -> SourceError:
    if len(refused) == 1 and count == 1:
        return refused[0]
    codes = [each.code for each in refused]
    graver = [code for code in codes if code != "unfinished_row"]
    said = f"csv: {len(refused)} of {count} files refused, the others are read"
    return SourceError(
        "\n".join([said, *map(str, refused)]),
        code=(graver or codes)[0],
        brief="; ".join([said, *(each.brief for each in refused)]),
    )
