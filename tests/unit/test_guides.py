"""The guides say what the code does; a table that both have is held equal here."""

import ast
import re
import tomllib
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import click
import pytest

from api.app import create_app
from api.request.codes import CODES as PROBLEMS
from shared.environment import IDENTITY_FILES, Environment
from shared.model.faults import FAULT_POINTS
from shared.model.runs import JUDGED, PHASES
from shared.schema.base import metadata
from shared.settings import Settings
from worker.cli.main import main
from worker.database.engine import REFUSALS
from worker.fetch.failures import CODES
from worker.sources.csv.declaration import DeclarationSchema

PROJECT = Path(__file__).resolve().parent.parent.parent
ENDING_REASON = 1
PROGRAM = ("api", "data", "migrations", "shared", "worker")
GUIDES = [
    path.relative_to(PROJECT).as_posix()
    for path in [
        *sorted(PROJECT.glob("*.md")),
        *(path for folder in PROGRAM for path in sorted((PROJECT / folder).rglob("*.md"))),
    ]
]
NAMED = re.compile(r"\b[a-z]+_[a-z_]+\b|\b[a-z]+(?=\(\))|\b(?:[A-Z][a-z]+){2,}\b")
"""Names of functions, statements and classes in a map of steps."""
LINK = re.compile(r"\[[^\]]+\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


@cache
def read(guide: str) -> str:
    return (PROJECT / guide).read_text(encoding="utf-8")


def prose(guide: str) -> str:
    """A guide without its blocks of code, whose comments look like headings."""
    return re.sub(r"^```.*?^```", "", read(guide), flags=re.MULTILINE | re.DOTALL)


def rows(guide: str, columns: int) -> Iterator[list[str]]:
    """Every row of a guide's tables with so many columns, that begins with code."""
    for line in prose(guide).splitlines():
        if line.startswith("| `"):
            cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
            if len(cells) == columns:
                yield cells


def anchors(guide: str) -> set[str]:
    """The anchors of a guide's headings, as GitHub writes them."""
    return {
        re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        for heading in HEADING.findall(prose(guide))
    }


@pytest.mark.parametrize("guide", GUIDES)
def test_every_link_leads_to_a_file_and_a_heading_that_exist(guide):
    for target in LINK.findall(prose(guide)):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        file = ((PROJECT / guide).parent / path).resolve() if path else PROJECT / guide
        assert file.exists(), target
        if anchor:
            assert anchor in anchors(file.relative_to(PROJECT).as_posix()), target


@pytest.mark.parametrize("guide", GUIDES)
def test_no_two_headings_of_a_guide_have_one_anchor(guide):
    headings = HEADING.findall(prose(guide))

    assert guide == "CHANGELOG.md" or len(anchors(guide)) == len(headings)


def test_the_readme_leads_to_every_guide():
    linked = {
        (PROJECT / target.partition("#")[0]).resolve().relative_to(PROJECT).as_posix()
        for target in LINK.findall(prose("README.md"))
    }

    assert set(GUIDES) - {"README.md"} <= linked


def literals(node: ast.expr | None) -> Iterator[str]:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.IfExp):
        yield from literals(node.body)
        yield from literals(node.orelse)


def reason_codes() -> set[str]:
    """Every reason code that stands in the code as a literal."""
    found = {*CODES.values(), *JUDGED, *(code for code, _ in REFUSALS.values()), "http_5xx"}
    for path in [*(PROJECT / "worker").rglob("*.py"), *(PROJECT / "shared").rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call):
                for keyword in node.keywords:
                    if keyword.arg == "code" or (keyword.arg == "reason" and ends_a_run(node)):
                        found.update(literals(keyword.value))
                if ends_a_run(node) and len(node.args) > ENDING_REASON:
                    found.update(literals(node.args[ENDING_REASON]))
    return {code for code in found if re.fullmatch(r"[a-z0-9_]+", code)}


