"""What an import with `--declare` says of files that the loop reads too."""

from pathlib import Path

import pytest
from sqlalchemy.engine import URL

from shared.settings import Settings
from tests.fakes.processes import environ
from worker.app import Worker


@pytest.mark.parametrize(
    ("env", "beside", "is_told"),
    [
        ({"CSV_PATH": "prices"}, None, True),
        ({"CSV_PATH": "prices"}, "other", True),
        ({"CSV_PATH": "prices"}, "same", False),
        ({"CSV_PATH": "elsewhere"}, None, False),
        ({"CSV_PATH": "prices", "SOURCES": "coingecko"}, None, False),
        ({}, None, False),
    ],
)
def test_a_declaration_that_the_loop_lacks_is_pointed_out(
    database_url: URL, tmp_path: Path, env: dict[str, str], beside: str | None, is_told: bool
):
    for folder in ("prices", "elsewhere"):
        (tmp_path / folder).mkdir()
    file, declaration = tmp_path / "prices" / "a.csv", tmp_path / "declared.toml"
    file.write_text("date,symbol,name,close\n2024-05-01,BTC,Bitcoin,1\n")
    declaration.write_text('currency = "USD"\n')
    if beside is not None:
        told = declaration.read_text() if beside == "same" else ""
        file.with_name("a.csv.toml").write_text(told)
    if "CSV_PATH" in env:
        env = {**env, "CSV_PATH": str(tmp_path / env["CSV_PATH"])}
    worker = Worker(Settings.from_env(environ(database_url, **env)), database_url)

    result = worker.load_saved("csv", [file], declaration)

    assert result.succeeded
    advice = f"{file}: the loop reads this file too; copy {declaration} to {file}.toml"
    assert [note for note in result.notes if "loop" in note] == [advice] * is_told
