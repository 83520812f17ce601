"""The page that the guide of the dashboard shows how to add."""

import re
from pathlib import Path
from textwrap import dedent

from flask import Blueprint
from jinja2 import ChoiceLoader, DictLoader

from api.dashboard import blueprint
from api.dashboard.rendering import ENVIRONMENT
from tests.fakes.api import add_run
from tests.fakes.pages import shown

GUIDE = Path(blueprint.__file__).with_name("README.md")
EXAMPLE = re.compile(r"^   ```(python|html)\n(.*?)^   ```$", re.DOTALL | re.MULTILINE)


def test_the_example_of_the_guide_is_a_page_that_works(client, engine, monkeypatch):
    text = GUIDE.read_text(encoding="utf-8")
    examples = dict(EXAMPLE.findall(text))
    code, template = dedent(examples["python"]), dedent(examples["html"])
    added = Blueprint("guide", __name__, url_prefix=blueprint.bp.url_prefix)
    monkeypatch.setattr(blueprint, "bp", added)
    templates = ChoiceLoader([DictLoader({"newest.html": template}), ENVIRONMENT.loader])
    monkeypatch.setattr(ENVIRONMENT, "loader", templates)
    exec(compile(code, str(GUIDE), "exec"), {"__name__": "newest"})
    client.application.register_blueprint(added)
    with engine.begin() as conn:
        coingecko = add_run(conn, "coingecko")
        csv = add_run(conn, "csv")

    page = shown(client, "/newest?source=csv")

    assert f"/dashboard/runs/{csv}" in page
    assert f"/dashboard/runs/{coingecko}" not in page
