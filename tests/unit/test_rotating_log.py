"""A rotating log: whole lines, none lost at the switch, a limit on all files together."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from shared.embedded.rotating_log import LINE_BYTES, LOG_BYTES, OLDER_FILES, RotatingLog

WRITES_NUMBERED_LINES = """
import os, sys
name, first, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
for number in range(first, first + count):
    os.write(1, f"{name} {number} {'x' * 100}\\n".encode())
"""


def write(log: RotatingLog, *scripts: tuple[str, ...]) -> None:
    """Run programs that write into the log at the same time, and wait for all of it."""
    with log.output() as output:
        running = [
            subprocess.Popen([sys.executable, "-c", WRITES_NUMBERED_LINES, *script], stdout=output)
            for script in scripts
        ]
    for program in running:
        assert program.wait() == 0
    assert log.wait(60)


def files(path: Path) -> list[Path]:
    """Name the log's files, the oldest first."""
    older = [path.with_name(f"{path.name}.{number}") for number in range(OLDER_FILES, 0, -1)]
    return [each for each in (*older, path) if each.exists()]


def test_no_line_is_lost_or_cut_when_two_programs_write_during_a_rotation(tmp_path: Path):
    path = tmp_path / "service.log"

    write(RotatingLog(path), ("a", "0", "12000"), ("b", "0", "12000"))

    kept = files(path)
    assert len(kept) == 3
    assert all(each.stat().st_size <= LOG_BYTES for each in kept)
    lines = [line for each in kept for line in each.read_text().splitlines()]
    for name in "ab":
        numbers = [int(line.split()[1]) for line in lines if line.startswith(name)]
        assert numbers == list(range(12000))


def test_all_files_together_have_a_limit_and_the_newest_lines_are_kept(tmp_path: Path):
    path = tmp_path / "service.log"

    write(RotatingLog(path), ("a", "0", "60000"))

    assert sum(each.stat().st_size for each in tmp_path.iterdir()) <= LOG_BYTES * (OLDER_FILES + 1)
    assert path.read_text().splitlines()[-1].startswith("a 59999 ")


def test_a_second_writer_appends_and_invalid_utf8_is_preserved(tmp_path: Path):
    path = tmp_path / "service.log"
    path.write_bytes(b"from before\n")
    log = RotatingLog(path)
    long = b"y" * (LINE_BYTES + 10)

    with log.output() as output:
        os.write(output, b"\xff\xfe " + "Börse".encode() + b"\r\n" + b"unfinished ")
        os.write(output, long)
    assert log.wait(60)

    assert path.read_bytes() == (
        b"from before\n\xff\xfe " + "Börse".encode() + b"\r\nunfinished " + long
    )


def test_the_next_file_has_the_mode_of_the_previous_one(tmp_path: Path):
    path = tmp_path / "service.log"
    path.touch(mode=0o600)

    write(RotatingLog(path), ("a", "0", "10000"))

    assert [stat.S_IMODE(each.stat().st_mode) for each in files(path)] == [0o600, 0o600]


def test_a_link_in_its_place_is_refused(tmp_path: Path):
    (tmp_path / "service.log").symlink_to(tmp_path / "target")

    with pytest.raises(OSError, match=r"service\.log"):
        RotatingLog(tmp_path / "service.log")
    assert not (tmp_path / "target").exists()
