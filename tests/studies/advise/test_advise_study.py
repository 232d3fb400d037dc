from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from modernet.errors import InputError
from modernet.recipes import get_recipe
from modernet.records import RECORD_NAME, read_record
from modernet.report.advise.advice import Advice, Trial
from modernet.studies import Machines
from modernet.studies.advise import AdviseRequest, advise, network_folder, study
from modernet.studies.advise.evidence import Evidence, beyond_limits
from modernet.studies.advise.halving import Cost
from modernet.studies.advise.trainings import RoundRun, train
from modernet.studies.compare.candidates import parse_candidates
from modernet.tasks import load_network
from modernet.training import Interrupted

CONVNEXT = "convnext_test:depths=(1,1,1,1),dims=(8,8,16,16),stem_stride=2"
RESNET = "resnet18:width=8,depths=(1,1,1,1)"
TOO_LARGE = "coatnet_test"  # for images of a multiple of 32
RECIPE = get_recipe("quick").replace(batch_size=16).lasting(2)


def asked(data: Path, *candidates: str, **changes: Any) -> AdviseRequest:
    return AdviseRequest(str(data), RECIPE, candidates or (CONVNEXT, RESNET), **({"budget_seconds": 900.0} | changes))


def advised(request: AdviseRequest, folder: Path) -> Advice:
    return advise(request, machines=Machines(workers=1), folder=folder)


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> dict[str, Evidence]:
    """Give candidates speeds instead of measuring them, which is tested where that is done."""
    known: dict[str, Evidence] = {}

    def costs(candidates: Any, *arguments: Any) -> dict[str, Evidence]:
        return {each.label: known.get(each.label, Evidence(1.0, 2.0, 1000.0)) for each in candidates}

    def speeds(candidates: Any, *arguments: Any) -> tuple[dict[str, float], dict[str, str]]:
        return {each.label: 1.0 for each in candidates}, {}

    monkeypatch.setattr(study, "measure_costs", costs)
    monkeypatch.setattr(study, "training_speeds", speeds)
    return known


