"""Where the embedded PostgreSQL lives, and which user it runs as.

An ordinary user's server has its data in `.local/postgres` of the project folder and runs as that
user. PostgreSQL refuses to run as root, so root's server runs as `nobody`; where that user cannot
reach the project folder or the packaged server files (a project below a closed home), data and
server files live under `/var/lib/kasparro-etl` instead. No mode and no owner of any folder is
changed but of those that are made here.
"""

import contextlib
import fcntl
import hashlib
import os
import pwd
import re
import stat
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from shared.embedded.programs import (
    RUN_SECONDS,
    SYSTEM_FOLDER,
    group_of,
    make_folder,
    packaged_binaries,
    reachable_binaries,
    run_as,
    user_name,
)
from shared.errors import ConfigurationError

UNPRIVILEGED_USER = "nobody"
PAUSE_SECONDS = 0.05
FIND_SECONDS = 300
"""How long another process may look for a home, for which it may copy the server's files."""
LONGEST_SOCKET_FOLDER = 85
"""A Unix socket's path has room for about 104 bytes; PostgreSQL adds `/.s.PGSQL.5432.lock`."""


@dataclass(frozen=True, slots=True)
class ServerHome:
    """One server's folder, its binaries, and the user it runs as (None: the caller)."""

    folder: Path
    binaries: Path
    user: int | None

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def log(self) -> Path:
        return self.folder / "server.log"

    def create(self) -> None:
        """Make what the server needs around its data; safe to repeat."""
        try:
            make_folder(self.folder, 0o700 if self.user is None else 0o711)
            owner = self.folder.stat().st_uid
            if os.geteuid() not in {owner, 0}:
                raise ConfigurationError(
                    f"{str(self.folder)!r} belongs to {user_name(owner)!r}, who started the "
                    "embedded PostgreSQL first; start as that user, or move the folder away"
                )
            os.close(self.open(self.log))
        except OSError as exc:
            raise _unusable(self.folder, exc) from exc

    def open(self, path: Path) -> int:
        """Open a file of this folder for reading and writing, made where it is missing."""
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        if os.geteuid() == 0:  # in another user's folder, that user opens it next
            folder = path.parent.stat()
            os.fchown(file, folder.st_uid, folder.st_gid)
        return file

    def give(self, path: Path) -> None:
        """Make a file or folder that was made here the server user's own."""
        if self.user is not None:
            os.chown(path, self.user, group_of(self.user), follow_symlinks=False)

    def run(
        self,
        program: str,
        *arguments: str,
        environ: Mapping[str, str] | None = None,
        seconds: float = RUN_SECONDS,
        inherits: Sequence[int] = (),
        output: int = subprocess.PIPE,
    ) -> "subprocess.CompletedProcess[str]":
        """Run one of the server's programs as the server's user, out of the terminal's reach.

        It inherits the open files `inherits`; both its outputs go to the open file `output`.

        Raises:
            ConfigurationError: it has not ended after so many seconds.
        """
        return run_as(
            self.user,
            [str(self.binaries / program), *arguments],
            environ=environ or {},
            seconds=seconds,
            inherits=inherits,
            output=output,
        )

    def socket_folder(self) -> Path:
        """Make and return the folder of the socket, which only the server's user and root enter.

        It stands beside the data unless its path is too long for a socket or holds what a
        connection string cannot; then it is in the temporary folder, under a digest.
        """
        beside = self.folder / "socket"
        fits = len(os.fsencode(beside)) <= LONGEST_SOCKET_FOLDER
        if not fits or not re.fullmatch(r"[\w ./-]+", str(beside), re.ASCII):
            digest = hashlib.sha256(os.fsencode(self.data.absolute())).hexdigest()[:16]
            beside = Path(tempfile.gettempdir()) / f"kasparro-etl-{digest}"
        owner = os.geteuid() if self.user is None else self.user
        try:
            beside.mkdir(mode=0o700)
            self.give(beside)
        except FileExistsError:
            found = beside.lstat()
            if not stat.S_ISDIR(found.st_mode) or found.st_uid != owner or found.st_mode & 0o077:
                raise ConfigurationError(
                    f"{str(beside)!r} is not a folder that {user_name(owner)!r} alone may enter, "
                    "and the embedded PostgreSQL's socket belongs there; remove it"
                ) from None
        except OSError as exc:
            raise _unusable(beside, exc) from exc
        return beside


