"""The analysis, the words, the tables and the page of a comparison, from made-up records."""

from __future__ import annotations

import dataclasses
import io
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from modernet.differences import crossed_difference, crossed_mean, joined
from modernet.errors import InputError
from modernet.records import Metric, Record, read_record
from modernet.report import (
    Comparison,
    compare_json,
    compare_table,
    conclusion,
    summarise_comparisons,
    write_report,
)
from modernet.report.compare.analysis import differences_to_best
from modernet.report.compare.chart import front_note
from modernet.report.compare.tables import p_value, rows
from modernet.report.page import arrange
from modernet.statistics import holm
from report.compare.made_up import answers, compared_record, compared_records, training_records

MIOU = Metric("miou", "mIoU", digits=2)


def summary(records: list[Record]) -> Comparison:
    (comparison,) = summarise_comparisons(records)
    return comparison


def words(records: list[Record]) -> str:
    return conclusion(summary(records)).replace("\N{NO-BREAK SPACE}", " ")


def printed(comparison: Comparison) -> str:
    console = Console(width=160, file=io.StringIO(), record=True)
    console.print(compare_table(comparison))
    return " ".join(console.export_text().split())


def test_candidates_are_ranked_with_intervals_and_letters_that_follow_holms_decisions() -> None:
    comparison = summary(compared_records())

    means = [each.mean for each in comparison.candidates]
    assert means == sorted(means, reverse=True)
    assert [each.name for each in comparison.candidates[-2:]] == ["mobilenet", "vit_tiny"]
    best = comparison.candidates[0]
    expected = crossed_mean([[int(answer) for answer in seed] for seed in best.compared.right])
    assert best.interval is not None
    assert (best.interval.low, best.interval.high) == pytest.approx((100 * expected.low, 100 * expected.high))
    assert len(comparison.pairs) == 15
    letters = {each.name: set(each.letters) for each in comparison.candidates}
    decisions = holm([pair.p for pair in comparison.pairs if pair.p is not None])
    for pair, decision in zip(comparison.pairs, decisions, strict=True):
        assert pair.distinguished == decision
        assert bool(letters[pair.first] & letters[pair.second]) != decision
    assert {each.name for each in comparison.best_group} == {"swin_test", "resnet50", "convnext_nano"}


def test_a_pair_is_compared_over_images_and_seeds_in_the_unit_of_the_metric() -> None:
    drawn = answers({"a": 2.0, "b": 1.6})
    comparison = summary(
        [compared_record(name, right, order=place) for place, (name, right) in enumerate(drawn.items())]
    )
    (pair,) = comparison.pairs

    truth = crossed_difference(*([[int(each) for each in seed] for seed in right] for right in drawn.values()))
    assert (pair.first, pair.second) == ("a", "b")
    assert pair.difference == pytest.approx(100 * truth.mean)
    assert pair.p == truth.p
    assert pair.interval is not None
    assert truth.interval is not None
    assert pair.interval.low == pytest.approx(100 * truth.interval.low)


def test_what_would_settle_a_pair_is_said_only_where_it_is_open() -> None:
    for pair in summary(compared_records()).pairs:
        if pair.distinguished:
            assert pair.seeds is None
            assert pair.images is None
        else:
            assert (pair.seeds is None) != (pair.images is None)
            assert pair.seeds is None or pair.seeds > 3
            assert pair.images is None or pair.images > 600


def test_the_front_has_what_nothing_beats_in_both_and_domination_needs_certainty() -> None:
    comparison = summary(compared_records())
    fronts = {each.name: each.fronts for each in comparison.candidates}
    both = ("images_per_second", "latency_ms")

    assert fronts["swin_test"] == fronts["timm:resnet18"] == both
    assert fronts["mobilenet"] == fronts["vit_tiny"] == ()
    dominated = {each.name: each.dominated_by for each in comparison.candidates if each.dominated_by}
    assert dominated == {"vit_tiny": ("timm:resnet18", "mobilenet")}  # mobilenet is slower, but not clearly worse


def test_intervals_of_speeds_that_overlap_dominate_nothing() -> None:
    drawn = answers({"a": 3.0, "b": 0.5})
    for speed, dominated in ((105.0, ()), (110.0, ("a",))):
        records = [compared_record("a", drawn["a"], speed=speed), compared_record("b", drawn["b"], speed=100.0)]
        assert summary(records).candidates[1].dominated_by == dominated


