"""The explorer in a browser."""

from __future__ import annotations

import csv
import io
import itertools
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from numpy.typing import NDArray

from modernet.catalogue.published_models import ACCURACIES, DEVICES, published_models
from modernet.catalogue.published_papers import published_papers
from modernet.records import Record
from modernet.report import write_explorer
from modernet.report.published.explorer import COLOURS, OTHER
from report.visiting import HOSTILE
from report.visiting import Visit as PageVisit

if TYPE_CHECKING:
    from playwright.sync_api import Browser

ALL = len(published_models()) + len(published_papers())

_VISIBLE = """() => [...document.querySelectorAll("#chart .point")]
    .filter((point) => point.style.visibility !== "hidden" && point.hasAttribute("transform"))"""

# Machado, Oliveira and Fernandes 2009, of linear RGB, severity 1
_BLINDNESS = {
    "none": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}
_TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("explorer") / "published.html"
    assert write_explorer(path) == 0
    return path


class Visit(PageVisit):
    """The explorer with its messages and requests."""

    def __init__(self, browser: Browser, path: Path, **context: Any) -> None:
        super().__init__(browser, path, "document.querySelector('#table tbody tr')", **context)

    def count(self) -> int:
        """Return how many points are visible, which the text below the chart says too."""
        counts = self.page.evaluate(f"({_VISIBLE})().length")
        assert self.text("#shown").startswith(f"{counts:,} of ")
        return int(counts)

    def text(self, selector: str) -> str:
        return self.page.locator(selector).text_content() or ""


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
    assert visit.count() > 1600
    assert visit.page.locator("#table tbody tr").count() == 30