@pytest.mark.slow
def test_an_advice_has_a_network_that_can_be_used_and_what_led_to_it(image_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "advice"
    advice = advised(asked(image_folder, CONVNEXT, RESNET, TOO_LARGE), folder)
    assert advice.pick in (CONVNEXT, RESNET)
    assert 0 < advice.sure <= 1
    assert TOO_LARGE in advice.not_tried
    first = advice.considered[0]
    assert first.name == advice.pick
    assert first.left_at is None
    assert first.test is not None
    assert first.latency_ms is not None
    assert all(trial.score == 100 * trial.right.count("1") / trial.n for trial in first.trials)
    assert advice.spent_seconds < advice.budget_seconds
    network = network_folder(folder, advice)
    assert network is not None
    assert load_network(network).classes == ("horizontal", "vertical")
    stored = Advice.from_record(read_record(folder / RECORD_NAME))
    assert (stored.pick, stored.sure, stored.level) == (advice.pick, advice.sure, advice.level)
    assert [each.trials for each in stored.considered] == [each.trials for each in advice.considered]
    assert (folder / "report.html").exists()


@pytest.mark.medium
@pytest.mark.usefixtures("measured")
def test_a_stopped_advice_goes_on_with_its_plan(
    image_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained: list[str] = []

    def stopping(run: RoundRun, should_stop: Callable[[], bool]) -> Trial:
        if trained:
            raise Interrupted("stopped")
        return noting(run, should_stop)

    def noting(run: RoundRun, should_stop: Callable[[], bool]) -> Trial:
        trained.append(f"{run.candidate.label} {run.seed}")
        return train(run, should_stop)

    folder, request = tmp_path / "advice", asked(image_folder, budget_seconds=800.0)
    monkeypatch.setattr(study, "train", stopping)
    with pytest.raises(Interrupted):
        advised(request, folder)
    plan = json.loads((folder / "plan.json").read_text())
    spent = json.loads((folder / "spent.json").read_text())["seconds"]
    monkeypatch.setattr(study, "train", noting)
    advice = advised(request, folder)
    again = json.loads((folder / "plan.json").read_text())
    assert again["plan"] == plan["plan"]
    assert again["entered"][0]["names"] == plan["entered"][0]["names"]
    assert len(trained) == len(set(trained))
    assert advice.spent_seconds > spent
    before = len(trained)
    assert advised(request, folder) == Advice.from_record(read_record(folder / RECORD_NAME))
    assert len(trained) == before
    with pytest.raises(InputError, match=r"has an advice with seed 0, not 1; give another --out"):
        advised(asked(image_folder, budget_seconds=800.0, seed=1), folder)
    next((image_folder / "vertical").iterdir()).unlink()
    with pytest.raises(InputError, match="has an advice for other images"):
        advised(request, folder)


@pytest.mark.medium
@pytest.mark.usefixtures("measured")
def test_finalists_whose_trainings_were_shorter_than_planned_are_trained_once_more(
    image_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "advice"
    advice = advised(asked(image_folder, budget_seconds=400.0), folder)
    planned = json.loads((folder / "plan.json").read_text())["plan"]["rounds"][-1]["seeds"]
    for each in advice.considered:
        seeds = [trial.seed for trial in each.trials if trial.round == max(last.round for last in each.trials)]
        assert len(seeds) > planned
        assert seeds == list(range(len(seeds)))


@pytest.mark.medium
@pytest.mark.usefixtures("measured")
def test_a_candidate_that_fails_is_recorded_and_the_others_go_on(
    image_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(run: RoundRun, should_stop: Callable[[], bool]) -> Trial:
        if run.candidate.label == RESNET:
            raise MemoryError("out of memory")
        return train(run, should_stop)

    monkeypatch.setattr(study, "train", failing)
    advice = advised(asked(image_folder), tmp_path / "advice")
    assert advice.pick == CONVNEXT
    failed = advice.considered[1]
    assert failed.name == RESNET
    assert failed.left_at is not None
    assert "out of memory" in failed.why
    assert failed.test is None


@pytest.mark.medium
@pytest.mark.usefixtures("measured")
def test_one_whose_weights_cannot_be_fetched_is_not_tried_and_the_others_are(
    image_folder: Path, tmp_path: Path, measured: dict[str, Evidence], monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreachable(model: str) -> None:
        raise InputError(f"{model} cannot be fetched: no route to host")

    monkeypatch.setattr(study, "starting_weights", unreachable)
    published = "resnet18.a1_in1k"

    advice = advised(asked(image_folder, RESNET, published), tmp_path)

    assert advice.pick == RESNET
    assert "no route to host" in advice.not_tried[published]
    assert [each.name for each in advice.considered] == [RESNET]
    with pytest.raises(InputError, match=r"no weights could be fetched .* try again later"):
        advised(asked(image_folder, published), tmp_path / "none")


def test_trainings_are_given_up_when_the_time_is_over(
    image_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def late(run: RoundRun, should_stop: Callable[[], bool]) -> Trial:
        return train(run if run.candidate.label == CONVNEXT else RoundRun(**vars(run) | {"until": 0.0}), should_stop)

    monkeypatch.setattr(study, "train", late)
    advice = advised(asked(image_folder), tmp_path / "advice")
    assert advice.pick == CONVNEXT
    assert advice.considered[1].why == "the time was over"


def test_a_budget_that_is_over_before_all_are_measured_is_refused(image_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "advice"
    with pytest.raises(InputError, match="the budget of 1s was over before all 2 candidates were measured; give --bud"):
        advised(asked(image_folder, budget_seconds=0.01), folder)
    assert not (folder / "plan.json").exists()


@pytest.mark.medium
def test_one_beyond_a_limit_leaves_with_its_number(
    image_folder: Path, tmp_path: Path, measured: dict[str, Evidence]
) -> None:
    measured[RESNET] = Evidence(31.4, 2.0, 1000.0)
    advice = advised(asked(image_folder, max_latency_ms=20.0), tmp_path / "advice")
    assert advice.pick == CONVNEXT
    assert advice.limits == {"max_latency_ms": 20.0}
    assert advice.considered[1].why == "31.4 ms for one image, and the limit is 20"
    assert advice.considered[1].left_at == 0


def test_limits_that_nobody_meets_name_the_nearest_candidate() -> None:
    request = AdviseRequest("photos", RECIPE, max_latency_ms=2.0, max_memory_mb=100.0)
    evidence = {"a": Evidence(9.0, 50.0, 1.0), "b": Evidence(3.0, 50.0, 1.0), "c": Evidence(1.0, 900.0, 1.0)}
    with pytest.raises(InputError, match=r"no candidate is within the limits; b comes nearest: 3 ms for one image"):
        beyond_limits(evidence, request)


def test_without_time_for_all_default_candidates_the_slowest_leave() -> None:
    costs = {f"n{index}": Cost(float(index + 1)) for index in range(8)}
    evidence = {name: Evidence() for name in costs}
    request = AdviseRequest("photos", RECIPE.lasting(10))
    left, plan, dropped = study._affordable(costs, evidence, request, 60.0, 1)
    assert list(left) == [f"n{index}" for index in range(len(left))]
    assert dropped["n7"].startswith("a training takes 80 s")
    assert plan.rounds[0].places == len(left)


@pytest.mark.usefixtures("measured")
def test_an_advice_for_other_images_is_not_continued(
    image_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*arguments: Any) -> Trial:
        raise Interrupted("stopped")

    monkeypatch.setattr(study, "train", stopped)
    with pytest.raises(Interrupted):
        advised(asked(image_folder), tmp_path / "advice")
    next((image_folder / "vertical").iterdir()).unlink()
    with pytest.raises(InputError, match=r"has an advice for other images than those of .* now; give another --out"):
        advised(asked(image_folder), tmp_path / "advice")


def test_a_training_travels_to_another_process(tmp_path: Path) -> None:
    (candidate,) = parse_candidates([RESNET])
    cluster = Machines(cluster="auto").resources(tmp_path, one_core=True)
    run = RoundRun(candidate, "photos", False, RECIPE, 1, 100, tmp_path / "run", 9.0, 1e9, cluster)
    assert pickle.loads(pickle.dumps(run)) == run


def test_fields_are_checked_before_images_are_read(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="widht"):
        advised(asked(tmp_path / "nowhere", CONVNEXT, "resnet18:widht=8"), tmp_path / "advice")


def test_candidates_without_a_file_in_the_folder_of_weights_need_none(tmp_path: Path) -> None:
    (tmp_path / "resnet18.pth").touch()
    request = asked(Path("photos"), "resnet18", "convnext_test", weights_dir=tmp_path)
    assert study._used_folder(["resnet18", "convnext_test"], request) == tmp_path
    assert study._used_folder(["convnext_test"], request) is None  # the licence of the other's weights is not known


def test_another_folder_is_not_taken_over(image_folder: Path, tmp_path: Path) -> None:
    (tmp_path / RECORD_NAME).write_text("{}")
    with pytest.raises(InputError, match="contains another run; give another --out"):
        advised(asked(image_folder), tmp_path)