def test_a_network_of_shorter_latency_is_not_called_slower() -> None:
    drawn = answers({"a": 3.0, "b": 0.5})
    better = compared_record("a", drawn["a"], speed=200.0)
    for latency, dominated in ((9.0, ("a",)), (4.0, ())):
        worse = compared_record("b", drawn["b"], speed=100.0, order=1)
        (of_worse,) = (each for each in worse.details["measured"] if each["metric"]["name"] == "latency_ms")
        of_worse["values"] = (latency,)
        assert summary([better, worse]).candidates[1].dominated_by == dominated


def test_the_conclusion_says_how_what_and_what_not() -> None:
    text = words([*compared_records(), compared_record("efficientnet", failed={"seed 0": "out of memory"})])

    assert text.startswith(
        "6 networks trained on flowers12 with recipe small_data for 20 epochs, 3 seeds each, from random weights."
    )
    assert "but cannot be told apart from resnet50 and convnext_nano; it is better than the other 3." in text
    assert "If the observed differences are the true ones, telling them apart would take about" in text
    assert "seeds each for convnext_nano; no number of seeds is enough on these 600 test images: it would take" in text
    assert re.search(r"it would take at least [\d,]+ test images for resnet50", text)
    assert "The fastest of these is convnext_nano with 410 images/s, 2.7 times as fast as swin_test." in text
    assert "Beyond uncertainty, vit_tiny is worse and slower than timm:resnet18." in text
    assert "Without a result: efficientnet." in text
    assert "flowers12 is one data set" in text
    assert "no candidate was tuned" in text


def test_the_conclusion_names_a_clear_winner_tuning_and_an_uneven_start() -> None:
    drawn = answers({"a": 3.0, "b": 0.5})
    first = compared_record("a", drawn["a"], weights="a.in1k", licence="mit", trials=({"lr": 0.1}, {"lr": 0.2}))
    text = words([first, compared_record("b", drawn["b"], order=1)])

    assert "and is better than every other: +" in text
    assert "tuned with up to 2 settings on validation" in text
    assert "pretrained weights, but b from random ones, which is no even contest" in text
    assert "validation images that chose settings flatter validation scores" in text
    assert "weights a.in1k, mit" in rows(summary([first]))[0].detail


def test_one_seed_each_compares_two_trainings_and_says_so() -> None:
    comparison = summary(compared_records(seeds=1))

    assert all(pair.seeds is None and pair.images is None for pair in comparison.pairs)
    text = conclusion(comparison)
    assert "1 seed each" in text
    assert "With one seed each it is not known how much training varies" in text
    assert "the luck of training is not in it" in printed(comparison)
    assert "mean over seeds, with its 95 % interval over test images; std" in printed(comparison)
    mixed = summary([*compared_records()[:1], *compared_records(seeds=1)[1:2]])
    assert "with its 95 % interval over test images, and over seeds from two on; std" in printed(mixed)


def test_scores_that_are_no_shares_of_images_are_compared_over_seeds() -> None:
    def of(name: str, score: list[float], order: int) -> Record:
        return compared_record(name, score=score, order=order, metric=MIOU, task="segmentation")

    comparison = summary([of("fcn", [50.0, 50.4, 49.8], 0), of("upernet", [61.0, 60.2, 61.5], 1)])
    (pair,) = comparison.pairs
    assert not comparison.paired
    assert (pair.first, pair.distinguished) == ("upernet", True)
    assert "Intervals are over seeds alone, not over test images." in conclusion(comparison)
    single = summary([of("fcn", [50.0], 0), of("upernet", [61.0], 1)])
    assert single.pairs[0].p is None
    assert single.candidates[0].interval is None
    assert "with so few seeds nothing says whether this is more than luck" in conclusion(single)
    assert "over seeds alone, not" not in conclusion(single)
    assert [joined(each.letters) for each in single.candidates] == ["a", "a"]


def test_two_seeds_that_differ_by_what_few_test_images_explain_leave_the_mean_an_interval_of_use() -> None:
    drawn = answers({"a": 1.5, "b": 0.3}, seeds=2, n=50, luck=0.0)
    comparison = summary([compared_record(name, right, n=50) for name, right in drawn.items()])
    (pair,) = comparison.pairs

    assert pair.interval is not None
    for each in comparison.candidates:
        assert len(set(each.compared.score)) == 2
        assert each.interval is not None
        assert each.interval.margin < 1.2 * pair.interval.margin
    assert "Two seeds hardly tell how much trainings vary: give three or more." in conclusion(comparison)