@pytest.mark.medium
def test_it_is_drawn_and_filtered_at_once(browser: Browser, path: Path) -> None:
    """The limits are of the processor's time, as other programs may run beside."""
    page = browser.new_page()
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable", {"timeDomain": "threadTicks"})

    def busy_ms() -> float:
        (seconds,) = (
            each["value"]
            for each in session.send("Performance.getMetrics")["metrics"]
            if each["name"] == "TaskDuration"
        )
        return 1e3 * float(seconds)

    page.goto(path.as_uri())
    page.wait_for_selector("#table tbody tr")
    assert busy_ms() < 1000
    spent = []
    for term in ("vit", "convnext", "", "swin", ""):
        before = busy_ms()
        page.evaluate(
            """(term) => new Promise((done) => {
                const search = document.getElementById("search");
                search.value = term;
                search.dispatchEvent(new Event("input"));
                requestAnimationFrame(() => requestAnimationFrame(done));
            })""",
            term,
        )
        spent.append(busy_ms() - before)
    page.close()
    assert sorted(spent)[len(spent) // 2] < 100


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
    assert ": ImageNet-1K alone, permissive licence." in visit.text("#shown")
    visit.page.fill("#search", "no such network")
    assert visit.count() == 0
    assert visit.text("#shown").startswith(f"0 of {ALL:,} points: ")


@pytest.mark.medium
def test_every_quantity_has_an_axis_with_points(visit: Visit) -> None:
    for name in (*ACCURACIES, "mce", "gain", "params_m", "gmacs", *DEVICES, "a100"):
        visit.page.select_option("#x", "params_m" if name == "gmacs" else "gmacs")
        visit.page.select_option("#y", name)
        assert visit.count() > 10
        assert visit.page.locator("#chart text:not(.title)").count() > 6  # numbers along both axes
    assert visit.complaints == []


@pytest.mark.medium
def test_other_axes_draw_other_points(visit: Visit) -> None:
    def across() -> list[float]:
        return visit.page.evaluate(f"({_VISIBLE})().map((point) => point.transform.baseVal[0].matrix.e)")  # type: ignore[no-any-return]

    visit.page.select_option("#x", "params_m")
    visit.page.select_option("#y", "a")
    assert visit.count() == sum("a" in model.accuracies for model in (*published_models(), *published_papers())
                                if model.params_m is not None or model.architecture)  # fmt: skip
    logarithmic = across()
    visit.page.uncheck("#log")
    assert np.mean(across()) < 0.8 * np.mean(logarithmic)  # most networks are small
    first = visit.page.locator("#table tbody tr").first.text_content() or ""
    assert "eva02_large_patch14_448" in first
    assert visit.complaints == []


@pytest.mark.medium
def test_what_papers_state_is_drawn_apart_from_what_timm_measured(visit: Visit) -> None:
    visit.page.select_option("#x", "gmacs")
    visit.page.select_option("#y", "mce")
    assert visit.page.evaluate(f"({_VISIBLE})().every((point) => getComputedStyle(point).fillOpacity === '0')")
    visit.page.fill("#search", "ConvNeXt-T")
    assert "ConvNeXt, tables 1, 2, 8 and 12 (2022-01)" in visit.text("#table tbody tr")
    visit.page.select_option("#y", "top1")
    visit.page.fill("#search", "levit 256")
    both = visit.count()
    visit.page.select_option("#source", "paper")
    papers = visit.count()
    visit.page.select_option("#source", "timm")
    assert visit.count() == both - papers
    assert 0 < papers < both


@pytest.mark.medium
def test_a_speed_that_is_known_at_another_size_is_scaled_and_says_so(visit: Visit) -> None:
    visit.page.fill("#search", "ResNet-RS-350 2021 256")
    (drawn,) = visit.page.evaluate(f"({_VISIBLE})().map((point) => point.classList.contains('scaled'))")
    assert drawn
    assert "≈ " in visit.text("#table tbody tr")
    visit.page.locator("#table tbody th button").press("Enter")
    assert "scaled from 288 pixels" in visit.text("#about")


@pytest.mark.medium
def test_the_dashed_line_is_of_points_that_none_beats(visit: Visit) -> None:
    visit.page.select_option("#size", "224")
    best, beaten = visit.page.evaluate(
        f"""() => {{
            const points = ({_VISIBLE})().map((point) => point.transform.baseVal[0].matrix).map(({{e, f}}) => [e, f]);
            const path = document.querySelector("#chart .front").getAttribute("d");
            const numbers = path.match(/[\\d.]+/g).map(Number);
            const corners = Array.from({{length: numbers.length / 2}}, (_, i) => [numbers[2 * i], numbers[2 * i + 1]]);
            const beats = ([x, y], [a, b]) => x > a + 0.11 && y < b - 0.11;
            return [corners.length, corners.filter((corner) => points.some((point) => beats(point, corner))).length];
        }}"""
    )
    assert best > 5
    assert beaten == 0


@pytest.mark.medium
def test_a_network_that_loses_at_its_larger_size_is_marked(visit: Visit) -> None:
    visit.page.fill("#search", "convnext_tiny.fb_in22k_ft_in1k 288")
    assert visit.count() == 1
    assert visit.page.locator("td.loses").all_text_contents() == ["−4.0"]  # 82.9 at 224, 78.95 at 288
    assert visit.page.evaluate(f"({_VISIBLE})()[0].classList.contains('loses')")
    visit.page.locator("#table tbody th button").press("Enter")
    assert "loses 4.0 points from 224 to 288 pixels" in visit.text("#about")


@pytest.mark.medium
def test_a_family_gets_a_colour_by_keyboard(visit: Visit) -> None:
    visit.page.locator("summary", has_text="All families").press("Enter")
    levit = visit.page.locator("#families").get_by_role("button", name="levit (15)", exact=True)
    assert levit.get_attribute("aria-pressed") == "true"
    levit.press("Enter")
    assert levit.get_attribute("aria-pressed") == "false"
    visit.page.locator("#families button", has_text="maxvit (").press("Enter")
    assert visit.page.locator("#coloured button").all_text_contents().count("maxvit") == 1
    visit.page.check("#only")
    assert visit.count() < 500


@pytest.mark.medium
def test_points_are_reached_by_arrow_keys_and_by_the_pointer(visit: Visit) -> None:
    visit.page.fill("#search", "levit_256.")
    assert visit.count() == 1
    point = visit.page.locator("#chart .point:not([style*='hidden'])[transform]")
    place = point.bounding_box()
    assert place is not None
    visit.page.mouse.move(place["x"] + 8, place["y"] + 8)
    assert "levit_256.fb_dist_in1k, 224 pixels" in visit.text("#tooltip")
    assert "licence of the weights: apache-2.0" in visit.text("#tooltip")
    visit.page.mouse.move(0, 0)
    visit.page.fill("#search", "levit")
    visit.page.locator("#chart").press("End")
    assert "levit_conv_128s" in visit.text("#about")  # the fastest
    visit.page.locator("#chart").press("ArrowLeft")
    assert visit.text("#about") != ""
    assert visit.page.locator("#chart .ring").count() == 1


@pytest.mark.medium
def test_the_table_sorts_and_tells_of_a_point(visit: Visit) -> None:
    visit.page.locator("#table thead button", has_text="Sketch").press("Enter")
    assert visit.page.locator("#table thead th[aria-sort]").all_text_contents() == ["Sketch"]
    visit.page.locator("#table tbody th button").first.press("Enter")
    assert "siglip" in visit.text("#about")
    assert visit.text("#rows").startswith("The first 30 of 1,")
    visit.page.click("#more")
    assert visit.page.locator("#table tbody tr").count() > 1600
    assert visit.text("#rows") == f"{visit.count():,} rows."


@pytest.mark.medium
def test_accuracies_have_one_decimal_each(visit: Visit) -> None:
    visit.page.fill("#search", "eva02_large_patch14_448")
    shown = visit.page.locator("#table tbody td.top1, #table tbody td.real").all_text_contents()
    assert len(shown) >= 8
    assert [text for text in shown if not re.fullmatch(r"\d\d\.\d", text)] == []


@pytest.mark.medium
def test_the_csv_has_what_is_shown(visit: Visit) -> None:
    visit.page.fill("#search", "levit 256 timm 224")
    shown = visit.count()
    with visit.page.expect_download() as download:
        visit.page.click("#csv")
    rows = list(csv.DictReader(io.StringIO(download.value.path().read_text(encoding="utf-8"))))
    assert len(rows) == shown > 0
    assert {(row["family"], row["source"]) for row in rows} == {("levit", "timm")}
    assert float(rows[0]["top1"]) == pytest.approx(81.5, abs=0.1)


@pytest.mark.medium
def test_own_points_lie_on_top_with_their_names(browser: Browser, tmp_path: Path) -> None:
    settings = {
        "task": "classification", "data": {"name": "imagenet"}, "preparation": {"image_size": 224}, "split": "test",
        "params": 25_000_000, "macs": 4_000_000_000,
    }  # fmt: skip
    path = tmp_path / "published.html"
    assert write_explorer(path, [Record("evaluate", "my_network", settings, {"test_top1": 79.5})]) == 1
    visit = Visit(browser, path)
    visit.page.select_option("#licence", "permissive")  # filters are of published results
    assert visit.page.locator("#chart .name").all_text_contents() == ["my_network, tested here"]
    layers = visit.page.evaluate(
        "[...document.querySelectorAll('#chart g:has(.point)')].map((g) => g.childElementCount)"
    )
    assert layers[-1] == 1
    visit.page.close()


@pytest.mark.medium
def test_an_own_speed_at_another_size_is_drawn_as_scaled(browser: Browser, tmp_path: Path) -> None:
    case = {"benchmark": "b", "index": 0, "model": "convnext_tiny", "mode": "infer", "image_size": 112, "batch": 8}
    metrics = {"top1": 82.1, "params": 28.589e6, "macs": 1.1e9, "images_per_second": 40.0}
    path = tmp_path / "published.html"
    assert write_explorer(path, [Record("benchmark", "case", case, metrics, environment={"device": "CPU"})]) == 1
    visit = Visit(browser, path)
    visit.page.select_option("#x", "CPU")
    assert visit.page.locator("#chart .point.own.scaled").count() == 1
    assert "≈ 10" in visit.text("#table tbody tr")
    visit.page.locator("#table tbody th button").press("Enter")
    assert "10 CPU, measured here, scaled from 112 pixels" in visit.text("#about").replace("images/s: ", "")
    visit.page.close()


@pytest.mark.medium
@pytest.mark.parametrize("width", [360, 1280])
def test_names_of_own_points_are_text_that_fits_the_chart(browser: Browser, tmp_path: Path, width: int) -> None:
    settings = {"task": "classification", "data": {"name": "imagenet"}, "preparation": {"image_size": 224}}
    long = "a_very_long_name_" * 12
    records = [
        Record("evaluate", name, {**settings, "params": 25_000_000, "macs": macs}, {"test_top1": top1})
        for name, macs, top1 in ((HOSTILE, 10**9, 60.0), (long, 10**11, 65.0), ("plain", 10**9, 70.0))
    ]
    path = tmp_path / "published.html"
    assert write_explorer(path, records) == 3
    visit = Visit(browser, path, viewport={"width": width, "height": 740})
    assert visit.complaints == []
    assert visit.page.title() == "Which image models are best?"
    assert visit.page.locator("img").count() == 0
    hostile, cut, plain = visit.page.locator("#chart .name").all_text_contents()
    assert hostile.startswith("</script>")
    assert cut.startswith("a_very_lo")
    assert cut.endswith("tested here")
    assert plain == "plain, tested here"
    for name in visit.page.locator("#chart .name").all():
        box = name.bounding_box()
        assert box is not None
        assert 0 <= box["x"] <= box["x"] + box["width"] <= width
    visit.page.fill("#search", "a_very_long_name")
    assert visit.page.locator("#table tbody th").all_text_contents() == [f"{long}, tested here"]
    visit.page.close()


@pytest.mark.medium
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_phone(browser: Browser, path: Path, scheme: Any) -> None:
    visit = Visit(browser, path, viewport={"width": 360, "height": 740}, color_scheme=scheme)
    assert visit.page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")
    for text in visit.page.locator("#chart text").all():
        box = text.bounding_box()
        assert box is not None
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= 360
    visit.page.close()


@pytest.mark.medium
def test_paper_has_the_chart_and_the_table_in_dark_ink_without_controls(browser: Browser, path: Path) -> None:
    visit = Visit(browser, path, color_scheme="dark")
    visit.page.emulate_media(media="print", color_scheme="dark")
    for selector in ("#controls", "#csv", "#families"):
        assert not visit.page.locator(selector).is_visible()
    for selector in ("#chart", "#rows", "#table", "#coloured", "#legend"):
        assert visit.page.locator(selector).is_visible()
    ink = visit.page.evaluate("getComputedStyle(document.querySelector('#table td')).color")
    assert ink == "rgb(27, 31, 36)"
    visit.page.close()


def _linear(colours: Sequence[str]) -> NDArray[np.float64]:
    """Return linear RGB, (n, 3), of `#rrggbb`."""
    shares = np.array([list(bytes.fromhex(colour[1:])) for colour in colours]) / 255
    return np.where(shares <= 0.04045, shares / 12.92, ((shares + 0.055) / 1.055) ** 2.4)


def _lab(linear: NDArray[np.float64]) -> NDArray[np.float64]:
    scaled = linear.clip(0, 1) @ _TO_XYZ.T / _TO_XYZ.sum(1)
    x, y, z = np.where(scaled > 0.008856, np.cbrt(scaled), 7.787 * scaled + 16 / 116).T
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=1)


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize("blindness", _BLINDNESS)
def test_colours_of_families_differ_for_every_eye(blindness: str, scheme: int) -> None:
    linear = _linear([*(pair[scheme] for pair in COLOURS), OTHER[scheme]])
    seen = _lab(linear @ np.array(_BLINDNESS[blindness]).T)
    assert min(np.linalg.norm(a - b) for a, b in itertools.combinations(seen, 2)) > 20  # of CIELAB; 2.3 is just visible


@pytest.mark.parametrize(("scheme", "ground"), [(0, "#ffffff"), (1, "#161a20")], ids=["light", "dark"])
def test_colours_of_families_stand_out_from_the_ground(scheme: int, ground: str) -> None:
    luminance = _linear([*(pair[scheme] for pair in COLOURS), ground]) @ _TO_XYZ[1] + 0.05
    contrast = np.maximum(luminance, luminance[-1]) / np.minimum(luminance, luminance[-1])
    assert contrast[:-1].min() > 3
