from __future__ import annotations

import base64
import dataclasses
import io
import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from modernet.errors import InputError
from modernet.records import Metric, Record
from modernet.report import page, road, write_page
from modernet.report.drawing.script import vega_script
from modernet.report.section import Section
from report.robustness.made_up import made_up_record
from report.visiting import HOSTILE, Visit

Runs = Callable[..., Record]
Walk = Callable[..., list[Record]]


@pytest.fixture(scope="module")
def records(walk: Walk, run: Runs, training_run: Runs) -> list[Record]:
    """A road with a failed step and a failed seed, three training runs, and an evaluation."""
    road = [record for record in walk() if record.settings["row"] != "8d"]
    road += [run("8d", seed=seed, error="out of memory: 3.2 GiB asked") for seed in range(3)]
    training = [
        training_run("convnext_atto"),
        training_run("resnet18", 0, 88.0),
        training_run("vit_tiny", error="loss is nan"),
    ]
    transferred = Record("transfer", "atto on usps", {}, {"usps_top1": 71.25}, environment={"device": "CPU"})
    return [*road, *training, transferred]


@pytest.fixture(scope="module")
def opened(visit: Callable[..., Visit], records: list[Record]) -> Visit:
    """The page of `records` on a desktop, for tests that do not change it."""
    return visit(records)


def test_no_records_are_a_one_line_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^there are no records to report; give the folder that a run wrote"):
        write_page([], tmp_path / "page.html")
    assert list(tmp_path.iterdir()) == []


