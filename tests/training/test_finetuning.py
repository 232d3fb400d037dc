"""Training that starts from weights."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from modernet.cli import main
from modernet.cli.options import architecture
from modernet.data import ClassTargets, ImageDataset, InMemory
from modernet.data.images.marks import Marks
from modernet.errors import InputError
from modernet.models import create_model
from modernet.preparation import Preparation
from modernet.progress import shown
from modernet.recipes import get_recipe
from modernet.records import read_record
from modernet.roadmap import road
from modernet.tasks import train_classifier
from modernet.tasks.classification import build_network
from modernet.tasks.images import continued_from
from modernet.tasks.start import go_on_from
from modernet.training import Interrupted
from modernet.weights import NetworkSpec, StartingWeights, save_network, starting_weights, weights_of_run
from modernet.weights.conversion import scheme_named

SPEC = NetworkSpec("model", "convnext_test", {"stem_stride": 1})
STANDING = get_recipe("finetune").replace(lr=0.0, epochs=1, warmup_epochs=0.0, batch_size=16, drop_path=0.0)
CPU = torch.device("cpu")


@pytest.fixture
def trained() -> dict[str, Tensor]:
    """Weights of a network for seven classes that no initialisation gives."""
    torch.manual_seed(0)
    network = create_model("convnext_test", stem_stride=1, num_classes=7)
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.1)
    return network.state_dict()


@pytest.fixture
def file(trained: dict[str, Tensor], tmp_path: Path) -> Path:
    """Those weights under timm's names."""
    network = create_model("convnext_test", stem_stride=1, num_classes=7)
    path = tmp_path / "theirs.safetensors"
    save_file(scheme_named(network, "timm").to_stored(trained), path)
    return path


def start_from(file: Path) -> StartingWeights:
    return StartingWeights(file, Preparation(16, (0.5, 0.4, 0.3), (0.2, 0.2, 0.2)))