def test_two_seeds_alone_give_a_mean_no_interval_and_more_none_beyond_what_a_metric_can_be() -> None:
    def of(name: str, score: list[float], order: int) -> Record:
        return compared_record(name, score=score, order=order, metric=MIOU, task="segmentation")

    two = summary([of("fcn", [4.2, 3.0], 0), of("upernet", [6.4, 10.0], 1)])
    assert [each.interval for each in two.candidates] == [None, None]
    assert two.pairs[0].interval is not None
    assert compare_table(two).columns[2].header == "mIoU"
    assert "mean over seeds; std: between seeds." in printed(two)
    assert front_note(two).startswith("Horizontal line")
    assert "both saw the same images" not in front_note(two)

    three = summary([of("fcn", [1.0, 9.0, 2.0], 0), of("upernet", [98.0, 91.0, 99.9], 1)])
    upernet, fcn = three.candidates
    assert upernet.interval is not None
    assert fcn.interval is not None
    assert (fcn.interval.low, upernet.interval.high) == (0.0, 100.0)
    assert compare_table(three).columns[2].header == "mIoU\n95 % interval"
    assert "Two seeds" not in conclusion(three)


def test_answers_that_could_not_be_measured_are_said_to_leave_nothing_paired() -> None:
    drawn = answers({"a": 3.0, "b": 0.5})
    whole = compared_record("a", drawn["a"])
    scores = [100 * each.count("1") / len(each) for each in drawn["b"]]
    lost = compared_record("b", score=scores, order=1, failed={"measuring seed 2": "OSError: gone"})
    comparison = summary([whole, lost])
    text = conclusion(comparison)

    assert not comparison.paired
    assert comparison.unanswered == ("b",)
    assert "Some runs could not be measured of b." in text
    assert "As the answers of b to the test images are not known for every seed, nothing is compared image by" in text
    assert "not counted" not in text
    assert "Intervals are over seeds alone" in text
    assert summary([whole, compared_record("b", drawn["b"], order=1)]).unanswered == ()


def test_how_nearly_trainings_were_alike_is_said_as_epochs_are_whole() -> None:
    drawn = answers({"a": 2.0, "b": 1.9})
    macs = Metric("macs", "multiply-accumulates", "", 0, higher_is_better=False)

    def text(budget: str, seconds: float, epochs: int) -> str:
        records = [
            compared_record(name, drawn[name], budget=budget, seconds=own, epochs=whole, order=place)
            for place, (name, own, whole) in enumerate((("a", 10.0, 4), ("b", seconds, epochs)))
        ]
        for record in records:
            record.details["measured"] += (
                {"metric": dataclasses.asdict(macs), "values": [7], "low": None, "high": None},
            )
        return words(records)

    assert "for the same training time, 3 seeds each" in text("equal-seconds", 10.5, 4)
    assert "for the same training time within a factor of 2.0, 3 seeds each" in text("equal-seconds", 5.0, 4)
    assert "for the same number of multiply-accumulates, 3 seeds each" in text("equal-macs", 90.0, 4)
    assert "number of multiply-accumulates within a factor of 4.0, 3 seeds each" in text("equal-macs", 10.0, 1)


def test_the_fastest_is_named_only_where_intervals_of_speeds_are_apart() -> None:
    right = answers({"a": 2.0, "b": 1.9})
    for speed, said in (
        (104.0, "None of these is clearly the fastest."),
        (110.0, "The fastest of these is b with 110"),
    ):
        records = [compared_record("a", right["a"]), compared_record("b", right["b"], speed=speed, order=1)]
        assert said in words(records)


def test_a_metric_whose_lower_values_are_better_is_ranked_upside_down() -> None:
    error = Metric("error", "error", higher_is_better=False)
    records = [
        compared_record("a", score=[30.0, 31.0, 30.4], metric=error, speed=50.0),
        compared_record("b", score=[20.0, 20.5, 20.1], metric=error, order=1),
    ]
    comparison = summary(records)
    assert [each.name for each in comparison.candidates] == ["b", "a"]
    assert comparison.pairs[0].difference < 0
    assert comparison.candidates[1].dominated_by == ("b",)


