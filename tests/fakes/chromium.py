"""What a test does with a page in Chromium: find, click, and read what was asked and complained."""

import json

from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from tests.fakes.gunicorn import GIVE_UP


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


def complaints(browser):
    """Give what the console says that is more than information."""
    return [line for line in browser.get_log("browser") if line["level"] != "INFO"]
