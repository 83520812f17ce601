"""What holds for every route: answered as documented, in the formats that it has."""

import pytest

from shared.embedded.server import READER
from tests.fakes.api import api_on
from tests.fakes.api_everything import add_everything
from tests.fakes.databases import engine_on
from tests.fakes.document import check_answer, example_url, parameters_of, read_document

DOCUMENT = read_document()
PATHS = tuple(DOCUMENT["paths"])
URLS = tuple(example_url(DOCUMENT, path) for path in PATHS)
OF_LISTINGS = ("/data/{asset}/raw", "/data/{asset}/history")
OUR_OWN = ("cursor",)
"""Parameters whose values a client cannot make up."""


@pytest.fixture(scope="module")
def client(module_database_url):
    """A client of the API on a database that the tests of this module only read."""
    with engine_on(module_database_url) as engine, engine.begin() as conn:
        add_everything(conn)
    with api_on(module_database_url.set(username=READER)) as client:
        yield client


@pytest.mark.parametrize("path", PATHS)
def test_every_answer_is_as_described(client, path):
    response = client.get(example_url(DOCUMENT, path))
    assert response.status_code == 200
    check_answer(DOCUMENT, path, response)

    refused = client.get(example_url(DOCUMENT, path, nonsense=1))
    assert refused.status_code == 400
    assert refused.json["code"] == "invalid_parameter"
    assert refused.json["errors"][0]["parameter"] == "nonsense"
    check_answer(DOCUMENT, path, refused)


@pytest.mark.parametrize("path", PATHS)
def test_every_documented_parameter_and_choice_is_taken(client, path):
    for parameter in parameters_of(DOCUMENT, path):
        name, schema = parameter["name"], parameter["schema"]
        if parameter["in"] != "query" or name in OUR_OWN:
            continue
        for value in [*schema["examples"], *schema.get("enum", [])]:
            text = ",".join(value) if isinstance(value, list) else str(value)
            response = client.get(example_url(DOCUMENT, path, **{name: text}))
            if path in OF_LISTINGS and response.status_code == 404:
                # taken, and nothing is found by it
                assert response.json["code"] in {"raw_not_found", "listing_not_found"}
                continue
            assert response.status_code == 200, (name, text, response.text)
            check_answer(DOCUMENT, path, response)


@pytest.mark.parametrize("path", PATHS)
def test_a_format_that_a_route_does_not_have_is_refused(client, path):
    url = example_url(DOCUMENT, path)
    available = DOCUMENT["paths"][path]["get"]["responses"]["200"]["content"]

    refused = client.get(url, headers={"Accept": "image/png, text/*;q=0"})
    assert refused.status_code == 406
    assert refused.json["code"] == "not_acceptable"
    assert next(iter(available)) in refused.json["detail"]
    check_answer(DOCUMENT, path, refused)
    for media in available:
        accepted = {"Accept": f"image/png, {media};charset=utf-8"}
        answer = client.get(url, headers=accepted, follow_redirects=True)
        assert (answer.status_code, answer.mimetype) == (200, media)
    browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
    answer = client.get(url, headers={"Accept": browser}, follow_redirects=True)
    assert answer.status_code == 200


@pytest.mark.parametrize("path", [*URLS, "/nowhere", "/data/nothing", "/data?page=0"])
def test_head_is_get_without_the_body(client, path):
    get, head = client.get(path), client.head(path)

    assert head.status_code == get.status_code
    assert head.data == b""
    changing = {"X-Request-Id", "Content-Length", "Server-Timing", "traceparent"}
    assert {name: value for name, value in head.headers if name not in changing} == {
        name: value for name, value in get.headers if name not in changing
    }
    assert int(head.headers["Content-Length"]) > 0
