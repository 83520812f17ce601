"""The dashboard as a person uses it: in Chromium, on the real server."""

import os
import signal
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

import pytest
from selenium.common.exceptions import WebDriverException
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait
from sqlalchemy import insert, update

from shared.embedded.server import READER
from shared.model.keys import hash_key, make_key
from shared.schema.market import assets
from shared.schema.operations import api_keys
from tests.fakes.api import NOON, add_asset, add_listing, add_observation
from tests.fakes.cases import some_of, sparse
from tests.fakes.chromium import asked, click, complaints, find, show
from tests.fakes.databases import engine_on
from tests.fakes.gunicorn import GIVE_UP, serving
from tests.fakes.pages import add_open_work, add_traced_asset
from tests.fakes.prefix import under_a_prefix

PAGES = (
    "/dashboard",
    "/dashboard?q=nothing",
    "/dashboard?as_of=2026-01-31T12:00:00Z",
    "/dashboard?unknown=1",
    "/dashboard/sign-in",
    "/dashboard/assets/bitcoin",
    "/dashboard/assets/bitcoin?chart=candles&interval=1h",
    "/dashboard/assets/nothing",
    "/dashboard/assets/bitcoin/raw",
    "/dashboard/sources",
    "/dashboard/runs",
    "/dashboard/runs?source=csv&as_of=2026-01-31T12:00:00Z",
    "/dashboard/runs/4",
    "/dashboard/runs/compare?a=3&b=4",
    "/dashboard/quality",
    "/dashboard/rejects?state=all",
    "/dashboard/rejects/1",
    "/dashboard/drift",
    "/dashboard/divergent",
    "/dashboard/reviews",
)
SHOWN = ((1280, 900, "light"), (320, 640, "dark"), (1280, 900, "dark"))
LONG = "w" * 300

RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
RUN_AXE = """
const done = arguments[1];
axe.run(document, {runOnly: {type: "tag", values: arguments[0]}})
  .then(({violations}) => violations.map(({id, nodes}) => [id, nodes.map((each) => each.html)]))
  .then(done);
"""
"""What axe-core finds wrong, for the rules of WCAG 2.2 AA and what is good practice beside them."""

WIDTHS = (
    "const {scrollWidth, clientWidth} = document.documentElement; return [scrollWidth, clientWidth]"
)
"""How wide the page is, and the window."""


def load(conn):
    """Insert an asset that two sources list over a day, and one with a long name."""
    asset = add_traced_asset(conn, divergent=True)
    listing = add_listing(conn, asset, "coinpaprika", LONG, name=LONG)
    for hours in range(30):
        at = NOON - timedelta(hours=hours)
        for each, price in ((listing, 64000 + hours), (listing - 1, 64321 - hours)):
            if hours % 7 and (hours or each == listing):
                add_observation(conn, each, observed_at=at, price_usd=price)
    add_traced_asset(conn, "long", name=LONG, symbol="LONG")
    add_open_work(conn, LONG, listing - 1, listing)


@pytest.fixture(scope="module")
def dashboard(module_database_url, tmp_path_factory):
    """The URL of a server for tests that only read."""
    with engine_on(module_database_url) as engine, engine.begin() as conn:
        load(conn)
    reader_url = module_database_url.set(username=READER)
    trusted = {"API_TRUSTED_PROXIES": "1", "API_TRUSTED_PREFIX": "true"}
    with serving(reader_url, tmp_path_factory.mktemp("api"), **trusted) as gunicorn:
        yield gunicorn.url


@pytest.fixture
def gunicorn(engine, reader_url, tmp_path):
    with engine.begin() as conn:
        load(conn)
    with serving(reader_url, tmp_path) as gunicorn:
        yield gunicorn


def axe() -> str:
    """Read axe-core from the package that brings it; nothing of the package itself is run."""
    spec = find_spec("axe_playwright_python")
    if spec is None or spec.origin is None:
        pytest.skip("axe-playwright-python, which brings axe-core, is not installed")
    return (Path(spec.origin).parent / "axe.min.js").read_text(encoding="utf-8")


@pytest.mark.property
@pytest.mark.parametrize(("width", "height", "theme"), sparse(SHOWN, every=3))
def test_pages_are_accessible_and_fit(dashboard, browser, width, height, theme):
    script = axe()
    show(browser, width, height, theme)
    for path in some_of(PAGES, every=4):
        browser.get(dashboard + path)
        wide, window = browser.execute_script(WIDTHS)
        assert wide <= window, path
        browser.execute_script(script)
        assert browser.execute_async_script(RUN_AXE, RULES) == [], path

    assert [line for line in complaints(browser) if "status of 40" not in line["message"]] == []


