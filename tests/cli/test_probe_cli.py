"""`modernet probe`."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from modernet import create_model
from modernet.cli import main
from modernet.evaluation.probing import FrozenBackbone
from modernet.records import read_record
from modernet.report import write_report
from small_classifiers import save_classifier


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODERNET_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def run(tmp_path: Path) -> str:
    """A finished run, of other classes than the images have."""
    return save_classifier(tmp_path / "run", size=16, crop=0.875)


@pytest.mark.medium
def test_a_run_is_probed_and_the_second_time_no_feature_is_computed(
    run: str, image_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (image_folder / "vertical" / "broken.png").write_bytes(b"no image")
    arguments = ["probe", run, "--data", str(image_folder)]
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert "broken.png" in err
    assert err.count("\n") == 1

    arguments.append("--skip-unreadable")
    assert main([*arguments, "--out", str(tmp_path / "out"), "--json"]) == 0
    out, err = capsys.readouterr()
    assert "skipped 1 of 65 images" in err
    measured = json.loads(out)
    record = read_record(tmp_path / "out" / "record.json")
    for name in ("linear_top1", "knn_top1"):
        assert measured[f"{name}_low"] <= measured[name] <= measured[f"{name}_high"]
        assert record.metrics[f"test_{name}"] == measured[name]
        n = record.metrics["test_n"]
        of_classes = [row[name] * row["n"] for row in record.details["per_class"].values()]
        assert sum(of_classes) == pytest.approx(n * measured[name])
    assert measured["linear_top1"] > 75, "stripes are told apart by any filters"
    assert {"linear_top5", "knn_top5"}.isdisjoint(measured), "two classes"
    assert record.details["probes"]["linear"]["chosen"] == measured["strength"]
    assert record.details["probes"]["knn"]["chosen"] == measured["k"]
    settings = record.settings
    assert (settings["run"], settings["features"], settings["channels"]) == ("run", "pooled", 64)
    assert [Path(name).name for name in settings["data"]["unreadable"]] == ["broken.png"]

    monkeypatch.setattr(FrozenBackbone, "forward", lambda *_: pytest.fail("computed again"))
    assert main([*arguments, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == measured
    assert main([*arguments, "--out", str(tmp_path / "out")]) == 2
    assert "has a record.json; give another --out" in capsys.readouterr().err


@pytest.mark.medium
def test_weights_without_a_classifier_random_ones_and_layers_are_compared_on_one_page(
    image_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.manual_seed(3)
    body = create_model("resnet_test", num_classes=0).state_dict()
    save_file(body, tmp_path / "body.safetensors")
    probe = ["probe", "resnet_test", "--data", str(image_folder)]
    kinds = {
        "given": ["--weights", str(tmp_path / "body.safetensors")],
        "random": ["--random-weights", "--seed", "1"],
        "layer": ["--random-weights", "--seed", "1", "--layer", "0"],
    }
    printed = {}
    for name, options in kinds.items():
        assert main([*probe, *options, "--out", str(tmp_path / "runs" / name)]) == 0
        printed[name] = capsys.readouterr().out.splitlines()
    assert printed["given"][0].startswith("resnet_test (body.safetensors) on ")
    assert "(random weights, seed 1)" in printed["random"][0]
    assert ": layer 0 features, " in printed["layer"][0]
    assert printed["random"][1].startswith("linear top-1 ")
    assert printed["random"][2].startswith("k-NN top-1 ")

    records = [read_record(tmp_path / "runs" / name / "record.json") for name in kinds]
    assert len({record.settings["weights"]["fingerprint"] for record in records}) == 2
    assert len({record.settings["data"]["fingerprint"] for record in records}) == 1
    write_report(records, tmp_path / "page")
    page = (tmp_path / "page" / "report.html").read_text(encoding="utf-8")
    assert page.count("Probes on images</h2>") == 1
    assert "features layer 0" in page
    assert "linear top‑1" in page.lower()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["no_such_net"], "no model is called 'no_such_net'"),
        (["{run}", "--weights", "x.pth"], "--weights belong to a model"),
        (["resnet_test", "--weights", "x.pth", "--random-weights"], "--weights and --random-weights are two choices"),
        (["./nowhere", "--random-weights"], "no trained network in nowhere"),
        (["mobilenet_v2.tag", "--random-weights"], "no model is called"),
        (["{run}", "--layer", "9"], "there is no layer 9; give one from 0 to 2"),
        (["{run}", "--batch-size", "0"], "batch_size is 0; give 1 or more"),
    ],
)
def test_a_mistake_is_one_line(
    arguments: list[str], message: str, run: str, image_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = [argument.format(run=run) for argument in arguments]
    assert main(["probe", *given, "--data", str(image_folder)]) == 2
    out, err = capsys.readouterr()

    assert out == ""
    assert message in err
    assert err.count("\n") == 1


def test_one_class_is_refused(run: str, image_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree(image_folder / "vertical")
    assert main(["probe", run, "--data", str(image_folder)]) == 2

    assert "has only the class 'horizontal'; a classifier needs at least two" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.data("flowers12")
def test_what_a_network_learned_on_imagenet_tells_flowers_apart(
    data_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """About 95.8 % by logistic regression, as is reported of these weights; random ones give some 60 %."""
    weights = data_folder.parent / "weights" / "mobilenet_v2_backbone_torchvision_names.safetensors"
    assert main(["probe", "mobilenet_v2", "--weights", str(weights), "--data", str(data_folder), "--json"]) == 0
    measured = json.loads(capsys.readouterr().out)

    assert measured["n"] == 240
    assert 94 < measured["linear_top1"] < 98
    assert 85 < measured["knn_top1"] < measured["linear_top1"]
