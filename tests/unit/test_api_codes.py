"""The table of problem codes: everything that can be answered stands in it."""

import importlib
import pkgutil

import pytest
from werkzeug.exceptions import HTTPException

import api
from api.request.codes import CODES
from api.request.problems import problem_document

for module in pkgutil.walk_packages(api.__path__, "api."):
    if module.name not in {"api.wsgi", "api.gunicorn.conf"}:
        importlib.import_module(module.name)


def kinds(base):
    for kind in base.__subclasses__():
        yield kind
        yield from kinds(kind)


UNSENT = {"client_left"}
"""Codes that appear only in the log, because the client has disconnected."""

OURS = [
    kind for kind in kinds(HTTPException) if getattr(kind, "problem", None) not in {*UNSENT, None}
]
OF_GUNICORN = (400, 408, 414, 417, 431, 500, 501)
OF_FLASK = (400, 404, 405, 406, 500)


@pytest.mark.parametrize("kind", OURS, ids=lambda kind: kind.__name__)
def test_every_problem_of_ours_is_in_the_table_with_its_status(kind):
    assert CODES[kind.problem].status == kind.code


@pytest.mark.parametrize("status", [*OF_GUNICORN, *OF_FLASK])
def test_every_status_without_a_code_of_its_own_has_one_in_the_table(status):
    document = problem_document(status, detail="", request_id="")

    assert CODES[document["code"]].status == status


def test_every_code_says_what_it_means_and_what_to_do():
    for name, code in CODES.items():
        assert code.meaning, name
        assert code.advice, name