@pytest.mark.parametrize("prefix", ["", pytest.param("/market", marks=pytest.mark.slow)])
def test_two_clicks_lead_from_a_price_to_its_raw_record(dashboard, browser, prefix):
    with under_a_prefix(dashboard, prefix) as url:
        browser.get(f"{url}/")
        click(browser, "a.plain[href*='bitcoin']")
        find(browser, "#price_usd")
        click(browser, "#price_usd a")
        record = find(browser, "pre").text
        requests = asked(browser)
        browser.back()
        browser.back()
        title = find(browser, "h1").text

    assert "64321.09120000000000000001" in record
    assert title == "Market"
    # The browser draws its own fields of dates with images as `data:`.
    assert [request for request in requests if not request.startswith((url, "data:"))] == []
    assert complaints(browser) == []


def test_a_commit_shows_without_a_reload_and_a_lost_connection_is_said(gunicorn, browser, engine):
    def shows(part, text):
        """Have the page check now instead of in some seconds, until it shows a text."""
        browser.execute_script("dispatchEvent(new Event('online'))")
        return text in browser.find_element(By.ID, part).text

    browser.get(f"{gunicorn.url}/dashboard")
    search = find(browser, "#q")
    search.send_keys("half a wo")
    with engine.begin() as conn:
        conn.execute(update(assets).values(price_usd=77, version=assets.c.version + 100))
    WebDriverWait(browser, GIVE_UP).until(lambda _: shows("rows", "$77.00"))

    assert search.get_attribute("value") == "half a wo"
    assert browser.switch_to.active_element == search
    assert complaints(browser) == []

    gunicorn.stop()
    WebDriverWait(browser, GIVE_UP).until(lambda _: shows("connection", "Connection lost"))


@pytest.mark.slow
def test_checks_do_not_overlap(gunicorn, browser):
    browser.get(f"{gunicorn.url}/dashboard/runs")
    find(browser, "#rows")
    asked(browser)
    workers = gunicorn.workers
    for pid in workers:
        os.kill(pid, signal.SIGSTOP)
    try:
        for _ in range(3):
            browser.execute_script("dispatchEvent(new Event('online'))")
        requests = asked(browser)
    finally:
        for pid in workers:
            os.kill(pid, signal.SIGCONT)

    assert requests == [f"{gunicorn.url}/dashboard/runs"]


@pytest.mark.slow
def test_a_page_that_is_gone_is_loaded_again_as_its_error(gunicorn, browser, engine):
    def shows_the_error(_):
        browser.execute_script("dispatchEvent(new Event('online'))")
        return find(browser, "h1").text == "Not found"

    browser.get(f"{gunicorn.url}/dashboard/assets/long")
    assert find(browser, "h1").text != "Not found"
    with engine.begin() as conn:
        renamed = update(assets).where(assets.c.slug == "long")
        conn.execute(renamed.values(slug="longer", version=assets.c.version + 100))

    WebDriverWait(browser, GIVE_UP, ignored_exceptions=[WebDriverException]).until(shows_the_error)


@pytest.mark.slow
def test_a_link_from_another_site_opens_the_page_with_the_cookie(
    engine, reader_url, tmp_path, browser
):
    key = make_key()
    with engine.begin() as conn:
        load(conn)
        row = {"name": "browser", "key_hash": hash_key(key), "scopes": ["data"]}
        conn.execute(insert(api_keys).values(row))
    with serving(reader_url, tmp_path, API_KEYS_REQUIRED="true") as gunicorn:
        page = f"{gunicorn.url}/dashboard/assets/bitcoin"
        browser.get(page)
        find(browser, "#key").send_keys(key, Keys.ENTER)
        find(browser, "#price_usd")
        for link in (page, f"{page}#price_usd"):
            browser.get(f"data:text/html,<a href='{quote(link)}'>link</a>")
            find(browser, "a").click()
            find(browser, "#price_usd")
            assert browser.current_url == link


def test_three_clicks_lead_from_the_market_to_why_a_source_failed(dashboard, browser):
    browser.get(f"{dashboard}/dashboard")
    click(browser, "nav a[href$='/sources']")
    state = find(browser, "#coingecko .mark").text
    click(browser, "#coingecko .facts a[href*='/runs/']")
    why = find(browser, ".why").text
    browser.back()

    assert "failing" in state
    assert "unreachable" in why
    assert LONG in why
    assert find(browser, "h1").text == "Sources"
    assert complaints(browser) == []


def test_on_a_phone_the_market_shows_prices_changes_and_marks_without_scrolling(dashboard, browser):
    show(browser, 375, 667, "light")
    browser.get(f"{dashboard}/dashboard")
    table = find(browser, "#rows .scroll")
    wide, region = browser.execute_script(
        "const {scrollWidth, clientWidth} = arguments[0]; return [scrollWidth, clientWidth]", table
    )
    row = browser.find_element(By.XPATH, "//tr[.//a[contains(@href, '/bitcoin')]]")

    assert wide <= region
    for shown in ("Bitcoin", "$64,321.09", "≠"):
        assert shown in row.text
    assert [head.text.strip() for head in table.find_elements(By.CSS_SELECTOR, "thead th")][2:] == [
        "Name",
        "Price",
        "24 h",
        "",
        "",
        "",
        "",
        "",
        "",
    ]


