"""What the tests in a browser share: Chromium itself."""

import pytest

from tests.fakes.chromium import CHROMEDRIVER, CHROMIUM, chromium

MISSING = "no chromium with its chromedriver; on Debian: apt install chromium chromium-driver"


@pytest.fixture
def browser(tmp_path):
    """Chromium with an empty profile; it logs its console, and every request."""
    if not (CHROMIUM and CHROMEDRIVER):
        pytest.skip(MISSING)
    with chromium(tmp_path / "profile") as driver:
        driver.get("about:blank")
        driver.get_log("performance")  # Chromium's own page for a new tab
        yield driver
