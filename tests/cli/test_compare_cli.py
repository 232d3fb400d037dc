"""What `modernet compare` prints, with the work itself replaced."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NoReturn

import pytest

from modernet.cli import main
from modernet.records import Record
from modernet.studies import compare as module
from modernet.studies.compare import CompareRequest
from report.compare.made_up import answers, compared_record

NAMES = ("convnext_test", "resnet_test", "swin_test")


def test_networks_of_earlier_calls_are_printed_as_the_page_has_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    right = answers(dict.fromkeys(NAMES, 2.0))
    records = [compared_record(name, right[name], order=place) for place, name in enumerate(NAMES)]
    other = compared_record("vgg11", right[NAMES[0]], comparison="f" * 12)
    for place, record in enumerate([*records, other]):
        record.write(tmp_path / str(place) / "record.json")

    def compared(*arguments: Any, **named: Any) -> list[Record]:
        return records[:2]

    monkeypatch.setattr(module, "compare", compared)
    assert main(["compare", *NAMES[:2], "--out", str(tmp_path), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert {each["candidate"] for each in found["candidates"]} == set(NAMES)
    assert len(found["pairs"]) == 3


def test_ctrl_c_between_two_parts_of_the_work_says_how_to_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def stopped(*arguments: Any, **named: Any) -> NoReturn:
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "compare", stopped)
    assert main(["compare", *NAMES[:2], "--out", str(tmp_path / "runs")]) == 130
    assert capsys.readouterr().err == f"modernet: stopped; the same command continues in {tmp_path / 'runs'}\n"


@pytest.mark.parametrize(
    ("name", "recipe"),
    [("timm:resnet18", "quick"), ("timm:resnet18:drop_rate=0.1", "quick"), ("timm:resnet18.a1_in1k", "finetune")],
)
def test_the_default_recipe_is_to_finetune_only_if_a_network_starts_from_weights(
    name: str, recipe: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[CompareRequest] = []

    def noting(request: CompareRequest, **named: Any) -> NoReturn:
        asked.append(request)
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "compare", noting)
    main(["compare", "convnext_test", name, "--out", str(tmp_path)])
    assert [request.recipe.name for request in asked] == [recipe]