def test_a_record_belongs_to_the_first_kind_that_puts_it_into_a_section(
    run: Runs, training_run: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Greedy:
        def sections(self, records: Sequence[Record]) -> list[Section]:
            taken = [record for record in records if record.name == "resnet18"]
            return [Section("other", f"Seen {len(records)}", "", {"runs": taken}, taken)]

    records = [run("1"), training_run("resnet18"), training_run("vit_tiny")]
    after = page.KINDS.index(road) + 1
    monkeypatch.setattr(page, "KINDS", (*page.KINDS[:after], Greedy(), *page.KINDS[after:]))
    found = page.arrange(records)
    assert [section.kind for section in found] == ["road", "other", "training"]
    assert found[1].title == "Seen 2"
    assert [record.name for record in found[2].records] == ["vit_tiny"]


def test_the_page_contains_vega_once_and_little_else(records: list[Record], tmp_path: Path) -> None:
    write_page(records, tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert text.count("window.vegaEmbed=") == 1
    assert len(vega_script()) < 1_000_000
    assert len(text) - len(vega_script()) < 400_000


@pytest.mark.medium
def test_the_page_opens_from_disk_and_draws_its_charts_without_network_requests(
    opened: Visit,
) -> None:
    assert opened.complaints == []
    assert [url for url in opened.requests if not url.startswith(("file:", "data:"))] == []
    assert opened.page.locator(".chart").count() == 6  # road, cost, two of its curves, two of the training runs
    road = opened.page.locator("#road-1 .chart").first
    assert road.locator(".bars_marks path").count() == 16
    assert "failed" in (road.text_content() or "")
    assert opened.page.locator("#road-1 .curves .chart").first.locator(".mark-line path").count() == 16


def test_the_page_has_findings_failures_and_the_origin_of_its_numbers(opened: Visit) -> None:
    page = opened.page
    road = page.locator("#road-1")
    assert "From ResNet to Separate downsampling" in road.locator(".findings").inner_text()
    failed = road.locator("tbody tr", has_text="Kernel 11x11").inner_text()
    assert "out of memory: 3.2 GiB asked" in failed
    assert "0 of 3" in failed
    kernel = road.locator("tbody tr", has=page.locator(".title", has_text="Kernel 7x7")).inner_text()
    assert "The depthwise kernel grows to 7x7." in kernel
    origin = road.locator("dl").inner_text()
    assert all(
        fact in origin for fact in ("CPU, 2 threads", "torch 2.15.0", "0123456789ab", "2026-11-20", "n_test 1000")
    )
    road.locator("details summary").click()
    assert road.locator(".recipe thead th").all_inner_texts() == ["Setting", "step 0", "steps 1 to 13"]
    assert "lr" in road.locator(".recipe tr.differs th").all_inner_texts()
    assert "epochs" not in road.locator(".recipe tr.differs th").all_inner_texts()
    training = page.locator("#training-1").inner_text()
    assert all(text in training for text in ("convnext_atto", "91.2", "vit_tiny", "Failed: loss is nan"))
    assert "usps_top1 71.25" in page.locator("#other-1").inner_text()


def test_every_table_has_headers_and_every_chart_a_text_alternative(opened: Visit) -> None:
    page = opened.page
    for table in page.locator("table").all():
        assert table.locator("thead th[scope=col]").count() > 1
        assert table.locator("tbody tr").count() == table.locator("tbody th[scope=row]").count()
    for chart in page.locator(".chart").all():
        assert chart.get_attribute("role") == "img"
        assert len(chart.get_attribute("aria-label") or "") > 20


def test_hovering_a_bar_shows_its_seeds_interval_and_macs(opened: Visit) -> None:
    page = opened.page
    page.locator("#road-1 .chart").first.locator(".bars_marks path").nth(4).hover(
        position={"x": 40, "y": 4}, force=True
    )
    box = page.locator("#tooltip")
    box.wait_for()
    lines = box.locator("div").all_inner_texts()
    assert lines[0] == "4 Depthwise conv"
    assert all(part in "\n".join(lines) for part in ("seeds 0: ", "against 3: ", "2.35G MACs"))


def test_dark_mode_changes_the_page_and_its_charts_while_it_is_open(
    visit: Callable[..., Visit], records: list[Record]
) -> None:
    page = visit(records, color_scheme="light").page
    colors = """() => [getComputedStyle(document.body).backgroundColor,
                       document.querySelector('.chart .role-axis-label text').getAttribute('fill'),
                       document.querySelector('.chart .bars_marks path').getAttribute('fill')]"""
    light = page.evaluate(colors)
    page.emulate_media(color_scheme="dark")
    page.wait_for_function(f"(before) => ({colors})().every((color, i) => color !== before[i])", arg=light)
    assert page.evaluate(colors)[0] == "rgb(15, 18, 22)"


def test_charts_fit_the_window_when_its_width_changes(visit: Callable[..., Visit], records: list[Record]) -> None:
    page = visit(records, viewport={"width": 1200, "height": 800}).page
    width = "document.querySelector('.chart svg').getBoundingClientRect().width"
    fits = f"Math.abs({width} - document.querySelector('.chart').clientWidth) < 3"
    page.wait_for_function(fits)
    assert page.evaluate(width) > 900
    assert "2.35G" in (page.locator("#road-1 .chart").first.text_content() or "")
    page.set_viewport_size({"width": 390, "height": 800})
    page.wait_for_function(fits)
    page.wait_for_function("!document.querySelector('.chart').textContent.includes('2.35G')")  # no room for MACs


def test_on_a_phone_tables_scroll_but_the_page_does_not(
    visit: Callable[..., Visit], records: list[Record], run: Runs
) -> None:
    endless = run("1", seed=9, error="/" + "very_long_folder_name" * 12)
    page = visit([*records, endless], viewport={"width": 390, "height": 844}).page
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    box = page.locator("#road-1 .scroll").first
    assert box.evaluate("(box) => box.scrollWidth > box.clientWidth")


def test_a_pressed_key_highlights_its_line(opened: Visit) -> None:
    page = opened.page
    key = page.locator("#road-1 .key button").nth(2)
    bright = """(expected) => [...document.querySelectorAll('#road-1 .curves .chart')].every((chart) => {
        const lines = [...chart.querySelectorAll('.mark-line path')];
        const bright = lines.flatMap((line, i) => Number(line.getAttribute('opacity')) === 1 ? [i] : []);
        return JSON.stringify(bright) === JSON.stringify(expected);
    })"""
    page.wait_for_function(bright, arg=list(range(16)))
    key.click()
    assert key.get_attribute("aria-pressed") == "true"
    page.wait_for_function(bright, arg=[2])
    key.click()
    page.wait_for_function(bright, arg=list(range(16)))


def test_text_of_records_never_becomes_markup_or_script(
    visit: Callable[..., Visit], run: Runs, training_run: Runs
) -> None:
    data = dict(run("1").settings["data"]) | {"name": HOSTILE, "unreadable": [HOSTILE]}
    recipe = {HOSTILE: HOSTILE, "epochs": 3}
    environment = {"device": HOSTILE, "versions": {HOSTILE: HOSTILE}, "commit": HOSTILE}
    records = [
        run("1", seed=0, title=HOSTILE, change=HOSTILE, data=data, recipe=recipe),
        run("2", seed=0, error=HOSTILE, data=data, recipe=recipe),
        dataclasses.replace(training_run(), name=HOSTILE, environment=environment),
        Record(HOSTILE, HOSTILE, {}, {HOSTILE: 1.0}, environment=environment, error=HOSTILE),
    ]
    opened = visit(records)
    assert opened.complaints == []
    assert opened.page.title() == "modernet report"
    assert opened.page.locator("img").count() == 0
    assert opened.page.locator("script").count() == 2
    assert HOSTILE in opened.page.locator("#road-1 h2").inner_text()
    chart = opened.page.locator("#road-1 .chart").first
    assert HOSTILE[:20] in (chart.text_content() or "")  # the rest is cut off, where depends on the fonts
    for line in ("</script><script>", "failed: </script>"):
        chart.locator(".mark-text text", has_text="failed" if "failed" in line else "</script>").first.hover(force=True)
        opened.page.locator("#tooltip", has_text=line).wait_for()
        assert opened.page.locator("#tooltip *").count() == opened.page.locator("#tooltip > div").count()
    assert opened.page.title() == "modernet report"


def test_runs_without_history_have_no_curves(visit: Callable[..., Visit], training_run: Runs) -> None:
    opened = visit([dataclasses.replace(training_run(), history=[])])
    assert opened.complaints == []
    assert opened.page.locator(".curves").count() == 0
    assert "91.2" in opened.page.locator("#training-1").inner_text()


def test_a_benchmark_is_drawn_offline_and_its_text_never_becomes_markup(
    visit: Callable[..., Visit], made_up_case: Runs
) -> None:
    records = [
        made_up_case("convnext_tiny", 0, top1=82.1, layout=HOSTILE),
        made_up_case(HOSTILE, 1, 15_000, top1=81.3, device=HOSTILE),
        made_up_case("swin_base", 2, error=HOSTILE),
    ]
    opened = visit(records, viewport={"width": 390, "height": 844})
    assert opened.complaints == []
    assert [url for url in opened.requests if not url.startswith(("file:", "data:"))] == []
    assert opened.page.evaluate("document.documentElement.scrollWidth") <= 390
    section = opened.page.locator("#benchmark-1")
    assert section.locator(".chart").count() == 2  # bars of speed, and accuracy against it
    assert section.locator(".chart").first.locator(".bars_marks path").count() == 2
    assert section.locator("tbody tr").count() == 3
    assert f"Failed: {HOSTILE}" in section.locator("tbody").inner_text()
    assert opened.page.locator("img").count() == 0
    assert opened.page.title() == "modernet report"


def test_a_factorial_study_and_curves_of_hostile_names_are_drawn_as_text(
    visit: Callable[..., Visit], training_run: Runs
) -> None:
    decisions = {"a": HOSTILE, "b": "light-dark(red, blue) datum.row"}
    records = [
        Record(
            "train",
            HOSTILE,
            {
                "study": "factorial", "size": HOSTILE, "network": number, "networks": 4, "decisions": decisions,
                "levels": {"a": a, "b": b}, "seed": seed, "recipe": {}, "data": {"name": HOSTILE},
            },
            {"test_top1": 70.0 + 4 * a + number / 10 + seed},
        )
        for number, (a, b) in enumerate(((-1, -1), (1, -1), (-1, 1), (1, 1)))
        for seed in range(2)
    ]  # fmt: skip
    hostile = Metric("miou", HOSTILE, HOSTILE)
    history = [{"epoch": epoch, "train_loss": 1 / epoch, "validation_miou": 3.0 * epoch} for epoch in (1.0, 2.0)]
    run = dataclasses.replace(training_run(), name=HOSTILE, history=history, task_metrics=(hostile,))
    opened = visit([*records, run])
    assert opened.complaints == []
    assert opened.page.title() == "modernet report"
    assert opened.page.locator("img").count() == 0
    assert opened.page.locator("script").count() == 2
    effects = opened.page.locator("#factorial-1 .chart")
    assert effects.locator(".mark-symbol path").count() == 3
    assert HOSTILE[:30] in (effects.text_content() or "")
    assert "light-dark(red, blue) datum.row" in (effects.text_content() or "")
    assert HOSTILE[:30] in (opened.page.locator("#training-1 .chart").nth(1).text_content() or "")


def cells_of(text: str, start: str) -> list[str]:
    """Return the texts of the cells in the row with a label."""
    row = next(row for row in re.findall(r"<tr.*?</tr>", text, re.DOTALL) if f">{start}<" in row)
    return [re.sub(r"<.*?>|\s", "", cell) for cell in re.findall(r"<td.*?</td>", row, re.DOTALL)]


def test_training_runs_of_one_name_have_distinct_labels_and_curves(training_run: Runs, tmp_path: Path) -> None:
    records = [training_run("resnet18", 0, 88.0), training_run("resnet18", 1, 89.0, recipe={"lr": 0.1})]
    path = tmp_path / "page.html"
    write_page([*records, training_run("vit_tiny")], path)
    text = path.read_text(encoding="utf-8")
    first, second = "resnet18 (lr 0.002, seed 0)", "resnet18 (lr 0.1, seed 1)"
    for label, top1 in ((first, "88.0"), (second, "89.0"), ("vit_tiny", "91.2")):
        assert f'<span class="name">{label}</span>' in text
        assert cells_of(text, label)[0] == top1
    assert ">resnet18<" not in text
    charts = [json.loads(chart) for chart in re.findall(r'<script type="application/json">(.*?)</script>', text)]
    named = [[row["about"].partition("\n")[0] for row in chart["data"][0]["values"]] for chart in charts]
    assert [list(dict.fromkeys(names)) for names in named] == [[first, second, "vit_tiny"]] * 2
    assert f'<th scope="col">{first}, vit_tiny</th><th scope="col">{second}</th>' in text


def test_a_training_run_has_its_counts_and_a_dash_for_a_missing_speed(training_run: Runs, tmp_path: Path) -> None:
    hasty = training_run("resnet18")
    del hasty.metrics["train_images_per_second"]
    write_page([training_run("vit_tiny"), hasty], tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert cells_of(text, "vit_tiny")[5:8] == ["3.40M", "550M", "1,200"]
    assert cells_of(text, "resnet18")[5:8] == ["3.40M", "550M", "–"]


def test_the_page_lists_unreadable_images(training_run: Runs, tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    write_page([training_run(data={"unreadable": ["cat/<b>.png", "dog/1.png"]})], path)
    text = path.read_text(encoding="utf-8")
    assert "unreadable 2</dd>" in text
    assert "could not be read: 2</summary>" in text
    assert "<li>cat/&lt;b&gt;.png</li><li>dog/1.png</li>" in text
    without: list[dict[str, Any]] = [{"unreadable": []}, {"unreadable": 0}]
    for facts in without:
        write_page([training_run(data=facts)], path)
        text = path.read_text(encoding="utf-8")
        assert "unreadable" not in text[text.index("<main>") : text.index("</main>")]
        assert "could not be read" not in text


def test_the_page_has_the_number_of_unreadable_images_of_records_without_names(
    training_run: Runs, tmp_path: Path
) -> None:
    write_page([training_run(data={"unreadable": 3})], tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "unreadable 3</dd>" in text
    assert "could not be read" not in text


def test_the_page_has_the_number_of_concurrent_runs(run: Runs, tmp_path: Path) -> None:
    record = run("1", device="CPU, 1 thread")
    record.environment.update(workers=2, threads=1)
    write_page([record], tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "test images · CPU, 1 thread, 2 concurrent runs</p>" in text
    assert "<dt>Device</dt><dd>CPU, 1 thread, 2 concurrent runs</dd>" in text


def segmentation_run(name: str, miou: float, *, higher_is_better: bool = True) -> Record:
    """A run of a task that the report does not know."""
    metrics = {"test_miou": miou, "test_pixel_accuracy": 93.21, "test_n": 40, "validation_miou": 61.0}
    history = [{"epoch": epoch, "train_loss": 2.0 / epoch, "validation_miou": 20.0 * epoch} for epoch in (1, 2, 3)]
    described = (
        Metric("miou", "mIoU", digits=2, higher_is_better=higher_is_better),
        Metric("pixel_accuracy", "pixel accuracy"),
    )
    settings = {"data": {"name": "digit_scenes"}, "seed": 0, "params": 3_400_000, "macs": 550_000_000}
    return Record("train", name, settings, metrics, history, task_metrics=described)


@pytest.mark.medium
def test_runs_of_a_task_that_the_report_does_not_know_get_curves_and_a_table(
    training_run: Runs, tmp_path: Path
) -> None:
    records = [segmentation_run("upernet", 61.234), segmentation_run("fcn", 58.0), training_run("resnet18")]
    write_page(records, tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert re.findall(r'<h2 id="training-\d-title">(.*?)</h2>', text) == [
        "Training on digit_scenes, mIoU",
        "Training on digit_scenes, top-1",
    ]
    assert cells_of(text, "upernet")[:4] == ["61.23", "93.2", "40", "61.00"]
    assert '<th scope="col">Test mIoU</th>' in text
    assert "Validation mIoU by epoch." in text
    assert "validation mIoU, %" in text


@pytest.mark.medium
def test_the_page_marks_metrics_whose_lower_values_are_better(tmp_path: Path) -> None:
    write_page([segmentation_run("a", 1.0, higher_is_better=False)], tmp_path / "page.html")
    assert '<th scope="col">Test mIoU ↓</th>' in (tmp_path / "page.html").read_text(encoding="utf-8")


@pytest.mark.medium
def test_errors_of_a_run_are_drawn_offline_and_their_text_never_becomes_markup(
    visit: Callable[..., Visit], training_run: Runs
) -> None:
    drawing = io.BytesIO()
    Image.new("RGB", (30, 20), "red").save(drawing, "JPEG")
    details = {
        "confusion": {"classes": [HOSTILE, HOSTILE, "datum.row + 1"], "counts": [[8, 2, 0]] * 3},
        "precision_recall": [{"class": HOSTILE, "iou": 0.5, "precision": [1.0, 0.5]}],
        "misses": [{"image": HOSTILE, "why": HOSTILE, "jpeg": base64.b64encode(drawing.getvalue()).decode()}],
    }
    opened = visit([dataclasses.replace(training_run(), details=details)], viewport={"width": 400, "height": 800})
    assert opened.complaints == []
    assert [url for url in opened.requests if not url.startswith(("file:", "data:"))] == []
    assert opened.page.title() == "modernet report"
    confusion = opened.page.locator("#training-1 .chart").nth(2)
    assert confusion.locator(".mark-rect path").count() == 6
    assert "datum.row + 1" in (confusion.text_content() or "")
    confusion.locator(".mark-rect path").nth(2).hover(position={"x": 15, "y": 20})
    assert "taken for" in opened.page.locator("#tooltip").inner_text()
    assert opened.page.locator("#training-1 .chart").nth(3).locator(".mark-line path").count() == 1
    image = opened.page.locator(".gallery img")
    image.scroll_into_view_if_needed()
    opened.page.wait_for_function("document.querySelector('.gallery img').naturalWidth === 30")
    assert opened.page.evaluate("document.documentElement.scrollWidth") == 400


@pytest.mark.medium
def test_a_test_of_robustness_is_drawn_offline_and_its_text_never_becomes_markup(visit: Callable[..., Visit]) -> None:
    hostile = made_up_record(
        HOSTILE, 1.3, protocol={HOSTILE: HOSTILE}, baseline=HOSTILE, data={"name": HOSTILE, "fingerprint": "0123"}
    )
    for row in hostile.details["corruptions"] + hostile.details["corruption_means"]:
        row["corruption"] = row["corruption"].replace("fog", HOSTILE)
    hostile.details["resolution"][-1]["reason"] = hostile.details["bias"]["probes"][0]["title"] = HOSTILE
    plain = made_up_record(data={"name": HOSTILE, "fingerprint": "0123"})
    opened = visit([hostile, plain], viewport={"width": 400, "height": 800})
    assert opened.complaints == []
    assert [url for url in opened.requests if not url.startswith(("file:", "data:"))] == []
    assert opened.page.title() == "modernet report"
    assert opened.page.locator("img").count() == 0
    assert opened.page.evaluate("document.documentElement.scrollWidth") == 400
    section = opened.page.locator("#robustness-1")
    assert section.locator(".chart").count() == 5
    strips = section.locator(".chart").first
    assert HOSTILE[:10] in (strips.text_content() or "")
    assert strips.locator(".mark-line path").count() == 2 * 15
    for table in section.locator("table").all():
        assert table.locator("tbody tr").count() == table.locator("tbody th[scope=row]").count()
