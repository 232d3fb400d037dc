from __future__ import annotations

import dataclasses
import subprocess
import sys
from collections.abc import Callable

import pytest
from scipy import stats

from modernet.errors import InputError
from modernet.records import Metric, Record
from modernet.report import Road, RoadStep, findings, road_markdown, summarise_road
from modernet.report.road.wording import conditions

Runs = Callable[..., Record]
Walk = Callable[..., list[Record]]


def step_of(road: Road, row: str) -> RoadStep:
    return next(step for step in road.steps if step.row == row)


def test_importing_the_report_loads_no_torch_and_no_drawing_library() -> None:
    code = "import sys, modernet.report; print({'torch', 'vl_convert', 'PIL', 'jinja2', 'scipy'} & set(sys.modules))"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "set()"


def test_the_steps_of_a_road_are_in_order_for_any_order_of_the_records(walk: Walk) -> None:
    (road,) = summarise_road(walk()[::-1])
    rows = [step.row for step in road.steps]
    assert rows == ["0", "1", "2", "3", "4", "5", "6", "7", "8a", "8b", "8c", "8d", "9", "10", "11", "12", "13"]
    assert (road.size, road.data, road.image_size, road.n_test) == ("tiny", "digit_scenes", 32, 1000)
    assert road.devices == ("CPU, 2 threads",)
    assert len(road.records) == 51


def test_a_step_has_mean_standard_deviation_and_interval_over_its_seeds(run: Runs) -> None:
    before, after = [80.0, 81.0, 83.5], [84.0, 86.0]
    records = [run("1", seed=seed, top1=top1) for seed, top1 in enumerate(before)]
    records += [run("2", seed=seed, top1=top1) for seed, top1 in enumerate(after)]
    (road,) = summarise_road(records)
    first, second = road.steps
    assert (first.seeds, second.seeds) == (3, 2)
    assert first.delta is first.interval is first.against is None
    assert second.test_mean == pytest.approx(85.0)
    assert second.test_std == pytest.approx(2**0.5)
    assert second.validation_mean == pytest.approx(85.4)
    assert second.images_per_second == pytest.approx(905.0)
    assert second.delta == pytest.approx(85.0 - 81.5)
    assert second.published_delta == pytest.approx(79.36 - 78.82)
    truth = stats.ttest_ind(after, before, equal_var=False).confidence_interval(0.95)
    assert second.interval is not None
    assert (second.interval.low, second.interval.high) == pytest.approx((truth.low, truth.high))


def test_one_seed_gives_a_difference_without_an_interval(walk: Walk) -> None:
    (road,) = summarise_road(walk(seeds=(0,)))
    assert all(step.interval is None and step.test_std is None for step in road.steps)
    assert all(step.delta is not None for step in road.steps[1:])


def test_alternatives_of_a_decision_are_compared_with_the_step_before_the_decision(walk: Walk) -> None:
    (road,) = summarise_road(walk())
    assert [step_of(road, row).against for row in ("8a", "8b", "8c", "8d", "9")] == ["7", "7", "7", "7", "8b"]
    ninth, adopted = step_of(road, "9"), step_of(road, "8b")
    assert ninth.test_mean is not None
    assert adopted.test_mean is not None
    assert ninth.delta == pytest.approx(ninth.test_mean - adopted.test_mean)
    assert [step.row for step in road.adopted if step.row.startswith("8")] == ["8b"]


def test_a_step_whose_runs_all_failed_keeps_its_place_and_its_errors(run: Runs) -> None:
    records = [run("1", top1=80.0), run("2", error="out of memory"), run("3", top1=82.0)]
    (road,) = summarise_road(records)
    failed, after = road.steps[1:]
    assert (failed.seeds, failed.test_mean, failed.delta, failed.errors) == (0, None, None, ["out of memory"])
    assert failed.macs == 4_526_000_000
    assert (after.against, after.delta) == ("2", None)


def test_a_failed_seed_that_was_repeated_is_not_an_error(run: Runs) -> None:
    (road,) = summarise_road(
        [run("1", seed=0, error="killed"), run("1", seed=0, top1=80.0), run("1", seed=1, error="nan")]
    )
    assert road.steps[0].seeds == 1
    assert road.steps[0].errors == ["nan"]


def test_of_two_finished_runs_of_one_seed_the_later_counts_once(run: Runs) -> None:
    late = run("1", top1=85.0, created="2026-11-21T10:00:00+00:00")
    (road,) = summarise_road([late, run("1", top1=70.0)])
    assert road.steps[0].seeds == 1
    assert road.steps[0].test_mean == 85.0


def test_roads_of_different_size_data_or_recipe_are_separate(run: Runs, walk: Walk) -> None:
    data = dict(run("1").settings["data"])
    recipe = dict(run("1").settings["recipe"])
    records = walk()
    records += walk(rows=["1"], size="nano")
    records += walk(rows=["1"], data=data | {"name": "cifar10"})
    records += walk(rows=["1"], data=data | {"image_size": 64})
    records += walk(rows=["1"], recipe=recipe | {"epochs": 3})
    assert [len(road.steps) for road in summarise_road(records)] == [17, 1, 1, 1, 1]