def ends_a_run(call: ast.Call) -> bool:
    function = call.func
    named = function.id if isinstance(function, ast.Name) else getattr(function, "attr", "")
    return named in {"Ending", "values"}


def test_every_reason_code_stands_in_the_guide_to_troubleshooting():
    said = set(re.findall(r"`([a-z0-9_]+)`", read("worker/troubleshooting.md")))
    codes = reason_codes()

    assert {"paging_loop", "stopped", "interrupted", "disk_full", "unauthorized"} <= codes
    assert codes - said == set()


def test_every_extra_is_installed_the_same_way_and_is_one_that_there_is():
    text = "\n".join(map(read, GUIDES))
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    commands = re.findall(r"`([^`]*pip install[^`]*)`", text)
    extras = [re.search(r"\[(\w+)\]", command)[1] for command in commands]

    assert len(commands) >= 2
    assert {*extras} <= {*project["optional-dependencies"]}
    assert commands == [
        f".venv/bin/pip install -c constraints.txt -e '.[{extra}]'" for extra in extras
    ]


def shown_default(value: Any) -> str | None:
    """A default as the tables of settings have it; None where there is none."""
    if value is None or value == ():
        return None
    if value == str(IDENTITY_FILES):
        value = IDENTITY_FILES.relative_to(PROJECT).as_posix()
    if isinstance(value, bool):
        value = str(value).lower()
    return f"`{','.join(value) if isinstance(value, tuple) else value}`"


def settings_of(guide: str) -> Mapping[str, str]:
    return {
        name.strip("`"): default
        for name, default, _ in rows(guide, 3)
        if re.fullmatch("`[A-Z][A-Z0-9_]+`", name)
    }


def test_every_setting_is_in_one_table_with_its_default():
    of_worker, of_api = settings_of("worker/README.md"), settings_of("api/deployment.md")
    defaults = {
        field.data_key: shown_default(field.load_default) for field in Environment().fields.values()
    }

    assert not of_worker.keys() & of_api.keys()
    assert {name for name in defaults if name.startswith("API_")} == of_api.keys()
    assert {**of_worker, **of_api}.keys() == defaults.keys()
    for name, default in {**of_worker, **of_api}.items():
        assert default == (defaults[name] or default), name
        assert default.startswith("unset") == (defaults[name] is None), name


def test_every_setting_is_in_the_example_of_an_env_file():
    example = re.findall("^#([A-Z][A-Z0-9_]+)=", read(".env.example"), re.MULTILINE)
    settings = {field.data_key for field in Environment().fields.values()}
    of_compose = {"DB_OWNER_PASSWORD", "DB_READER_PASSWORD"}

    assert sorted(example) == sorted(settings | of_compose)


def test_every_point_of_a_fault_is_in_the_guide():
    named = re.findall("`([^`]+)`", prose("worker/README.md"))

    assert set(FAULT_POINTS) <= {*named}


def commands(group: click.Group, path: str = "worker") -> Iterator[tuple[str, click.Command]]:
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, f"{path} {name}")
        else:
            yield f"{path} {name}", command


def test_every_command_is_in_the_guide_with_its_options():
    shown = [cells[0].strip("`") for cells in rows("worker/README.md", 2)]
    shown = [each for each in shown if each.startswith("worker ")]
    documented = {
        re.match("worker [a-z-]+(?: [a-z]+)*", each)[0]: set(re.findall("--[a-z-]+", each))
        for each in shown
    }

    assert len(documented) == len(shown)
    assert documented == {
        path: {
            option
            for each in command.params
            if isinstance(each, click.Option)
            for option in each.opts
        }
        for path, command in commands(main)
    }


def test_every_option_that_must_be_given_stands_without_brackets():
    for cells in rows("worker/README.md", 2):
        synopsis = re.sub(r"\[[^\]]*\]", "", cells[0].strip("`"))
        command: click.Command = main
        words = synopsis.split()
        if words[0] != "worker":
            continue
        for word in words[1:]:
            if not isinstance(command, click.Group):
                break
            command = command.commands[word]
        required = {
            each.opts[0]
            for each in command.params
            if isinstance(each, click.Option) and each.required
        }
        assert set(re.findall("--[a-z-]+", synopsis)) == required, synopsis