def test_the_body_starts_from_the_weights_and_the_classifier_from_scratch(
    stripes: ImageDataset, trained: dict[str, Tensor], file: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    record = train_classifier(SPEC, stripes, STANDING, start=start_from(file), folder=run, device=CPU)
    after = load_file(run / "model.safetensors")
    assert after["head.weight"].shape == (2, 64)
    assert [
        name for name in trained if not name.startswith("head.") and not torch.equal(after[name], trained[name])
    ] == []
    assert json.loads((run / "network.json").read_text())["mean"] == [0.5, 0.4, 0.3]
    assert record.settings["weights"]["file"] == "theirs.safetensors"


def test_a_run_does_not_resume_from_other_weights(stripes: ImageDataset, file: Path, tmp_path: Path) -> None:
    run, recipe = tmp_path / "run", STANDING.replace(lr=1e-3)
    with pytest.raises(Interrupted):
        train_classifier(
            SPEC, stripes, recipe, start=start_from(file), folder=run, device=CPU, should_stop=lambda: True
        )
    with pytest.raises(InputError, match=r"weights .*, not None"):
        train_classifier(SPEC, stripes, recipe, folder=run, device=CPU)


def test_weights_of_another_network_are_refused_before_anything_is_written(
    stripes: ImageDataset, file: Path, tmp_path: Path
) -> None:
    spec = replace(SPEC, name="convnextv2_test")
    with pytest.raises(InputError, match="cannot be loaded into this ConvNeXt"):
        train_classifier(spec, stripes, STANDING, start=start_from(file), folder=tmp_path / "run", device=CPU)
    assert list((tmp_path / "run").iterdir()) == []


def test_published_weights_define_how_images_are_prepared(file: Path) -> None:
    start = starting_weights("convnext_tiny", file)
    assert (start.path, start.preparation.image_size, start.preparation.mean[0]) == (file, 224, 0.485)
    with pytest.raises(InputError, match="there are no published weights for convnext_test; give a file of weights"):
        starting_weights("convnext_test")


def test_the_command_line_fine_tunes_with_its_own_recipe(image_folder: Path, file: Path, tmp_path: Path) -> None:
    arguments = [
        "train", "--data", str(image_folder), "--model", "convnext_test", "--model-fields", "stem_stride=1",
        "--weights", str(file), "--image-size", "16", "--epochs", "1", "--out", str(tmp_path / "run"),
    ]  # fmt: skip
    assert main(arguments) == 0
    settings = read_record(tmp_path / "run" / "record.json").settings
    assert settings["recipe"]["layer_decay"] == get_recipe("finetune").optimizer.layer_decay
    assert settings["weights"]["file"] == "theirs.safetensors"
    assert main(["predict", str(tmp_path / "run"), str(image_folder / "vertical" / "1.png")]) == 0


NEXT = STANDING.replace(head_init_scale=0.001)


@pytest.fixture(scope="module")
def first(stripes: ImageDataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run."""
    folder = tmp_path_factory.mktemp("first") / "run"
    train_classifier(SPEC, stripes, get_recipe("quick").replace(epochs=1, batch_size=16), folder=folder, device=CPU)
    return folder


@pytest.mark.parametrize("turned", [False, True])
def test_a_finished_run_goes_on_with_its_classifier_where_the_classes_are_the_same_in_any_order(
    stripes: ImageDataset, first: Path, tmp_path: Path, turned: bool
) -> None:
    """With a learning rate of 0 the answers stay, also where the recipe would shrink a new classifier."""
    data = stripes
    if turned:
        splits = {
            name: InMemory(split.images, ClassTargets(1 - split.labels))
            for name, split in (("train", stripes.train), ("validation", stripes.validation), ("test", stripes.test))
        }
        data = replace(stripes, classes=stripes.classes[::-1], **splits)
    start = weights_of_run(first)

    record = train_classifier(SPEC, data, NEXT, start=start, folder=tmp_path / "next", device=CPU)

    assert record.metrics["test_loss"] == pytest.approx(read_record(first / "record.json").metrics["test_loss"])
    assert record.settings["weights"]["classifier"] == "kept"
    before, after = (load_file(folder / "model.safetensors") for folder in (first, tmp_path / "next"))
    assert torch.equal(after["head.weight"], before["head.weight"].flip(0) if turned else before["head.weight"])


def test_a_finished_run_gets_a_new_classifier_for_other_classes_and_a_line_says_so(
    stripes: ImageDataset, first: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = replace(stripes, classes=("horizontal", "diagonal"))
    with shown():
        record = train_classifier(SPEC, data, NEXT, start=weights_of_run(first), folder=tmp_path / "next", device=CPU)

    said = capsys.readouterr().err
    assert f"starting from the run {first}; the classifier is new, since the run has no class 'diagonal'" in said
    assert record.settings["weights"]["classifier"] == "new"
    before, after = (load_file(folder / "model.safetensors") for folder in (first, tmp_path / "next"))
    assert float(after["head.weight"].abs().max()) < 0.01 < float(before["head.weight"].abs().max())
    assert torch.equal(after["stages.0.0.dwconv.weight"], before["stages.0.0.dwconv.weight"])


@pytest.mark.parametrize("file", ["", "model.safetensors"])
def test_the_folder_and_the_file_of_a_run_are_the_run(file: str, first: Path) -> None:
    """Its classes and how its images are prepared are in the same folder."""
    start = starting_weights("convnext_test", first / file)

    assert start == weights_of_run(first)
    assert start.preparation.mean == (0.47, 0.47, 0.47)
    assert start.trained is not None
    assert start.trained.classes == ("horizontal", "vertical")


def test_every_family_goes_on_with_its_classifier(stripes: ImageDataset, tmp_path: Path) -> None:
    """Two heads (LeViT), one with a norm as wide as there are classes could be, a network of timm, and a design."""
    design = NetworkSpec.of_design("a step", road("nano", stem_stride=1)[-1].design)
    specs = [
        NetworkSpec("model", "levit_test", {"image_size": 32}),
        NetworkSpec("model", "resnet_test", {}),
        NetworkSpec("model", "timm:test_resnet", {}),
        design,
    ]
    for number, spec in enumerate(specs):
        torch.manual_seed(number)
        network = spec.build(3)
        folder = tmp_path / str(number)
        save_network(folder, network, spec, ("a", "b", "c"), stripes.preparation)
        again = spec.build(3)
        assert go_on_from(weights_of_run(folder), again, spec, ("b", "c", "a"), build_network)
        images = torch.randn(2, 3, 32, 32)
        with torch.no_grad():
            expected, found = network.eval()(images), again.eval()(images)
        torch.testing.assert_close(found, expected[:, [1, 2, 0]])


@pytest.mark.medium
def test_the_command_line_goes_on_with_a_run(
    image_folder: Path, first: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--data", str(image_folder), "--epochs", "1", "--batch-size", "16", "--warmup-epochs", "0"]
    train = ["train", *options, "--model", str(first), "--out", str(tmp_path / "next")]
    assert main([*train, "--explain"]) == 0
    assert "finetune" in capsys.readouterr().out

    assert main([*train, "--lr", "0"]) == 0
    assert "the classifier is kept, since the classes are the same" in capsys.readouterr().err
    record = read_record(tmp_path / "next" / "record.json")
    assert record.settings["recipe"]["name"] == "finetune"
    assert record.settings["model_fields"] == {"stem_stride": 1}
    assert record.settings["data"]["image_size"] == 16

    assert main([*train, "--weights", str(first / "model.safetensors")]) == 2
    assert "contains a finished run" in capsys.readouterr().err
    other = [*train[:-1], str(tmp_path / "other")]
    assert main([*other, "--weights", str(first / "model.safetensors")]) == 2
    assert "is a run with weights of its own; leave out --weights" in capsys.readouterr().err
    assert main(["train", "--model", "runs/nowhere", "--out", str(tmp_path / "other")]) == 2
    assert "no trained network in runs/nowhere" in capsys.readouterr().err


def test_a_run_that_was_copied_without_its_record_goes_on(first: Path, tmp_path: Path) -> None:
    for name in ("network.json", "model.safetensors"):
        shutil.copy(first / name, tmp_path)
    assert architecture(str(tmp_path)) == "convnext_test"
    (tmp_path / "network.json").write_text("{}")
    with pytest.raises(InputError, match=r"the trained network in .* cannot be read .*; train it again"):
        architecture(str(tmp_path))


def test_an_unknown_field_of_a_trained_design_is_refused(
    stripes: ImageDataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = NetworkSpec.of_design("a step", road("nano")[-1].design)
    save_network(tmp_path, spec.build(2), spec, stripes.classes, stripes.preparation)
    assert main(["train", "--model", str(tmp_path), "--model-fields", "width=32", "--out", str(tmp_path / "run")]) == 2
    assert "no field of a step is called 'width'; did you mean widths?" in capsys.readouterr().err


def test_the_weights_of_a_run_that_do_not_fit_are_named_with_its_network(stripes: ImageDataset, first: Path) -> None:
    spec = NetworkSpec("model", "resnet_test", {})
    with pytest.raises(InputError) as error:
        go_on_from(weights_of_run(first), spec.build(2), spec, stripes.classes, build_network)
    message = str(error.value)
    assert message.startswith(f"{first / 'model.safetensors'} cannot be loaded into this ResNet")
    assert message.endswith(f"; the run trained convnext_test: give --model {first}")


def test_a_network_that_goes_on_remembers_the_images_of_both_trainings(stripes: ImageDataset, tmp_path: Path) -> None:
    earlier, later = (Marks(np.array(numbers, np.uint64)) for numbers in ([1, 2], [2, 3]))
    spec = NetworkSpec("model", "convnext_test", {})
    save_network(tmp_path, spec.build(2), spec, stripes.classes, stripes.preparation)
    marked = replace(stripes, mark=lambda: later)

    assert continued_from(marked, weights_of_run(tmp_path)).mark is None, "the earlier ones are not known"
    earlier.write(tmp_path)
    mark = continued_from(marked, weights_of_run(tmp_path)).mark
    assert mark is not None
    assert mark().numbers.tolist() == [1, 2, 3]