def test_the_first_step_joins_the_road_whose_recipe_is_closest_to_its_own(run: Runs) -> None:
    long, short = dict(run("1").settings["recipe"]), dict(run("1").settings["recipe"]) | {"epochs": 3}
    classic = dict(run("0").settings["recipe"])
    records = [run("0", top1=70.0, recipe=classic), run("0", top1=60.0, recipe=classic | {"epochs": 3})]
    records += [run("1", top1=80.0, recipe=long), run("1", top1=75.0, recipe=short)]
    roads = summarise_road(records)
    assert [[step.test_mean for step in road.steps] for road in roads] == [[70.0, 80.0], [60.0, 75.0]]


def test_roads_of_different_stem_stride_are_separate_and_name_it(run: Runs) -> None:
    strides = (2, 4)
    records = [
        run(row, top1=70.0 + stride + order, model_fields={"stem_stride": stride})
        for order, row in enumerate(("0", "1"))
        for stride in strides
    ]
    records.append(run("1", size="nano", model_fields={"stem_stride": 2}))
    roads = summarise_road(records)
    assert [[step.test_mean for step in road.steps] for road in roads] == [[72.0, 73.0], [74.0, 75.0], [90.0]]
    assert [road.stem_stride for road in roads] == [2, 4, None]
    assert "stem stride 2" in conditions(roads[0])
    assert "stem stride" not in conditions(roads[2])


def test_a_missing_speed_is_left_out_of_the_mean(run: Runs) -> None:
    measured, hasty, alone = run("1", seed=0), run("1", seed=1), run("2")
    for record in (hasty, alone):
        del record.metrics["train_images_per_second"]
    (road,) = summarise_road([measured, hasty, alone])
    assert [step.images_per_second for step in road.steps] == [900.0, None]
    assert "| – | 79.36" in road_markdown(road)


def test_devices_have_the_number_of_concurrent_runs(run: Runs) -> None:
    alone, shared = run("1", seed=0), run("1", seed=1)
    alone.environment.update(workers=1, threads=2)
    shared.environment.update(workers=3, threads=1, device="CPU, 1 thread")
    (road,) = summarise_road([alone, shared, run("2")])
    assert road.devices == ("CPU, 2 threads", "CPU, 1 thread, 3 concurrent runs")


def test_records_of_other_studies_are_ignored(training_run: Runs, run: Runs) -> None:
    evaluated = dataclasses.replace(run("1"), kind="evaluate")
    assert summarise_road([training_run(), evaluated]) == []


def test_a_record_of_a_road_without_its_row_is_named(run: Runs) -> None:
    record = run("1")
    del record.settings["row"]
    with pytest.raises(
        InputError, match=r"the record 'roadmap/1/seed0' of a road has no setting 'row'; walk the road again"
    ):
        summarise_road([record])


def test_findings_name_both_ends_and_the_steps_whose_interval_excludes_zero(run: Runs) -> None:
    values = {"1": (80.0, 80.2, 80.1), "2": (85.0, 85.2, 85.4), "3": (85.1, 85.3, 85.0)}
    (road,) = summarise_road(
        [run(row, seed=i, top1=top1) for row, runs in values.items() for i, top1 in enumerate(runs)]
    )
    text = findings(road).replace("\N{NO-BREAK SPACE}", " ")
    assert "From Training recipe to Patchify stem, mean test top-1 goes from 80.1 % to 85.1 % (3 seeds" in text
    assert "1 differs from the adopted step before: Stage ratio (+5.1)." in text
    assert "For the rest the interval includes zero" in text


def test_findings_claim_no_more_than_the_intervals_allow(run: Runs) -> None:
    values = {"1": (80.0, 84.0), "2": (83.0, 86.0)}
    (road,) = summarise_road(
        [run(row, seed=i, top1=top1) for row, runs in values.items() for i, top1 in enumerate(runs)]
    )
    text = findings(road)
    assert "includes zero: these runs do not show that the two ends differ" in text
    assert "none excludes zero" in text
    (single,) = summarise_road([run("1", top1=10.0), run("2", top1=90.0)])
    assert "no interval" in findings(single)
    assert "No step can be judged by itself" in findings(single)


def test_findings_name_the_steps_that_failed(run: Runs) -> None:
    (road,) = summarise_road([run("1", top1=80.0), run("1", seed=1, error="nan"), run("2", error="killed")])
    assert "Runs failed at Training recipe (1 of 2), Stage ratio (1 of 1)." in findings(road)
    (nothing,) = summarise_road([run("2", error="killed")])
    assert findings(nothing).startswith("No step of the road has a finished run.")


def test_a_road_is_walked_by_the_primary_metric_of_its_records(run: Runs) -> None:
    iou = Metric("miou", "mIoU", unit="", digits=3, limits=(0.0, 1.0))
    scores = {("1", 0): 0.5, ("1", 1): 0.51, ("2", 0): 0.6, ("2", 1): 0.62}
    records = [
        dataclasses.replace(run(row, seed=seed), metrics={"test_miou": score, "test_n": 40}, task_metrics=(iou,))
        for (row, seed), score in scores.items()
    ]
    (road,) = summarise_road(records)
    assert (road.metric, road.digits) == (iou, 3)
    assert road.steps[1].delta == pytest.approx(0.105)
    text = findings(road)
    assert "mean test mIoU goes from 0.505 to 0.610" in text
    assert "+0.105, with a 95" in text
    assert "| Test mIoU |" in road_markdown(road)
    assert "0.505 ± 0.007" in road_markdown(road)
    assert [len(one.steps) for one in summarise_road([*records, run("1")])] == [2, 1]
