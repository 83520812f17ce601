"""The file of the API's logins: written atomically, private, replaced if damaged."""

import json
import stat
from pathlib import Path

import pytest
from sqlalchemy.engine import make_url

from shared.errors import ConfigurationError
from worker.local.api_login import api_login

ONE = make_url("postgresql+psycopg2://owner:secret@db.test/one")
OTHER = make_url("postgresql+psycopg2://owner:secret@db.test/other")


def test_each_database_has_a_login_that_stays(tmp_path: Path):
    file = tmp_path / "state" / "api-logins.json"
    reported: list[str] = []

    first, other = api_login(ONE, file, reported.append), api_login(OTHER, file, reported.append)

    assert api_login(ONE, file, reported.append) == first
    assert api_login(OTHER, file, reported.append) == other
    assert (first.host, first.database) == ("db.test", "one")
    assert first.username != other.username
    assert first.password != "secret"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [each.name for each in file.parent.iterdir()] == [file.name]
    assert reported == []


@pytest.mark.parametrize(
    "damage",
    [b"", b'{"0123": "postgresql+psycop', b"\xff\x00", b"[]", b'{"a": 1}', b'{"a": "no url"}'],
)
def test_a_damaged_file_is_renamed_and_replaced(tmp_path: Path, damage: bytes):
    file = tmp_path / "api-logins.json"
    file.write_bytes(damage)
    reported: list[str] = []

    login = api_login(ONE, file, reported.append)

    assert api_login(ONE, file, reported.append) == login
    assert (tmp_path / "api-logins.json.damaged").read_bytes() == damage
    assert list(json.loads(file.read_text()).values()) == [login.render_as_string(False)]
    [line] = reported
    assert "was renamed to 'api-logins.json.damaged'; the API gets a new login" in line


def test_the_old_file_stays_unchanged_if_a_new_login_cannot_be_written(tmp_path: Path):
    file = tmp_path / "api-logins.json"
    login = api_login(ONE, file, print)
    before = file.read_bytes()
    (tmp_path / "a file").touch()

    with pytest.raises(ConfigurationError, match=r"a file/api-logins.json', which stores"):
        api_login(ONE, tmp_path / "a file" / "api-logins.json", print)
    assert file.read_bytes() == before
    assert api_login(ONE, file, print) == login
