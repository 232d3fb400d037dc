"""Sections of a comparison and of an advice, whose networks and data have names that are long or look like markup."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from modernet.records import Record
from report.advise import made_up as made_up_advice
from report.compare.made_up import answers, compared_record, training_records
from report.visiting import HOSTILE, Visit

LONG = "a_very_long_name_without_a_space_" * 6
QUOTED = 'it\'s "quoted" {{ 7 * 7 }} light-dark(red, blue) datum.row'
NAMES = (HOSTILE, LONG, QUOTED)

_NARROWEST = """Math.min(...[...document.querySelectorAll(".chart")].map((chart) =>
    chart.querySelector(".role-frame .background").getBoundingClientRect().width / chart.clientWidth))"""
"""The share of its place that the plot of a chart has, in the chart where that is least."""

_BEYOND = """Math.max(...[...document.querySelectorAll(".scroll caption")].map((caption) =>
    caption.offsetWidth - caption.closest(".scroll").clientWidth))"""
"""The pixels of a caption that are seen only by scrolling."""


def comparison() -> list[Record]:
    data = {"name": HOSTILE, "n_train": 800, "n_test": 600, "image_size": 64, "fingerprint": "ab12"}
    right = answers({HOSTILE: 2.9, LONG: 2.8, QUOTED: 1.2})
    candidates = [
        compared_record(
            name,
            right[name],
            order=order,
            speed=100.0 + order,
            data=data,
            recipe=HOSTILE,
            weights=LONG,
            licence=HOSTILE,
        )
        for order, name in enumerate(NAMES)
    ]
    failed = compared_record("resnet50", order=3, speed=None, data=data, failed={"training": HOSTILE + LONG})
    names = {"convnext_nano": HOSTILE, "swin_test": LONG}
    runs = [
        replace(run, name=names[run.name], settings={**run.settings, "candidate": names[run.name]})
        for run in training_records()
    ]
    return [*candidates, failed, *runs]


def advice() -> list[Record]:
    plain = made_up_advice.advice()
    considered = list(plain.considered)
    for place, name in zip((0, 1, 2, -2), (*NAMES, HOSTILE + LONG), strict=True):
        considered[place] = replace(considered[place], name=name, weights=name, licence=name)
    found = made_up_advice.advice(
        pick=HOSTILE,
        level=(LONG, QUOTED),
        considered=tuple(considered),
        data={**plain.data, "name": HOSTILE},
        recipe=HOSTILE,
        not_tried={HOSTILE: LONG, LONG: HOSTILE, QUOTED: QUOTED},
    )
    return [made_up_advice.record(found), *made_up_advice.runs(found)]


@pytest.mark.medium
@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (400, "dark")])
@pytest.mark.parametrize(("kind", "make"), [("compare", comparison), ("advise", advice)])
def test_names_are_text_that_fits(
    kind: str, make: Callable[[], list[Record]], width: int, scheme: Any, visit: Callable[..., Visit]
) -> None:
    opened = visit(make(), viewport={"width": width, "height": 900}, color_scheme=scheme)
    assert opened.complaints == []
    assert [url for url in opened.requests if not url.startswith(("file:", "data:"))] == []
    assert opened.page.title() == "modernet report"
    assert opened.page.locator("img").count() == 0
    assert opened.page.locator("script").count() == 2
    shown = opened.page.locator(f"#{kind}-1").inner_text()
    assert all(name in shown for name in NAMES)
    assert opened.page.evaluate("document.documentElement.scrollWidth") == width
    assert opened.page.evaluate(_NARROWEST) > 0.3
    assert opened.page.evaluate(_BEYOND) <= 0
