"""A real headless Chromium for the tests of the page and of the client module."""
import contextlib
import tempfile

from selenium import webdriver
from selenium.webdriver.chrome.service import Service

PATIENCE_S = 20  # how long a test waits for what must come; the machine may be busy


@contextlib.contextmanager
def chromium(width=1440, height=900, dark=False, logs=True):
    """A driver with its own empty profile, a viewport of exactly this size, and logs of the console
    and the network, which cost the page work for each frame of a websocket."""
    with tempfile.TemporaryDirectory(prefix="hydraglot-chromium-") as profile:
        options = webdriver.ChromeOptions()
        options.binary_location = "/usr/bin/chromium"
        for argument in (
            "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
            "--hide-scrollbars", "--no-first-run", "--disable-background-networking",
            f"--user-data-dir={profile}", f"--window-size={width},{height}",
        ):
            options.add_argument(argument)
        if logs:
            options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        driver = webdriver.Chrome(options=options, service=Service("/usr/bin/chromedriver"))
        try:
            driver.set_script_timeout(PATIENCE_S)
            driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {
                "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600})
            scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
            driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})
            yield driver
        finally:
            driver.quit()
