"""``python -m docs.pictures``: the pictures of the pages that the README and docs/pages.md show.

Serves a made-up company's month from a temporary database, looks at it with the Chromium that is on the path, and
writes the pictures beside this file.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

from playwright.sync_api import sync_playwright

from tests.server.pages import company
from tests.server.site import served

FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--no-first-run"),
)
DESK, PHONE = {"width": 1180, "height": 740}, {"width": 390, "height": 740}
SESSION = f"/session?id={company.NIGHT}"
PICTURES = (
    ("overview", "/", "light", DESK),
    ("sessions", "/sessions", "light", DESK),
    ("session", SESSION, "light", {"width": 1180, "height": 900}),
    ("session-dark", SESSION, "dark", {"width": 1180, "height": 900}),
    ("phone", "/", "dark", PHONE),
)


def main() -> int:
    """Make all of them; the exit status."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        sys.stderr.write("there is no Chromium on the path: install one, such as apt install chromium\n")
        return 1
    # Whose machine it is stands in a corner of each.
    os.environ["LOGNAME"] = "dora"
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/records.db"
        now = time.time()
        company.write(url, company.month(now, days=45, a_day=9), company.night(now))
        with served(url, Path(folder)) as site, sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium, args=list(FLAGS))
            for name, path, look, size in PICTURES:
                page = browser.new_page(color_scheme=look, viewport=size, timezone_id="UTC", locale="en-GB")
                page.goto(f"http://127.0.0.1:{site.port}{path}")
                if path == SESSION:
                    page.locator(".tool").first.evaluate("(tool) => { tool.open = true }")
                target = Path(__file__).with_name(f"{name}.png")
                page.screenshot(path=str(target))
                sys.stdout.write(f"{target.name:<20} {target.stat().st_size // 1024} kB\n")
                page.close()
            browser.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
