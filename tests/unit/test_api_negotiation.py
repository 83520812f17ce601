import pytest
from werkzeug.exceptions import NotAcceptable

from api.request.negotiation import choose

JSON, CSV, NDJSON = "application/json", "text/csv", "application/x-ndjson"
BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        (None, JSON),
        ("", JSON),
        (",", JSON),
        ("*/*", JSON),
        (BROWSER, JSON),
        ("application/*", JSON),
        ("application/problem+json", JSON),
        ("application/json; charset=utf-8", JSON),
        ("text/csv", CSV),
        ("TEXT/CSV", CSV),
        ("text/*", CSV),
        ("text/csv;header=present;charset=utf-8", CSV),
        ("text/csv;q=0.4, application/json;q=0.5", JSON),
        ("text/csv;q=0.5, application/json;q=0.4", CSV),
        ("application/json;q=0, */*;q=0.1", CSV),
        ("*/*;q=0.1, application/x-ndjson", NDJSON),
        ("text/html, text/csv;q=0.1", CSV),
    ],
)
def test_the_format_that_is_liked_best_is_chosen(accept, chosen):
    assert choose([JSON, CSV, NDJSON], accept) == chosen


@pytest.mark.parametrize(
    "accept", ["text/html", "nonsense", "*/csv", "application/json;q=0", "image/*", "json"]
)
def test_what_no_format_suits_is_refused_with_those_that_there_are(accept):
    with pytest.raises(NotAcceptable, match="application/json or text/csv") as refused:
        choose([JSON, CSV], accept)

    assert repr(accept) in refused.value.description


def test_a_client_of_problems_alone_gets_no_csv():
    with pytest.raises(NotAcceptable):
        choose([CSV], "application/problem+json")
    with pytest.raises(NotAcceptable):
        choose([CSV], "application/*")
