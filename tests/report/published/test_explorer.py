"""The explorer in a browser."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from modernet.catalogue.published_models import published_models
from modernet.report import write_explorer

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

_DRAWN = "() => window.explorer && explorer.settled().then((view) => view && view.data('points').length > 0)"


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("explorer") / "published.html"
    assert write_explorer(path) == 0
    return path


class Visit:
    """The page with its messages and requests."""

    def __init__(self, browser: Browser, path: Path, **context: Any) -> None:
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self.page: Page = browser.new_page(**context)
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(path.as_uri())
        self.page.wait_for_function(_DRAWN)

    def count(self) -> int:
        return int(self.page.evaluate("() => explorer.settled().then((view) => view.data('points').length)"))


@pytest.fixture
def visit(browser: Browser, path: Path) -> Iterator[Visit]:
    found = Visit(browser, path)
    yield found
    found.page.close()


@pytest.mark.medium
def test_it_is_one_small_file_that_asks_for_nothing(visit: Visit, path: Path) -> None:
    assert path.stat().st_size < 3_000_000
    assert visit.complaints == []
    assert [url for url in visit.requests if not url.startswith(("file:", "data:", "blob:"))] == []
    assert visit.count() > 1500
    assert visit.page.locator("#table tbody tr").count() == 50


@pytest.mark.medium
def test_filters_leave_what_they_name(visit: Visit) -> None:
    everything = visit.count()
    visit.page.fill("#search", "convnext_tiny 288")
    some = visit.count()
    assert 0 < some < 10
    names = visit.page.locator("#table tbody th").all_text_contents()
    assert len(names) == some
    assert all("convnext_tiny" in name for name in names)
    visit.page.fill("#search", "")
    visit.page.select_option("#licence", "permissive")
    permissive = visit.count()
    assert some < permissive < everything
    visit.page.select_option("#data", "0")
    assert visit.count() < permissive
    visit.page.fill("#search", "no such network")
    assert visit.count() == 0
    assert visit.page.locator("#shown").text_content() == f"0 of {len(published_models()):,} points."


@pytest.mark.medium
def test_other_axes_draw_other_points(visit: Visit) -> None:
    visit.page.select_option("#x", "params_m")
    visit.page.select_option("#y", "a")
    assert visit.count() == sum("a" in model.accuracies for model in published_models())
    assert visit.page.evaluate("() => explorer.settled().then((view) => view.scale('x').type)") == "log"
    visit.page.uncheck("#log")
    assert visit.page.evaluate("() => explorer.settled().then((view) => view.scale('x').type)") == "linear"
    first = visit.page.locator("#table tbody tr").first.text_content() or ""
    assert "eva02_large_patch14_448" in first
    assert visit.complaints == []


@pytest.mark.medium
def test_the_dashed_line_is_of_points_that_none_beats(visit: Visit) -> None:
    visit.page.select_option("#size", "224")
    better = visit.page.evaluate(
        """() => explorer.settled().then((view) => {
            const points = view.data('points'), best = view.data('front');
            return best.filter((b) => points.some((p) => p.x >= b.x && p.y >= b.y && (p.x > b.x || p.y > b.y))).length;
        })"""
    )
    assert better == 0
    assert visit.page.evaluate("() => explorer.settled().then((view) => view.data('front').length)") > 5


@pytest.mark.medium
def test_a_network_that_loses_at_its_larger_size_is_marked(visit: Visit) -> None:
    visit.page.fill("#search", "convnext_tiny.fb_in22k_ft_in1k 288")
    visit.count()
    assert visit.page.locator("td.loses").all_text_contents() == ["-4"]  # 82.9 at 224, 78.95 at 288


@pytest.mark.medium
def test_a_family_gets_a_colour_by_keyboard(visit: Visit) -> None:
    visit.page.locator("summary").press("Enter")
    levit = visit.page.locator("#families").get_by_role("button", name="levit (10)", exact=True)
    assert levit.get_attribute("aria-pressed") == "true"
    levit.press("Enter")
    assert levit.get_attribute("aria-pressed") == "false"
    visit.page.locator("#families button", has_text="maxvit (").press("Enter")
    assert visit.page.locator("#coloured button").all_text_contents().count("maxvit") == 1
    visit.page.check("#only")
    assert visit.count() < 400


@pytest.mark.medium
def test_the_table_sorts_and_tells_of_a_point(visit: Visit) -> None:
    visit.page.locator("#table thead button", has_text="Sketch").press("Enter")
    assert visit.page.locator("#table thead th[aria-sort]").all_text_contents() == ["Sketch"]
    visit.page.locator("#table tbody th button").first.press("Enter")
    assert "siglip" in (visit.page.locator("#about").text_content() or "")
    visit.page.click("#more")
    assert visit.page.locator("#table tbody tr").count() > 1500


@pytest.mark.medium
def test_the_csv_has_what_is_shown(visit: Visit) -> None:
    visit.page.fill("#search", "levit_256 ")
    shown = visit.count()
    with visit.page.expect_download() as download:
        visit.page.click("#csv")
    rows = list(csv.DictReader(io.StringIO(download.value.path().read_text(encoding="utf-8"))))
    assert len(rows) == shown > 0
    assert {row["family"] for row in rows} == {"levit"}
    assert float(rows[0]["top1"]) == pytest.approx(81.5, abs=0.1)


@pytest.mark.medium
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_phone(browser: Browser, path: Path, scheme: Any) -> None:
    visit = Visit(browser, path, viewport={"width": 360, "height": 740}, color_scheme=scheme)
    assert visit.page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")
    visit.page.close()
