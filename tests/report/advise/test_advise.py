"""The words, the table and the page of an advice, from a made-up one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from modernet.errors import InputError
from modernet.records import Metric, Record, read_record
from modernet.report import advice_table, advice_words, write_report
from modernet.report.advise.advice import Advice, Trial
from modernet.report.advise.chart import rounds_chart, speed_chart
from modernet.report.advise.standings import last_standing
from modernet.report.advise.words import duration, fate, percent
from modernet.report.page import arrange
from modernet.statistics import wilson_interval
from report.advise.made_up import TOP1, advice, record, runs, without_finalist


def fates(found: Advice) -> dict[str, str]:
    return {each.name: fate(found, each) for each in found.considered}


def test_the_words_say_what_to_use_how_sure_that_is_and_what_is_level_with_it() -> None:
    words = advice_words(advice())

    assert words.startswith(
        "Use convnext_nano: more likely than not the best of those that were tried, 72 % sure. After 27 epochs"
    )
    assert "timm:resnet18 and swin_test cannot be told apart from it" in words
    assert "timm:resnet18 is the fastest of them, with 7.40 ms against 11.9 ms" in words
    assert "It took 28 min of 30 min: 11 of 12 candidates were trained in 3 rounds, 4 to the end" in words


def test_few_are_named_and_without_fields_where_the_model_tells_them_apart() -> None:
    made = advice()
    names = ("resnet18:width=16,depths=(1,1,1,1)", "timm:resnet18", "swin_test:dim=16", "swin_test:dim=32", "vit_test")
    others = tuple(replace(made.considered[0], name=name) for name in names)
    words = advice_words(replace(made, considered=(made.considered[0], *others), level=names))

    assert "resnet18, timm:resnet18, swin_test:dim=16 and 2 others cannot be told apart from it" in words


def test_the_words_follow_the_probability() -> None:
    assert "almost certainly the best" in advice_words(advice(sure=0.97))
    assert "a guess as to the best" in advice_words(advice(sure=0.2))
    assert (percent(0.999), percent(0.83), percent(0.001)) == ("over 99 %", "83 %", "under 1 %")


def test_one_with_little_chance_is_not_named_for_its_speed() -> None:
    considered = tuple(
        replace(each, latency_ms=1.0) if each.name == "swin_test" else each for each in advice().considered
    )
    assert "timm:resnet18 is the fastest of them" in advice_words(advice(considered=considered))


def test_the_chance_of_every_candidate_is_in_the_table() -> None:
    headings, *rows = advice_table(advice(), TOP1)
    chance = headings.index("Chance")
    found = {row[0]: row[chance] for row in rows}
    assert (found["convnext_nano"], found["swin_test"], found["resnet34"]) == ("72 %", "4 %", "under 1 %")
    assert found["swin_tiny"] == "–"  # was not trained


def test_the_fastest_is_not_named_where_it_is_the_pick() -> None:
    words = advice_words(advice(pick="timm:resnet18", level=("convnext_nano",)))

    assert "convnext_nano cannot be told apart from it." in words
    assert "fastest" not in words


def test_a_round_in_which_no_training_finished_is_not_called_the_end() -> None:
    late = Trial(1, 0, 9, None, 0, 4.0, error="the time was over")
    considered = tuple(
        replace(
            each, trials=(*(trial for trial in each.trials if trial.round == 0 and trial.score), late), left_at=None
        )
        for each in advice().considered[:3]
    )
    words = advice_words(advice(considered=considered))
    assert words.endswith("3 of 3 candidates were trained in 1 round; 2 others not tried.")


def test_a_last_round_shorter_than_the_recipe_is_said() -> None:
    words = advice_words(advice(epochs=100))
    assert "After 27 of the recipe's 100 epochs, all that the budget allowed, its validation top-1 is" in words
    assert "4 to the last round" in words
    assert fates(advice(epochs=100))["mobilenet_v2"] == "trained to the last round, worse than the pick"
    assert "After 27 epochs its validation" in advice_words(advice(epochs=27))


def test_a_candidate_without_others_is_no_guess() -> None:
    alone = advice(considered=advice().considered[:1], level=())
    assert advice_words(alone).startswith("Use convnext_nano: no other was trained. After 27 epochs")
    assert "None of the others" not in advice_words(alone)


def test_few_validation_images_are_the_reason_for_what_cannot_be_told_apart() -> None:
    few = tuple(
        replace(each, trials=tuple(replace(trial, n=16) for trial in each.trials)) for each in advice().considered
    )
    words = advice_words(advice(considered=few))
    assert "swin_test cannot be told apart from it by 16 validation images" in words


def test_without_anything_that_finished_the_words_say_what_became_of_the_candidates() -> None:
    words = advice_words(without_finalist())

    assert words.startswith("No network can be advised within the limits (at most 20 ms for one image): of 1 candidate")
    assert "1 failed" in words
    assert "none was tried" in advice_words(advice(pick=None, level=(), considered=()))


def test_times_are_in_the_unit_that_suits_them() -> None:
    assert [duration(seconds) for seconds in (42, 90, 1692, 5400, 9000)] == [
        "42 s",
        "1.5 min",
        "28 min",
        "90 min",
        "2.5 h",
    ]


def test_the_table_has_every_candidate_and_marks_what_is_beyond_a_limit() -> None:
    headings, *rows = advice_table(advice())
    cells = {row[0]: dict(zip(headings, row, strict=True)) for row in rows}

    assert len(rows) == 12
    assert all(len(row) == len(headings) for row in rows)
    assert cells["swin_tiny"]["ms"] == "41.0 !"
    assert cells["resnet34"]["ms"] == "14.1"
    assert cells["timm:regnety_002"]["Validation top-1"] == "failed"
    assert cells["efficientnet_b0"]["Licence"] == "not stated"
    assert cells["swin_test"]["Linear probe"] == "–"


def test_columns_of_which_nothing_is_known_are_left_out() -> None:
    bare = advice(considered=tuple(replace(each, probes={}, memory_mb=None, test=None) for each in advice().considered))

    assert not {"MB", "Linear probe", "k-NN", "Test top-1"} & set(advice_table(bare)[0])


def test_how_far_a_candidate_came_is_said_with_the_reason() -> None:
    found = fates(advice())

    assert found["convnext_nano"] == "the pick"
    assert found["swin_test"] == "cannot be told apart from the pick"
    assert found["mobilenet_v2"] == "trained to the end, worse than the pick"
    assert found["resnet34"] == "given up before round 2: in the lower half of its round"
    assert found["swin_tiny"].startswith("not trained: 41 ms for one image")
    early = fates(advice(level=("resnet34",)))
    assert early["resnet34"] == "cannot be told apart from the pick; given up before round 2"


def test_the_interval_of_a_score_is_over_examples_and_seeds() -> None:
    found = advice()
    alone = last_standing(found, next(each for each in found.considered if each.name == "resnet34"), TOP1)
    twice = last_standing(found, found.considered[0], TOP1)

    assert alone is not None
    assert alone.interval is not None
    assert alone.interval.low == pytest.approx(100 * wilson_interval(0.41, 300).low)
    assert twice is not None
    assert twice.interval is not None
    of_examples = wilson_interval(twice.score / 100, 300)
    assert len(twice.seeds) == 2
    assert twice.interval.low < 100 * of_examples.low


def test_scores_of_answers_that_are_neither_right_nor_wrong_have_no_interval_from_one_training() -> None:
    miou = Metric("miou", "mIoU")
    found = advice()
    (trial, *_), rest = found.considered[0].trials, found.considered[0]
    one = replace(rest, trials=(replace(trial, right=""),))
    alone = advice(considered=(one,), level=())

    standing = last_standing(alone, one, miou)
    assert standing is not None
    assert standing.interval is None
    assert rounds_chart(alone, miou) is not None


def test_the_second_chart_is_over_images_per_second_where_no_latency_is_known() -> None:
    with_latency = speed_chart(advice(), TOP1)
    without = speed_chart(
        advice(considered=tuple(replace(each, latency_ms=None) for each in advice().considered)), TOP1
    )

    assert with_latency is not None
    assert without is not None
    assert "limit 20 ms" in str(with_latency[0])
    assert "against latency" in with_latency[1]
    assert "against images per second" in without[1]
    assert "limit" not in without[1]


def test_the_page_claims_the_trainings_of_the_advice_and_no_others() -> None:
    found = advice()
    other = Record("train", "resnet50", {"data": {"name": "my_photos"}}, {"test_top1": 50.0})
    of_other_images = replace(runs(found)[0], settings={**runs(found)[0].settings, "data": {"fingerprint": "else"}})

    kinds = {section.kind: section for section in arrange([record(found), *runs(found), other, of_other_images])}

    assert len(kinds["advise"].records) == 1 + len(runs(found))
    assert [len(section.records) for name, section in kinds.items() if name == "training"] == [1]


def test_a_report_has_the_page_and_the_chart(tmp_path: Path) -> None:
    written = write_report([record(advice()), *runs(advice())], tmp_path)

    assert [path.name for path in written] == ["advice.png", "report.html"]
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "What to use for my_photos" in page
    assert "the licence of its weights, cc-by-nc-4.0, is not permissive" in page
    assert "Failed: timm:regnety_002: the loss became NaN" in page
    with Image.open(tmp_path / "advice.png") as image:
        assert image.width == 1800
        assert image.height > 1500


@pytest.mark.parametrize("found", [without_finalist(), advice(pick=None, sure=0.0, level=(), considered=())])
def test_an_advice_without_finalists_has_a_page_and_a_chart_that_say_so(found: Advice, tmp_path: Path) -> None:
    write_report([record(found)], tmp_path)

    assert "No network can be advised" in (tmp_path / "report.html").read_text(encoding="utf-8")
    with Image.open(tmp_path / "advice.png") as image:
        assert image.height < 200


def test_names_are_text_on_the_page(tmp_path: Path) -> None:
    sneaky = replace(advice().considered[0], name="<script>alert(1)</script>")
    found = advice(pick=sneaky.name, considered=(sneaky, *advice().considered[1:]), not_tried={"<b>x</b>": "<i>y</i>"})
    write_report([record(found)], tmp_path)

    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "<script>alert(1)" not in page
    assert "<i>y" not in page


def test_advice_comes_back_from_its_record(tmp_path: Path) -> None:
    record(advice()).write(tmp_path / "record.json")
    stored = read_record(tmp_path / "record.json")

    assert Advice.from_record(stored) == advice()
    del stored.details["not_tried"]
    with pytest.raises(InputError, match="has no 'not_tried'; run modernet advise again"):
        arrange([stored])
