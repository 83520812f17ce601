"""The logins that `make run` makes for the API on databases of its own choice, kept in a file."""

import json
import os
import secrets
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from shared.errors import ConfigurationError
from worker.maintenance.prune.files import sync_folder


def own_login(url: URL, file: Path, tell: Callable[[str], None]) -> URL:
    """Return this checkout's own login for the API on a database, made the first time.

    It is in a file for its owner alone, since the password is nowhere else. A damaged file is set
    aside and begun again, which `tell` is told: its logins are then made anew.

    Raises:
        ConfigurationError: the file can be neither read nor written.
    """
    try:
        logins = _read(file, tell)
        place = url.set(username=None, password=None).render_as_string()
        key = sha256(place.encode()).hexdigest()[:16]
        if key not in logins:
            name = f"kasparro_api_{secrets.token_hex(4)}"
            login = url.set(username=name, password=secrets.token_urlsafe(24))
            logins = {**logins, key: login.render_as_string(hide_password=False)}
            file.parent.mkdir(exist_ok=True)
            _write(file, json.dumps(logins, indent=2))
        return make_url(logins[key])
    except OSError as exc:
        raise ConfigurationError(
            f"{str(file)!r}, which holds the API's login: {exc.strerror}; make it readable and "
            "writable, or set API_DATABASE_URL"
        ) from exc


def _read(file: Path, tell: Callable[[str], None]) -> Mapping[str, str]:
    try:
        content = file.read_bytes()
    except FileNotFoundError:
        return {}
    logins = _parse(content)
    if logins is None:
        aside = file.with_name(f"{file.name}.damaged")
        file.replace(aside)
        # Nothing of the content is shown: it may hold a password.
        tell(
            f"{str(file)!r} was damaged and is now {aside.name!r}; the API gets a new login. Roles "
            "kasparro_api_… that are in no such file are no longer used, and may be dropped"
        )
    return logins or {}


def _parse(content: bytes) -> Mapping[str, str] | None:
    """Return the logins by their databases; None where these are none."""
    try:
        logins = json.loads(content)
        if isinstance(logins, dict) and all(make_url(each).password for each in logins.values()):
            return logins
    except (ValueError, ArgumentError):
        pass
    return None


def _write(file: Path, content: str) -> None:
    """Replace a file by one with this content: whatever happens, it is the old or the new one."""
    handle, name = tempfile.mkstemp(prefix=f".{file.name}.", dir=file.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as new:
            new.write(content)
            new.flush()
            os.fsync(handle)
        Path(name).replace(file)
    except BaseException:
        with suppress(FileNotFoundError):
            Path(name).unlink()
        raise
    sync_folder(file.parent)
