"""The guides say what the code does: reason codes, extras, links, settings, commands, problems."""

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

from shared.db import REFUSALS
from shared.runs import WEIGHED
from worker.http_failures import CODES

PROJECT = Path(__file__).resolve().parent.parent.parent
ENDING_REASON = 1
PROGRAM = ("api", "data", "migrations", "shared", "worker")


GUIDES = [
    *sorted(PROJECT.glob("*.md")),
    *(path for folder in PROGRAM for path in sorted((PROJECT / folder).rglob("*.md"))),
]


def read(guide: str) -> str:
    return (PROJECT / guide).read_text(encoding="utf-8")


def literals(node: ast.expr | None) -> Iterator[str]:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.IfExp):
        yield from literals(node.body)
        yield from literals(node.orelse)


def reason_codes() -> set[str]:
    """Every reason code that stands in the code as a literal."""
    found = {*CODES.values(), *WEIGHED, *(code for code, _ in REFUSALS.values()), "http_5xx"}
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
    text = "\n".join(path.read_text(encoding="utf-8") for path in GUIDES)
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    commands = re.findall(r"`([^`]*pip install[^`]*)`", text)
    extras = [re.search(r"\[(\w+)\]", command)[1] for command in commands]

    assert len(commands) >= 2
    assert {*extras} <= {*project["optional-dependencies"]}
    assert commands == [
        f".venv/bin/pip install -c constraints.txt -e '.[{extra}]'" for extra in extras
    ]
