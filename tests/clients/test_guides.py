"""The `curl` examples of the guides, run as they stand there."""

import json
import re
import shutil
import subprocess

import pytest

from tests.fakes.gunicorn import PROJECT

HERE = "http://127.0.0.1:8000"
MISSING = [program for program in ("bash", "curl", "jq") if shutil.which(program) is None]
GIVE_UP = 60
GUIDES = ("README.md", "api/README.md", "api/monitoring/README.md")

pytestmark = pytest.mark.skipif(
    bool(MISSING), reason=f"not installed: {', '.join(MISSING)}; on Debian: apt install curl jq"
)


def examples():
    """Give each command of the guides, and what the guide shows of its answer."""
    text = "\n".join((PROJECT / guide).read_text(encoding="utf-8") for guide in GUIDES)
    for block in re.findall(r"```console\n(.*?)```", text, re.DOTALL):
        for example in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command = re.match(r"(?:.*\\\n)*.*\n", example)[0]
            if command.startswith("curl"):
                yield command.strip(), example[len(command) :]


def documents(text):
    """Read the JSON documents that stand one after the other."""
    reader, found, text = json.JSONDecoder(), [], text.strip()
    while text:
        document, end = reader.raw_decode(text)
        found.append(document)
        text = text[end:].lstrip()
    return found


def keys_of(value):
    if isinstance(value, list):
        return {key for each in value for key in keys_of(each)}
    if isinstance(value, dict):
        return {*value} | keys_of([*value.values()])
    return set()


def test_there_are_examples():
    assert len(list(examples())) >= 8


@pytest.mark.parametrize(("command", "shown"), list(examples()))
def test_an_example_works_and_has_the_members_that_the_guide_shows(
    market, tmp_path, command, shown
):
    ran = subprocess.run(
        ["bash", "-c", f"set -euo pipefail\n{command.replace(HERE, market.url)}"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=GIVE_UP,
        check=False,
    )

    assert ran.returncode == 0, ran.stderr
    members = set(re.findall(r'"(\w+)":', shown))
    if members:
        assert members <= keys_of(documents(ran.stdout))
    elif re.fullmatch("[0-9a-f]{32}\n", shown):
        assert ran.stdout == shown  # a hash, which is the same wherever it is made
    elif "HTTP/1.1" in shown:
        names = re.findall(r"^([\w-]+): ", shown, re.MULTILINE)
        assert [name for name in names if f"\n{name.lower()}:" not in ran.stdout.lower()] == []
    elif shown.strip():
        assert ran.stdout.strip()