def test_the_terminal_has_every_candidate_its_group_and_its_failures() -> None:
    comparison = summary([*compared_records(), compared_record("efficientnet", failed={"seed 0": "out of [b]memory"})])
    text = printed(comparison)

    assert "swin_test a 93.0 0.3" in text
    assert "Failed: efficientnet: seed 0: out of [b]memory" in text
    assert "Candidates that share a letter cannot be told apart" in text
    assert [p_value(p) for p in (None, 1e-9, 0.0312, 1.0)] == ["–", "< 0.001", "0.031", "1.0"]


def test_the_object_is_json_with_all_that_was_measured() -> None:
    found = json.loads(json.dumps(compare_json(summary(compared_records()))))

    assert found["metric"] == "top1"
    first = found["candidates"][0]
    assert first["candidate"] == "swin_test"
    assert first["low"] < first["mean"] < first["high"]
    assert set(first["seeds"]) == {"0", "1", "2"}
    assert first["measured"]["images_per_second"] == {"values": [150.0], "low": 145.5, "high": 154.5}
    assert len(found["pairs"]) == 15
    assert found["conclusion"].startswith("6 networks")


def test_records_survive_the_disk_and_the_latest_of_a_candidate_counts(tmp_path: Path) -> None:
    records = []
    for place, record in enumerate(compared_records()):
        record.write(tmp_path / f"{place}.json")
        records.append(read_record(tmp_path / f"{place}.json"))
    assert compare_json(summary(records)) == compare_json(summary(compared_records()))
    again = compared_record("vit_tiny", score=[1.0], right=["1" + "0" * 599], created="2027-01-01T00:00:00+00:00")
    assert summary([again, *records]).candidates[-1].mean == 1.0


def test_answers_for_other_test_images_are_an_error_that_names_both() -> None:
    records = [compared_record("a", ["10" * 10]), compared_record("b", ["1" * 19], order=1)]
    with pytest.raises(InputError, match=r"b was tested on 19 images and a on 20; run modernet compare again"):
        summarise_comparisons(records)


def test_training_runs_of_a_comparison_are_in_its_section_alone() -> None:
    other = dataclasses.replace(training_records()[0], settings={"data": {"name": "flowers12"}, "seed": 7})
    tuning = training_records(phase="tuning")
    found = arrange([*training_records(), *tuning, *compared_records(), other])

    assert [section.kind for section in found] == ["compare", "training"]
    assert len(found[0].records) == 6 + 4 + 4
    assert [name for name, _ in found[0].content["curves"].keys] == ["swin_test", "convnext_nano"]
    assert arrange([*tuning, *compared_records()])[0].content["curves"] is None
    assert len(found[1].records) == 1
    assert summarise_comparisons(training_records()) == []  # a comparison that did not get as far as a candidate


def failed_alone() -> list[Record]:
    return [compared_record(name, failed={"seed 0": "no <luck>"}, speed=None) for name in ("a", "b")]


@pytest.mark.medium
@pytest.mark.parametrize(
    "make",
    [
        lambda: [*compared_records(), *training_records()],
        lambda: compared_records(seeds=1)[:2],
        lambda: compared_records()[:1],
        failed_alone,
        lambda: [compared_record(name, score=[50.0, 50.0], metric=MIOU, speed=None) for name in ("a", "b")],
    ],
)
def test_every_comparison_has_a_picture_and_a_section(make: Callable[[], list[Record]], tmp_path: Path) -> None:
    records = make()
    written = write_report(records, tmp_path)

    assert [path.name for path in written] == ["compare.png", "report.html"]
    assert written[0].read_bytes().startswith(b"\x89PNG")
    page = written[1].read_text(encoding="utf-8")
    assert "Networks compared on flowers12" in page
    assert "Training on" not in page
    assert "no <luck>" not in page
    assert ("Learning curves" in page) == any(record.kind == "train" for record in records)


def test_differences_are_to_the_best() -> None:
    comparison = summary(compared_records())
    assert list(differences_to_best(comparison)) == [each.name for each in comparison.candidates[1:]]
    assert all(pair.first == "swin_test" for pair in differences_to_best(comparison).values())