def test_every_problem_code_is_in_the_guide_as_the_api_describes_it():
    shown = {
        name.strip("`"): (int(status), meaning, action)
        for name, status, meaning, action in rows("api/README.md", 4)
        if status.isdigit()
    }

    assert shown == {
        name: (code.status, code.meaning, code.advice) for name, code in PROBLEMS.items()
    }


def test_every_route_and_parameter_is_in_the_guide():
    settings = Settings.from_env({"API_DATABASE_URL": "postgresql://reader@127.0.0.1:1/none"})
    paths = create_app(settings).extensions["openapi"]()["paths"]
    guide = prose("api/README.md")
    named = set(re.findall(r"`(\w+)(?:=[^`]*)?`", guide)) | set(re.findall(r"[?&](\w+)=", guide))

    listed = {
        path for cells in rows("api/README.md", 2) for path in re.findall("GET (/[^`]*)`", cells[0])
    }
    assert listed == set(paths)
    for path, methods in paths.items():
        for parameter in methods["get"].get("parameters", []):
            name = parameter.get("name", "")
            if parameter.get("in") == "query" and not name.startswith(("min_", "max_")):
                assert name in named, (path, name)


def test_every_phase_of_a_run_is_in_the_guide():
    assert set(PHASES) <= {cells[0].strip("`") for cells in rows("api/README.md", 2)}


def test_every_table_is_in_the_guide():
    documented = {
        table
        for cells in rows("migrations/README.md", 2)
        for table in re.findall(r"`(\w+)`", cells[0])
    }

    assert documented == set(metadata.tables)


def test_every_key_of_a_declaration_is_in_the_guide():
    [block] = re.findall(r"```toml\n(.*?)```", read("data/README.md"), re.DOTALL)
    shown = tomllib.loads(block)

    assert shown.keys() == DeclarationSchema().fields.keys()
    assert DeclarationSchema().validate(shown) == {}


def test_the_table_of_places_in_the_code_names_files_and_names_that_exist():
    found = re.findall(
        r"^\| [^|`]+ \| `([\w./]+\.\w+)` \| ([^|]*)\|$", read("CONTRIBUTING.md"), re.MULTILINE
    )

    assert len(found) > 20
    for file, names in found:
        text = (PROJECT / file).read_text(encoding="utf-8")
        for name in re.findall(r"`(\w+)`", names):
            assert re.search(rf"\b{name}\b", text), (file, name)


@pytest.mark.parametrize("guide", GUIDES)
def test_the_code_that_a_section_names_is_in_files_that_exist(guide):
    for line in re.findall(r"(?:^|\. )Code: (.+)$", prose(guide), re.MULTILINE):
        files = re.findall(r"`([^`]+)`", line)
        assert files
        for file in files:
            assert (PROJECT / file).is_file(), file


@pytest.mark.parametrize(
    ("side", "first"), [("worker", "cli/run.py"), ("api", "server/connections.py")]
)
def test_the_steps_of_a_run_and_of_a_request_are_in_the_files_that_are_named(side, first):
    (steps,) = re.findall(
        rf"^```text\n({re.escape(first)}.*?)^```",
        read(f"{side}/README.md"),
        re.MULTILINE | re.DOTALL,
    )
    for file, doing in re.findall(r"^ *(\S+\.(?:py|sql)) +(.*)$", steps, re.MULTILINE):
        text = (PROJECT / side / file).read_text(encoding="utf-8")
        for name in re.findall(NAMED, doing):
            assert re.search(rf"\b{name}\b", text), (file, name)
    for file in re.findall(r"shared/\S+\.sql", steps):
        assert (PROJECT / file).is_file()