def test_a_table_that_is_cut_off_has_a_shadow_until_its_end(dashboard, browser):
    if not browser.execute_script("return CSS.supports('animation-timeline: scroll()')"):
        pytest.skip("this Chromium has no scroll-driven animations")
    wait = WebDriverWait(browser, GIVE_UP)

    def shadow():
        reading = "return getComputedStyle(arguments[0], '::after').opacity"
        return float(browser.execute_script(reading, find(browser, ".scroll")))

    show(browser, 375, 667, "light")
    browser.get(f"{dashboard}/dashboard/assets/bitcoin")
    wait.until(lambda _: shadow() > 0)
    scroll = "arguments[0].scrollLeft = arguments[0].scrollWidth"
    browser.execute_script(scroll, find(browser, ".scroll"))
    wait.until(lambda _: shadow() == 0)

    show(browser, 1900, 900, "light")
    browser.get(f"{dashboard}/dashboard/assets/bitcoin")
    wait.until(lambda _: shadow() == 0)


def test_escape_closes_the_control_of_the_time(dashboard, browser):
    browser.get(f"{dashboard}/dashboard")
    click(browser, "#as-of summary")
    find(browser, "#as-of-day").send_keys(Keys.ESCAPE)

    assert browser.find_element(By.ID, "as-of").get_attribute("open") is None
    assert browser.switch_to.active_element.text == "As of: now"


def test_the_keyboard_is_enough(dashboard, browser):
    browser.get(f"{dashboard}/dashboard")
    browser.switch_to.active_element.send_keys(Keys.TAB)
    skip = browser.switch_to.active_element
    assert skip.get_attribute("href").endswith("#main")
    skip.send_keys(Keys.ENTER)
    assert browser.switch_to.active_element.get_attribute("id") == "main"
    for _ in range(3):
        browser.switch_to.active_element.send_keys(Keys.TAB)
    browser.find_element(By.ID, "q").send_keys("long", Keys.ENTER)
    WebDriverWait(browser, GIVE_UP).until(lambda driver: "q=long" in driver.current_url)
    star = find(browser, "button.star")
    star.send_keys(Keys.SPACE)

    assert star.get_attribute("aria-pressed") == "true"
    assert find(browser, "#watchlist a").get_attribute("href").endswith("/dashboard/assets/long")


@pytest.mark.parametrize("stored", sparse(["7", "[]", "null", '"text"', "not JSON"], every=5))
def test_a_watch_list_starts_anew_if_it_cannot_be_read(dashboard, browser, stored):
    browser.get(f"{dashboard}/dashboard")
    browser.execute_script("localStorage.setItem('watchlist', arguments[0])", stored)
    browser.get(f"{dashboard}/dashboard?q=long")
    click(browser, "button.star")

    assert find(browser, "#watchlist a").text == LONG


@pytest.mark.slow
def test_the_watch_list_keeps_the_time_and_knows_its_own_entries(gunicorn, browser, engine):
    with engine.begin() as conn:
        add_asset(conn, "constructor", name="Constructor")
    show(browser, 320, 640, "light")
    browser.get(f"{gunicorn.url}/dashboard?q=constructor")
    star = find(browser, "button.star")
    assert star.is_displayed()
    assert star.get_attribute("aria-pressed") == "false"
    star.click()
    browser.get(f"{gunicorn.url}/dashboard?as_of=2026-01-31T12:00:00+00:00&known_at=&q=a")
    link = find(browser, "#watchlist a").get_attribute("href")

    assert link.endswith("/assets/constructor?as_of=2026-01-31T12%3A00%3A00+00%3A00")


@pytest.mark.slow
def test_the_theme_stays_as_chosen(dashboard, browser):
    show(browser, 1280, 900, "light")
    browser.get(f"{dashboard}/dashboard")
    click(browser, "#theme")
    browser.get(f"{dashboard}/dashboard/assets/bitcoin")

    assert browser.find_element(By.TAG_NAME, "html").get_attribute("data-theme") == "dark"


def test_without_javascript_the_page_is_whole(dashboard, browser):
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    browser.get(f"{dashboard}/dashboard")
    browser.find_element(By.ID, "q").send_keys("bitcoin", Keys.ENTER)
    WebDriverWait(browser, GIVE_UP).until(lambda driver: "q=bitcoin" in driver.current_url)
    browser.find_element(By.CSS_SELECTOR, "tbody th a").click()

    assert browser.find_element(By.CSS_SELECTOR, ".plot .series").is_displayed()
    assert "UTC" in browser.find_element(By.CSS_SELECTOR, "#values time").text
