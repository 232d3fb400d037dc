"""Model cards: metadata that the Hub can read, and a text that claims no more than the records say."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import yaml

from modernet.records import Metric, Record
from modernet.report.card import Card, is_own_card, metadata, model_card, records_of
from modernet.statistics import wilson_interval

_RECIPE = {"name": "finetune", "source": "ours: as `ConvNeXt`'s | shorter", "epochs": 30, "batch_size": 16, "lr": 1e-3}
_IMAGES = {"image_size": 224, "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225], "crop": 0.875}
_TASKS: dict[str, tuple[tuple[Metric, ...], dict[str, Any], str | None]] = {
    "classification": ((Metric("top1", "top-1"), Metric("top5", "top-5")), _IMAGES, "image-classification"),
    "detection": ((Metric("box_ap", "box AP", digits=1),), _IMAGES, "object-detection"),
    "segmentation": ((Metric("miou", "mIoU"),), _IMAGES, "image-segmentation"),
    "pretraining": (
        (Metric("r2", "R² of hidden pixels", limits=(None, 100.0)),), _IMAGES, "image-feature-extraction",
    ),
    "sequences": (
        (Metric("accuracy", "accuracy"),),
        {"encoding": {"kind": "words", "inputs": {"length": 512}, "symbols": ["a"] * 90}},
        "text-classification",
    ),
    "points": ((Metric("accuracy", "accuracy"),), {"clouds": {"points": 256, "normals": False}}, None),
}  # fmt: skip


def made_up(
    task: str = "classification", *, data: str = "my_photos", weights: dict[str, str] | None = None, **other: Any
) -> Card:
    metrics, inputs, _ = _TASKS[task]
    settings: dict[str, Any] = {
        "task": task, "model": "convnext_tiny", "model_fields": {}, "recipe": _RECIPE, "seed": 0,
        "data": {"name": data, "classes": 10, "n_train": 700, "n_validation": 80, "n_test": 200, "unreadable": []},
        "params": 27_800_000, "macs": 4_460_000_000,
    }  # fmt: skip
    if weights is not None:
        settings["weights"] = weights
    values = {f"test_{metric.name}": 91.234 for metric in metrics}
    run = Record("train", "convnext_tiny", settings, {**values, "test_n": 200}, task_metrics=metrics)
    network = {"task": task, "classes": ["cat", "dog"], **inputs}
    return Card("my-run", run, network, **other)


def parsed(card: Card) -> dict[str, Any]:
    _, front, _ = model_card(card).split("---\n", 2)
    found = yaml.safe_load(front)
    assert isinstance(found, dict)
    return found


def evaluation(**changes: Any) -> Record:
    settings = {
        "model": "convnext_tiny", "run": "my-run", "weights": {"file": "my-run", "fingerprint": "ab"},
        "data": {"name": "new_photos", "classes": 10}, "split": "test", **changes,
    }  # fmt: skip
    metrics = {"test_top1": 80.0, "test_top1_low": 71.1, "test_top1_high": 86.7, "test_n": 100}
    return Record("evaluate", "convnext_tiny", settings, metrics)


@pytest.mark.parametrize("task", list(_TASKS))
def test_the_metadata_of_every_task_come_back_from_yaml(task: str) -> None:
    card = made_up(task)
    metrics, _, pipeline = _TASKS[task]
    found = parsed(card)

    assert found == metadata(card)
    assert found.get("pipeline_tag") == pipeline
    assert found["library_name"] == "modernet"
    (result,) = found["model-index"][0]["results"]
    assert result["dataset"] == {"name": "my_photos", "type": "my_photos", "split": "test"}
    assert [metric["value"] for metric in result["metrics"]] == [91.2] * len(metrics)


@pytest.mark.parametrize("task", list(_TASKS))
def test_the_hub_s_own_library_reads_the_metadata(task: str) -> None:
    hub = pytest.importorskip("huggingface_hub")
    card = made_up(task, licence="apache-2.0", tests=(evaluation(),))

    read = hub.ModelCard(model_card(card))

    assert read.data.license == "apache-2.0"
    assert read.data.model_name == "my-run"
    results = {(each.dataset_name, each.metric_type): each.metric_value for each in read.data.eval_results}
    primary = metadata(card)["model-index"][0]["results"][0]["metrics"][0]
    assert results["my_photos", primary["type"]] == 91.2
    assert results["new_photos", "accuracy"] == 80.0
    assert read.text.lstrip().startswith("# my-run")


@pytest.mark.parametrize("name", ["photos: the 'best'", 'a "quoted" set', "no", "- dashes\n---\n", "äö #1", "123"])
def test_names_with_special_characters_come_back(name: str) -> None:
    card = replace(made_up(data=name), network={"classes": [name, "<b>", "a|b"], **_IMAGES}, folder=name)
    front, end = model_card(card).removeprefix("---\n").split("\n---\n\n", 1)
    found = yaml.safe_load(front)

    assert found["model-index"][0]["name"] == name
    assert found["model-index"][0]["results"][0]["dataset"]["name"] == name
    assert "<b>" not in end
    assert "a\\|b" in end


def test_what_is_not_known_is_left_out() -> None:
    found = parsed(made_up())

    assert not {"license", "datasets", "base_model"} & set(found)
    text = model_card(made_up())
    assert "The licence of these weights: their owner has not stated one here." in text
    assert "no test of robustness was given" in text
    assert "It started from random weights." in text


def test_a_licence_is_that_which_was_stated() -> None:
    card = made_up(licence="cc-by-4.0")

    assert parsed(card)["license"] == "cc-by-4.0"
    assert "The licence of these weights" not in model_card(card)


@pytest.mark.parametrize(
    "weights",
    [
        {"file": "model.safetensors", "fingerprint": "0123", "name": "convnext_tiny.fb_in22k_ft_in1k"},
        {"file": "convnext_tiny.fb_in22k_ft_in1k.safetensors", "fingerprint": "0123"},
    ],
)
def test_a_run_that_started_from_published_weights_names_them(weights: dict[str, str]) -> None:
    card = made_up(weights=weights)

    assert parsed(card)["base_model"] == "timm/convnext_tiny.fb_in22k_ft_in1k"
    text = model_card(card)
    assert "https://huggingface.co/timm/convnext_tiny.fb_in22k_ft_in1k" in text
    assert "whose licence is stated as apache-2.0" in text


@pytest.mark.parametrize("file", ["model.safetensors", "convnext_tiny.mine.pth", "resnet18.tv_in1k.pth"])
def test_weights_that_are_not_known_to_be_published_are_no_base_model(file: str) -> None:
    card = made_up(weights={"file": file, "fingerprint": "0123abcd"})

    assert "base_model" not in parsed(card)
    assert f"`{file}`, whose sha256 begins with `0123abcd`" in model_card(card)


def test_data_of_the_hub_are_listed() -> None:
    assert parsed(made_up(data="hf:org/flowers"))["datasets"] == ["org/flowers"]


def test_results_have_n_and_an_interval() -> None:
    ends = wilson_interval(0.91234, 200)

    assert f"| top-1 | 91.2 % | {100 * ends.low:.1f} to {100 * ends.high:.1f} | 200 |" in model_card(made_up())
    assert "| mIoU | 91.2 % | – | 200 |" in model_card(made_up("segmentation"))


def test_evaluations_robustness_and_speed_are_added() -> None:
    mce = Metric("c_mce", "mCE, ImageNet-C", digits=1, higher_is_better=False, limits=(0.0, None))
    robust = Record(
        "robustness", "my-run",
        {"model": "convnext_tiny", "weights": {"file": "my-run"}, "data": {"name": "my_photos", "n": 200}},
        {"c_mce": 61.25}, task_metrics=(mce,),
    )  # fmt: skip
    speed = Record(
        "benchmark", "my-run",
        {"model": "runs/my-run", "mode": "infer", "batch": 1, "image_size": 224, "dtype": "fp32"},
        {"images_per_second": 84.2, "latency_ms": 11.9}, environment={"device": "CPU, 2 threads"},
    )  # fmt: skip
    strange = [evaluation(model="swin_tiny"), evaluation(weights={"file": "other"}), replace(speed, error="no memory")]
    run = made_up().run
    tests = records_of(run, "my-run", [run, evaluation(), robust, speed, *strange])

    assert tests == [evaluation(), robust, speed]
    card = made_up(tests=tests)
    results = parsed(card)["model-index"][0]["results"]
    assert [each["dataset"]["name"] for each in results] == ["my_photos", "new_photos", "my_photos, robustness"]
    assert results[2]["metrics"] == [{"type": "c_mce", "value": 61.2, "name": "mCE, ImageNet-C (%)"}]
    text = model_card(card)
    assert "71.1 to 86.7 | 100 | new\\_photos, test |" in text
    assert "| infer | 84.2 | 11.9 | 1 | 224 | fp32 | CPU, 2 threads |" in text
    assert "no benchmark was given" not in text


def test_the_speed_of_a_sequence_model_is_in_sequences_of_a_length() -> None:
    settings = {
        "model": "runs/my-run",
        "mode": "infer",
        "batch": 8,
        "unit": "sequences",
        "length": 512,
        "dtype": "float32",
    }
    metrics = {"sequences_per_second": 84.2, "latency_ms": 95.0}
    speed = Record("benchmark", "my-run", settings, metrics, environment={"device": "CPU, 2 threads"})
    text = model_card(made_up("sequences", tests=(speed,)))

    assert "| Mode | Sequences/s | ms per batch | Batch | Length | Dtype | Device |" in text
    assert "| infer | 84.2 | 95.0 | 8 | 512 | float32 | CPU, 2 threads |" in text


def test_a_result_that_two_records_have_is_written_once() -> None:
    again = evaluation(data={"name": "my_photos", "classes": 10})
    same = replace(again, metrics={"test_top1": 91.234, "test_n": 200})

    (result,) = parsed(made_up(tests=(same,)))["model-index"][0]["results"]
    assert [metric["type"] for metric in result["metrics"]] == ["accuracy", "top5"]


def test_a_card_knows_itself_until_it_is_edited() -> None:
    content = model_card(made_up())

    assert is_own_card(content)
    assert not is_own_card(content.replace("cat", "lion"))
    assert not is_own_card("# my own notes\n")
