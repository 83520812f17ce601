"""The folder of the embedded PostgreSQL, and the user it runs as.

The server of an ordinary user has its data in `.local/postgres` of the project folder and runs as
that user. PostgreSQL refuses to run as root, so root's server runs as `nobody`. If that user cannot
reach the project folder or the packaged server files, for example below a private home folder, data
and server files are in `/var/lib/kasparro-etl`. Only folders that are created here get another mode
or owner.
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
"""Wait for another process that determines the folder; it may have to copy the server's files."""
LONGEST_SOCKET_FOLDER = 85
"""The path of a Unix socket may have about 104 bytes; PostgreSQL adds `/.s.PGSQL.5432.lock`."""


@dataclass(frozen=True, slots=True)
class ServerHome:
    """A server's folder, its programs, and the user it runs as (None: the current user)."""

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
        """Create the folder and the log; safe to repeat."""
        try:
            make_folder(self.folder, 0o700 if self.user is None else 0o711)
            owner = self.folder.stat().st_uid
            if os.geteuid() not in {owner, 0}:
                raise ConfigurationError(
                    f"{str(self.folder)!r} belongs to user {user_name(owner)!r}, who started the "
                    "embedded PostgreSQL first; start as that user, or move the folder away"
                )
            os.close(self.open(self.log))
        except OSError as exc:
            raise _unusable(self.folder, exc) from exc

    def open(self, path: Path) -> int:
        """Open a file of this folder for reading and writing; create it if it is missing."""
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        if os.geteuid() == 0:  # the owner of the folder must be able to open it too
            folder = path.parent.stat()
            os.fchown(file, folder.st_uid, folder.st_gid)
        return file

    def give_to_server_user(self, path: Path) -> None:
        """Change the owner of a file or folder that was created here."""
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
        """Run one of the server's programs as the server's user, detached from the terminal.

        The program inherits the open files `inherits`. Its stdout and stderr go to `output`.

        Raises:
            ConfigurationError: it did not end within the time.
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
        """Create and return the socket's folder, which only the server's user and root may enter.

        It is beside the data. If that path is too long for a socket, or not allowed in a connection
        string, the folder is in the temporary folder with a hash as its name.
        """
        folder = self.folder / "socket"
        fits = len(os.fsencode(folder)) <= LONGEST_SOCKET_FOLDER
        if not fits or not re.fullmatch(r"[\w ./-]+", str(folder), re.ASCII):
            digest = hashlib.sha256(os.fsencode(self.data.absolute())).hexdigest()[:16]
            folder = Path(tempfile.gettempdir()) / f"kasparro-etl-{digest}"
        owner = os.geteuid() if self.user is None else self.user
        try:
            folder.mkdir(mode=0o700)
            self.give_to_server_user(folder)
        except FileExistsError:
            found = folder.lstat()
            if not stat.S_ISDIR(found.st_mode) or found.st_uid != owner or found.st_mode & 0o077:
                raise ConfigurationError(
                    f"{str(folder)!r} is needed for the socket of the embedded PostgreSQL, but is "
                    f"not a folder that {user_name(owner)!r} alone may enter; remove it"
                ) from None
        except OSError as exc:
            raise _unusable(folder, exc) from exc
        return folder


def possible_folders(project: Path) -> tuple[Path, Path]:
    """Return the two possible folders of a project's server, the usual one first."""
    digest = hashlib.sha256(os.fsencode(project.resolve())).hexdigest()[:16]
    return project.absolute() / ".local" / "postgres", SYSTEM_FOLDER / digest / "postgres"


def find_home(project: Path) -> ServerHome:
    """Determine the folder and the user of a project's server; create `.local` if it is used.

    Raises:
        ConfigurationError: the server is not installed, or no folder or user is suitable.
    """
    local, system = possible_folders(project)
    try:
        if os.geteuid() != 0:
            local.parent.mkdir(exist_ok=True)
            return ServerHome(local, packaged_binaries(), user=None)
        with _exclusive(project):
            return _root_home(project, local, system)
    except OSError as exc:
        raise _unusable(local, exc) from exc


@contextlib.contextmanager
def _exclusive(folder: Path) -> Iterator[None]:
    """Allow one process at a time, because incomplete folders would mislead another one."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if not lock_within(handle, fcntl.LOCK_EX, FIND_SECONDS):
            raise ConfigurationError(
                f"another command has been preparing the embedded PostgreSQL in {str(folder)!r} "
                f"for {FIND_SECONDS} s; end it, and try again"
            )
        yield
    finally:
        os.close(handle)


def lock_within(file: int, kind: int, seconds: float) -> bool:
    """Lock an open file; return False if that is not possible within the time."""
    deadline = time.monotonic() + seconds
    while True:
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(file, kind | fcntl.LOCK_NB)
            return True
        if time.monotonic() > deadline:
            return False
        time.sleep(PAUSE_SECONDS)


def _root_home(project: Path, local: Path, system: Path) -> ServerHome:
    if (local / "data").exists():
        user = (local / "data").stat().st_uid
        if user == 0:
            raise ConfigurationError(
                f"{str(local / 'data')!r} belongs to root, and PostgreSQL does not run as root; "
                f"chown -R {UNPRIVILEGED_USER} {str(local / 'data')!r}, or move it away"
            )
        if not _can_enter(user, local):
            raise ConfigurationError(
                f"user {user_name(user)!r}, who owns the database in {str(local)!r}, cannot enter "
                "that folder; allow it for the folders above, or move the database away"
            )
        return ServerHome(local, reachable_binaries(user), user)
    user = _unprivileged_user()
    if not (system / "data").exists():
        created = make_folder(local.parent, 0o755)
        if _can_enter(user, local if local.exists() else local.parent):
            return ServerHome(local, reachable_binaries(user), user)
        if created:
            local.parent.rmdir()
    make_folder(SYSTEM_FOLDER, 0o755)
    make_folder(system.parent, 0o755)
    (system.parent / "project").write_text(f"{project.resolve()}\n")
    return ServerHome(system, reachable_binaries(user), user)


def _unprivileged_user() -> int:
    try:
        return pwd.getpwnam(UNPRIVILEGED_USER).pw_uid
    except KeyError:
        raise ConfigurationError(
            f"PostgreSQL does not run as root, and user {UNPRIVILEGED_USER!r} does not exist; "
            "start as an ordinary user, or set DATABASE_URL"
        ) from None


def _can_enter(user: int, folder: Path) -> bool:
    """Test as that user, because the modes of all folders above matter."""
    return run_as(user, ["/bin/sh", "-c", 'cd -- "$0"', str(folder)]).returncode == 0


def _unusable(folder: Path, exc: OSError) -> ConfigurationError:
    return ConfigurationError(
        f"the embedded PostgreSQL cannot use {str(exc.filename or folder)!r}: {exc.strerror}; "
        "make it writable, free disk space, or set DATABASE_URL"
    )
