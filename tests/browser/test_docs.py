"""`/docs` as a person uses it: in Chromium, on the real server."""

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from tests.fakes.api import add_asset
from tests.fakes.chromium import asked, click, complaints, find
from tests.fakes.gunicorn import GIVE_UP, serving
from tests.fakes.prefix import under_a_prefix


@pytest.fixture
def gunicorn(engine, reader_url, tmp_path):
    with engine.begin() as conn:
        add_asset(conn, "bitcoin", symbol="BTC")
    with serving(reader_url, tmp_path) as gunicorn:
        yield gunicorn


def try_it(browser, url):
    """Open the page, run `GET /data` with a parameter, and give the answer that it shows."""
    browser.get(f"{url}/docs")
    listed = WebDriverWait(browser, GIVE_UP).until(
        lambda driver: driver.find_elements(By.CSS_SELECTOR, ".opblock-summary-path")
    )
    paths = {element.get_attribute("data-path") for element in listed}
    operation = "#operations-data-data_assets"
    click(browser, f"{operation} .opblock-summary-control")
    click(browser, f"{operation} .try-out__btn")
    box = find(browser, f"{operation} tr[data-param-name='q'] input")
    box.clear()
    box.send_keys("bitco")
    click(browser, f"{operation} .execute")
    status = find(browser, f"{operation} .live-responses-table tbody .response-col_status").text
    body = find(browser, f"{operation} .live-responses-table tbody .response-col_description").text
    return paths, status, body


@pytest.mark.slow
@pytest.mark.parametrize("prefix", ["", "/market"])
def test_the_page_lists_the_operations_and_tries_one(gunicorn, browser, prefix):
    with under_a_prefix(gunicorn.url, prefix) as url:
        paths, status, body = try_it(browser, url)
        requests = asked(browser)
        said = complaints(browser)

    assert paths == set(gunicorn.get("/openapi.json").json()["paths"])
    assert status.startswith("200")
    assert '"slug": "bitcoin"' in body
    assert any(request.startswith(f"{url}/data?") for request in requests)
    assert [request for request in requests if not request.startswith((url, "data:"))] == []
    assert said == []
