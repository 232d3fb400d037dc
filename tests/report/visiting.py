"""Pages of reports in a browser, and a name that would take one over."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

HOSTILE = "</script><script>document.title='taken'</script><img src=x onerror=\"document.title='taken'\">"
ALL_DRAWN = "[...document.querySelectorAll('.chart')].every((chart) => chart.querySelector('svg.marks'))"


class Visit:
    """An open page with its console messages and network requests; `drawn` is true in it once it is drawn."""

    def __init__(self, browser: Browser, path: Path, drawn: str = ALL_DRAWN, **context: Any) -> None:
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self.page: Page = browser.new_page(**context)
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(path.as_uri())
        self.page.wait_for_function(drawn)
