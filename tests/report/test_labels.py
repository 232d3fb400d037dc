from __future__ import annotations

from collections.abc import Callable

from modernet.records import Record
from modernet.report.labels import labels

Runs = Callable[..., Record]


def test_runs_with_distinct_names_are_labelled_by_them(training_run: Runs) -> None:
    assert labels([training_run("resnet18"), training_run("vit_tiny", seed=1, recipe={"lr": 0.1})]) == [
        "resnet18",
        "vit_tiny",
    ]


def test_runs_of_one_name_are_labelled_by_all_their_differences_and_nothing_else(training_run: Runs) -> None:
    runs = [
        training_run("resnet18", recipe={"lr": 1e-3, "clip_grad": None}),
        training_run("vit_tiny", seed=5),
        training_run("resnet18", seed=1, recipe={"clip_grad": 1.0}),
        training_run("resnet18", recipe={"clip_grad": None}, model_fields={"stem_stride": 2}),
        training_run("resnet18", recipe={"clip_grad": None}, data={"image_size": 64, "unreadable": ["a.png"]}),
    ]
    assert labels(runs) == [
        "resnet18 (lr 0.001, clip_grad off, image_size 32, seed 0)",
        "vit_tiny",
        "resnet18 (lr 0.002, clip_grad 1, image_size 32, seed 1)",
        "resnet18 (lr 0.002, clip_grad off, stem_stride 2, image_size 32, seed 0)",
        "resnet18 (lr 0.002, clip_grad off, image_size 64, seed 0)",
    ]


def test_the_name_of_a_recipe_replaces_its_settings(training_run: Runs) -> None:
    classic = {"name": "classic", "source": "He et al. 2015", "lr": 0.1, "mixup": 0.0}
    runs = [training_run(), training_run(recipe={"mixup": 0.2}), training_run(recipe=classic)]
    assert labels(runs) == [
        "convnext_atto (recipe road, mixup 0.8)",
        "convnext_atto (recipe road, mixup 0.2)",
        "convnext_atto (recipe classic, mixup 0)",
    ]


def test_runs_with_equal_settings_are_numbered(training_run: Runs) -> None:
    assert labels([training_run(), training_run()]) == ["convnext_atto, run 1", "convnext_atto, run 2"]
    runs = [training_run(), training_run(seed=1), training_run()]
    assert labels(runs) == [
        "convnext_atto (seed 0), run 1",
        "convnext_atto (seed 1)",
        "convnext_atto (seed 0), run 2",
    ]


def test_a_record_without_settings_has_a_label() -> None:
    assert labels([Record("train", "odd", {}, {})] * 2) == ["odd, run 1", "odd, run 2"]


def test_runs_of_one_network_with_other_weights_are_labelled_by_the_files_of_these() -> None:
    files = ["resnet18.a1_in1k", "resnet18.a2_in1k"]
    runs = [Record("robustness", "resnet18", {"weights": {"file": file, "fingerprint": file}}, {}) for file in files]
    assert labels(runs) == [f"resnet18 (weights {file})" for file in files]
    assert labels([runs[0], Record("train", "resnet18", {}, {})])[0] == "resnet18 (weights resnet18.a1_in1k)"


def test_evaluations_of_one_network_are_labelled_by_its_runs_weights_and_how_it_was_evaluated() -> None:
    def record(file: str, fingerprint: str, run: str | None = None, **settings: object) -> Record:
        weights = {"file": file, "fingerprint": fingerprint}
        return Record("evaluate", "resnet18", {"run": run, "weights": weights, **settings}, {})

    runs = [record("first", "aa", "first"), record("second", "bb", "second"), record("resnet18.a1_in1k", "cc")]
    assert labels(runs) == ["resnet18 (run first)", "resnet18 (run second)", "resnet18 (weights resnet18.a1_in1k)"]

    same = [record("last.pth", "aa"), record("last.pth", "bb")]
    assert labels(same) == ["resnet18 (fingerprint aa)", "resnet18 (fingerprint bb)"]

    ways = [
        {"inference": {"window": 0, "scales": [1.0]}, "class_map": {}},
        {"inference": {"window": 512, "scales": [1.0]}, "class_map": {}},
        {"inference": {"window": 0, "scales": [0.5, 1.0]}, "class_map": {"file": "a.csv"}},
    ]
    assert labels([record("last.pth", "aa", **way) for way in ways]) == [
        "resnet18 (window 0, scales 1, class_map off)",
        "resnet18 (window 512, scales 1, class_map off)",
        "resnet18 (window 0, scales 0.5 1, class_map a.csv)",
    ]
