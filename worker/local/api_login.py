"""The database logins that `make run` creates for the API, stored in a file."""

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


def api_login(url: URL, file: Path, report: Callable[[str], None]) -> URL:
    """Return the URL of this checkout's API login for a database; generate it the first time.

    The file is readable by its owner only, because the password is stored nowhere else. A damaged
    file is renamed and replaced by a new one with new logins; `report` receives a message then.

    Raises:
        ConfigurationError: the file cannot be read or written.
    """
    try:
        logins = _read(file, report)
        database = url.set(username=None, password=None).render_as_string()
        key = sha256(database.encode()).hexdigest()[:16]
        if key not in logins:
            name = f"kasparro_api_{secrets.token_hex(4)}"
            login = url.set(username=name, password=secrets.token_urlsafe(24))
            logins = {**logins, key: login.render_as_string(hide_password=False)}
            file.parent.mkdir(exist_ok=True)
            _write(file, json.dumps(logins, indent=2))
        return make_url(logins[key])
    except OSError as exc:
        raise ConfigurationError(
            f"cannot use {str(file)!r}, which stores the API's login: {exc.strerror}; make it "
            "readable and writable, or set API_DATABASE_URL"
        ) from exc


def _read(file: Path, report: Callable[[str], None]) -> Mapping[str, str]:
    try:
        content = file.read_bytes()
    except FileNotFoundError:
        return {}
    logins = _parse(content)
    if logins is None:
        backup = file.with_name(f"{file.name}.damaged")
        file.replace(backup)
        # The content is not shown: it may contain a password.
        report(
            f"{str(file)!r} is damaged and was renamed to {backup.name!r}; the API gets a new "
            "login. Roles kasparro_api_… that are in no such file are unused and can be dropped"
        )
    return logins or {}


def _parse(content: bytes) -> Mapping[str, str] | None:
    """Return the login of each database; None if the file is damaged."""
    try:
        logins = json.loads(content)
        if isinstance(logins, dict) and all(make_url(each).password for each in logins.values()):
            return logins
    except (ValueError, ArgumentError):
        pass
    return None


def _write(file: Path, content: str) -> None:
    """Replace the file atomically."""
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
