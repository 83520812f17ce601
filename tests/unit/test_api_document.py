"""The OpenAPI document: every route, its parameters, its examples and its names."""

import re

import pytest
from openapi_spec_validator import validate

from api.middleware.keys import is_page
from tests.fakes.api import NOWHERE, api_on
from tests.fakes.document import examples_of, read_document, validate_value

DOCUMENT = read_document()
STATIC_FILES = "docs.static"
SIGNING = ("dashboard.keep_key", "dashboard.sign_out")
"""What sets and deletes the cookie with a browser's key, and writes nothing."""
NAMES = (
    "data_asset",
    "data_assets",
    "health_health",
    "health_live",
    "health_ready",
    "index_index",
    "index_openapi",
    "stats_stats",
)
"""Names of operations, which generated clients use, as they were released."""


@pytest.fixture
def client():
    """A client of the API without a database."""
    with api_on(NOWHERE) as client:
        yield client


def test_every_route_only_reads(client):
    for rule in client.application.url_map.iter_rules():
        if rule.endpoint not in SIGNING:
            assert rule.methods == {"GET", "HEAD"}, rule


def test_every_route_is_described(client):
    document = client.get("/openapi.json").json
    routes = {
        re.sub("<(?:.*?:)?(.*?)>", r"{\1}", rule.rule)
        for rule in client.application.url_map.iter_rules()
        if rule.endpoint != STATIC_FILES and not is_page(rule.rule)
    }

    assert document == DOCUMENT
    assert set(document["paths"]) == routes
    assert [route["path"] for route in client.get("/").json["data"]] == sorted(routes)


def test_the_description_is_valid_openapi(client):
    validate(client.get("/openapi.json").json)


def test_every_operation_parameter_answer_and_problem_has_an_example_that_is_valid():
    examples = list(examples_of(DOCUMENT))

    assert examples
    for where, schema, value in examples:
        assert value not in ("", {}, None), where
        validate_value(DOCUMENT, schema, value)


def test_every_text_of_an_answer_has_an_example_of_its_own():
    silent = [
        f"{name}.{member}"
        for name, schema in DOCUMENT["components"]["schemas"].items()
        for member, of in schema["properties"].items()
        if of.get("type") == "string" and not {"examples", "enum", "format"} & {*of}
    ]

    assert silent == []


def test_operations_keep_their_names():
    names = [path["get"]["operationId"] for path in DOCUMENT["paths"].values()]

    assert len(names) == len({*names})
    assert {*NAMES} <= {*names}


def test_every_operation_belongs_to_a_resource_that_is_described():
    described = {tag["name"]: tag["description"] for tag in DOCUMENT["tags"]}

    for path in DOCUMENT["paths"].values():
        [tag] = path["get"]["tags"]
        assert described[tag]


def test_keys_are_described_as_welcome_and_as_required_where_they_are():
    with api_on(NOWHERE, API_KEYS_REQUIRED="true") as client:
        required = client.get("/openapi.json").json

    for path, scope in (("/data", "data"), ("/data/export", "export"), ("/runs", "operations")):
        keys = [{"bearer": [scope]}, {"header": [scope]}]
        assert DOCUMENT["paths"][path]["get"]["security"] == [{}, *keys]
        assert required["paths"][path]["get"]["security"] == keys
    assert "security" not in required["paths"]["/health/live"]["get"]
    assert "401" not in required["paths"]["/health/live"]["get"]["responses"]
