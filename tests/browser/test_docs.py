"""`/docs` as a person uses it: in Chromium, on the real server."""

import json
import os
import shutil

import pytest
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from tests.fakes.api import add_asset
from tests.fakes.gunicorn import GIVE_UP, serving
from tests.fakes.prefix import under_a_prefix

CHROMIUM = shutil.which("chromium")
CHROMEDRIVER = shutil.which("chromedriver")

pytestmark = pytest.mark.skipif(
    not (CHROMIUM and CHROMEDRIVER),
    reason="no chromium with its chromedriver; on Debian: apt install chromium chromium-driver",
)

FLAGS = (
    "--headless",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1200,2000",
)


@pytest.fixture
def browser(tmp_path):
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in FLAGS:
        options.add_argument(flag)
    if os.geteuid() == 0:
        options.add_argument("--no-sandbox")
    options.add_argument(f"--user-data-dir={tmp_path / 'profile'}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options, webdriver.ChromeService(CHROMEDRIVER))
    driver.get("about:blank")
    driver.get_log("performance")  # Chromium's own page for a new tab
    yield driver
    driver.quit()


@pytest.fixture
def gunicorn(engine, reader_url, tmp_path):
    with engine.begin() as conn:
        add_asset(conn, "bitcoin", symbol="BTC")
    with serving(reader_url, tmp_path) as gunicorn:
        yield gunicorn


def find(browser, selector):
    """Wait for the first element that a selector finds, and bring it into view."""
    element = WebDriverWait(browser, GIVE_UP).until(
        lambda driver: driver.find_elements(By.CSS_SELECTOR, selector)
    )[0]
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", element)
    return element


def click(browser, selector):
    browser.execute_script("arguments[0].click()", find(browser, selector))


def asked(browser):
    """Give the URL of every request that the page made."""
    messages = [json.loads(line["message"])["message"] for line in browser.get_log("performance")]
    return [
        message["params"]["request"]["url"]
        for message in messages
        if message["method"] == "Network.requestWillBeSent"
    ]


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


@pytest.mark.parametrize("prefix", [pytest.param("", marks=pytest.mark.slow), "/market"])
def test_the_page_lists_the_operations_and_tries_one(gunicorn, browser, prefix):
    with under_a_prefix(gunicorn.url, prefix) as url:
        paths, status, body = try_it(browser, url)
        requests = asked(browser)
        complaints = [line for line in browser.get_log("browser") if line["level"] != "INFO"]

    assert paths == set(gunicorn.get("/openapi.json").json()["paths"])
    assert status.startswith("200")
    assert '"slug": "bitcoin"' in body
    assert any(request.startswith(f"{url}/data?") for request in requests)
    assert [request for request in requests if not request.startswith((url, "data:"))] == []
    assert complaints == []
