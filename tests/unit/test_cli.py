from collections.abc import Iterator

import click
import pytest
from click.testing import CliRunner

from worker.cli.main import main


def commands(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for name, command in group.commands.items():
        yield (*path, name)
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))


def command_at(path: tuple[str, ...]) -> click.Command:
    command: click.Command = main
    for name in path:
        assert isinstance(command, click.Group)
        command = command.commands[name]
    return command


@pytest.mark.parametrize("path", list(commands(main)), ids=" ".join)
def test_every_command_has_help_and_so_has_every_option(path):
    command = command_at(path)
    shown = CliRunner().invoke(main, [*path, "--help"])

    assert shown.exit_code == 0
    assert command.help
    assert command.help.splitlines()[0].endswith(".")
    for option in command.params:
        if isinstance(option, click.Option):
            assert option.help, option.name


@pytest.mark.parametrize("arguments", [["drift", "ack"], ["drift", "ack", "1", "--all"]])
def test_drift_is_acknowledged_by_id_or_all_of_it(arguments: list[str]):
    refused = CliRunner().invoke(main, arguments)

    assert refused.exit_code == 2
    assert "name the IDs of the drift, or set --all" in refused.output


def test_the_commands_are_those_that_are_documented():
    assert {" ".join(path) for path in commands(main)} == {
        "api-keys",
        "api-keys create",
        "api-keys list",
        "api-keys revoke",
        "budget",
        "budget reset",
        "budget show",
        "checkpoint",
        "checkpoint clear",
        "checkpoint show",
        "drift",
        "drift ack",
        "drift list",
        "identity",
        "identity link",
        "identity list",
        "identity merge",
        "identity review",
        "identity show",
        "identity split",
        "identity undo",
        "import",
        "listings",
        "listings retire",
        "local",
        "migrate",
        "prune",
        "rejects",
        "rejects dismiss",
        "rejects list",
        "rejects retry",
        "rejects show",
        "reprocess",
        "run",
        "runs",
        "status",
        "verify",
    }


@pytest.mark.parametrize(
    "arguments",
    [["run", "--source", "kraken"], ["import", "coingecko"], ["run", "--batch-size", "0"], ["x"]],
)
def test_wrong_usage_is_exit_code_2(arguments):
    assert CliRunner().invoke(main, arguments).exit_code == 2


def test_wrong_configuration_is_exit_code_2_and_a_sentence():
    ran = CliRunner(env={"BATCH_SIZE": "many"}).invoke(main, ["status"])

    assert ran.exit_code == 2
    assert ran.output.startswith("Error: BATCH_SIZE: ")


def test_a_declaration_is_for_csv_files_alone(tmp_path):
    file = tmp_path / "saved.json"
    file.write_text("[]")
    arguments = ["import", "coingecko", str(file), "--declare", str(file)]

    ran = CliRunner().invoke(main, arguments)

    assert ran.exit_code == 2
    assert "--declare is for csv" in ran.output


def test_a_database_that_is_away_is_exit_code_1_and_a_sentence():
    env = {"DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none"}

    ran = CliRunner(env=env).invoke(main, ["status"])

    assert ran.exit_code == 1
    assert ran.output.startswith("Error: database: ")
    assert "Connection refused" in ran.output