def possible_folders(project: Path) -> tuple[Path, Path]:
    """Name the two folders that a project's server may live in, the usual one first."""
    digest = hashlib.sha256(os.fsencode(project.resolve())).hexdigest()[:16]
    return project.absolute() / ".local" / "postgres", SYSTEM_FOLDER / digest / "postgres"


def find_home(project: Path) -> ServerHome:
    """Say where the server of a project folder lives; make `.local` where it lives in there.

    Raises:
        ConfigurationError: the server is not installed, or no place or user can be had for it.
    """
    beside, away = possible_folders(project)
    try:
        if os.geteuid() != 0:
            beside.parent.mkdir(exist_ok=True)
            return ServerHome(beside, packaged_binaries(), user=None)
        with _one_at_a_time(project):
            return _root_home(project, beside, away)
    except OSError as exc:
        raise _unusable(beside, exc) from exc


@contextlib.contextmanager
def _one_at_a_time(folder: Path) -> Iterator[None]:
    """Let one process look for a home at a time: half-made folders would mislead another."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if not lock_within(handle, fcntl.LOCK_EX, FIND_SECONDS):
            raise ConfigurationError(
                f"another command has looked in {str(folder)!r} for the embedded PostgreSQL's "
                f"folder for {FIND_SECONDS} s; end it, and try again"
            )
        yield
    finally:
        os.close(handle)


def lock_within(file: int, kind: int, seconds: float) -> bool:
    """Take a lock on an open file; return False where it stays taken for so long."""
    give_up = time.monotonic() + seconds
    while True:
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(file, kind | fcntl.LOCK_NB)
            return True
        if time.monotonic() > give_up:
            return False
        time.sleep(PAUSE_SECONDS)


def _root_home(project: Path, beside: Path, away: Path) -> ServerHome:
    if (beside / "data").exists():
        user = (beside / "data").stat().st_uid
        if user == 0:
            raise ConfigurationError(
                f"{str(beside / 'data')!r} belongs to root, and PostgreSQL does not run as root; "
                f"chown -R {UNPRIVILEGED_USER} {str(beside / 'data')!r}, or move it away"
            )
        if not _may_enter(user, beside):
            raise ConfigurationError(
                f"{str(beside)!r} is closed to {user_name(user)!r}, the owner of the database in "
                "it; open the folders above it to that user again, or move the database away"
            )
        return ServerHome(beside, reachable_binaries(user), user)
    user = _unprivileged_user()
    if not (away / "data").exists():
        made = make_folder(beside.parent, 0o755)
        if _may_enter(user, beside if beside.exists() else beside.parent):
            return ServerHome(beside, reachable_binaries(user), user)
        if made:
            beside.parent.rmdir()
    make_folder(SYSTEM_FOLDER, 0o755)
    make_folder(away.parent, 0o755)
    (away.parent / "project").write_text(f"{project.resolve()}\n")
    return ServerHome(away, reachable_binaries(user), user)


def _unprivileged_user() -> int:
    try:
        return pwd.getpwnam(UNPRIVILEGED_USER).pw_uid
    except KeyError:
        raise ConfigurationError(
            f"PostgreSQL does not run as root, and there is no user {UNPRIVILEGED_USER!r} to run "
            "it as; start as an ordinary user, or set DATABASE_URL"
        ) from None


def _may_enter(user: int, folder: Path) -> bool:
    """Whether a user reaches a folder, asked of the system as that user."""
    return run_as(user, ["/bin/sh", "-c", 'cd -- "$0"', str(folder)]).returncode == 0


def _unusable(folder: Path, exc: OSError) -> ConfigurationError:
    return ConfigurationError(
        f"the embedded PostgreSQL cannot use {str(exc.filename or folder)!r}: {exc.strerror}; "
        "make it writable, free space there, or set DATABASE_URL"
    )
