"""Pre-training with masked images: what is hidden and measured, how runs go on, and what they are a start for."""

from __future__ import annotations

import base64
import io
import itertools
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from modernet.cli import main
from modernet.data import ImageDataset, InMemory, NoTargets
from modernet.errors import InputError
from modernet.evaluation.reconstructing import HELD_OUT_SEED
from modernet.pretraining.hiding import hidden_cells
from modernet.pretraining.masked import cell_targets
from modernet.progress import shown
from modernet.recipes import Execution, PretrainingRecipe, get_recipe
from modernet.records import Record, read_record
from modernet.tasks import TrainRequest, get_task, load_network, train_classifier
from modernet.tasks.pretraining import Pretraining, build_network, pretrain
from modernet.training import Interrupted, RunContext
from modernet.weights import NetworkSpec, weights_of_run
from small_dense import save_boxes, save_maps

CPU = torch.device("cpu")
VIT = NetworkSpec("model", "vit_test", {"patch_size": 4, "image_size": 16})
CONVNEXT = NetworkSpec("model", "convnextv2_test", {"depths": (1, 1), "dims": (8, 16), "stem_stride": 2})
RECIPE = get_recipe("mae_nano").replace(epochs=2, batch_size=16, warmup_epochs=0.5, decoder_dim=32, decoder_depth=1)
assert isinstance(RECIPE, PretrainingRecipe)


@pytest.fixture
def images(stripes: ImageDataset) -> ImageDataset:
    """The stripes without their classes."""

    def bare(split: object) -> InMemory:
        assert isinstance(split, InMemory)
        return InMemory(split.images, NoTargets(len(split)))

    splits = {name: bare(getattr(stripes, name)) for name in ("train", "validation", "test")}
    return replace(stripes, classes=(), **splits)


def task(images: ImageDataset, spec: NetworkSpec = VIT, **context: int) -> Pretraining:
    torch.manual_seed(0)
    spec = replace(spec, head={"decoder_dim": 32, "decoder_depth": 1, "mask_ratio": 0.75, "norm_pixels": True})
    return Pretraining(build_network(spec, 0), spec, images, RECIPE, RunContext(CPU, **context))  # type: ignore[arg-type]


def losses(record: Record) -> list[float]:
    return [row[key] for row in record.history for key in ("train_loss", "validation_loss", "validation_r2")]


def test_what_is_hidden_depends_on_seed_epoch_and_position_alone(images: ImageDataset) -> None:
    whole = {}
    for batch in task(images).batches.batches(epoch=1):
        assert batch.hidden.sum(1).tolist() == [12] * len(batch.images)
        whole |= dict(zip(batch.positions.tolist(), batch.hidden, strict=True))
    assert len({tuple(hidden.tolist()) for hidden in whole.values()}) > 50
    assert torch.equal(torch.stack([whole[3], whole[5]]), hidden_cells([3, 5], 16, 0.75, seed=0, epoch=1))

    for batch in task(images, micro_batches=2).batches.batches(epoch=1, first_step=2):
        for position, hidden in zip(batch.positions.tolist(), batch.hidden, strict=True):
            assert torch.equal(hidden, whole[position])
    first = next(task(images).batches.batches(epoch=0))
    assert not all(
        torch.equal(hidden, whole[p]) for p, hidden in zip(first.positions.tolist(), first.hidden, strict=True)
    )


@pytest.mark.parametrize("norm_pixels", [True, False])
def test_the_measure_is_the_share_of_the_variance_of_hidden_pixels(images: ImageDataset, norm_pixels: bool) -> None:
    hiding = task(images)
    hiding._recipe = RECIPE.replace(norm_pixels=norm_pixels)
    measured = hiding.evaluate(hiding.network, "test")

    assert isinstance(images.test, InMemory)
    pixels = images.preparation.normalise(images.test.images)
    hidden = hidden_cells(range(30), 16, 0.75, HELD_OUT_SEED)
    with torch.no_grad():
        found = hiding.network.eval()(pixels, hidden)[hidden]
    truth = cell_targets(pixels, 4, norm_pixels=norm_pixels)[hidden]
    colours = truth.reshape(-1, 3)
    spread = (colours - colours.mean(0)).square().mean()
    loss = (found - truth).square().mean()
    assert measured == {
        "loss": pytest.approx(float(loss), rel=1e-5),
        "r2": pytest.approx(100 * float(1 - loss / spread), abs=1e-3),
        "n": 30,
    }


@pytest.mark.parametrize("spec", [VIT, CONVNEXT], ids=["mae", "fcmae"])
def test_it_learns_resumes_and_accumulates(spec: NetworkSpec, images: ImageDataset, tmp_path: Path) -> None:
    whole = pretrain(spec, images, RECIPE, folder=tmp_path / "whole", device=CPU)
    asked = itertools.count(1)
    with pytest.raises(Interrupted):
        pretrain(spec, images, RECIPE, folder=tmp_path / "run", device=CPU, should_stop=lambda: next(asked) >= 6)
    resumed = pretrain(spec, images, RECIPE, folder=tmp_path / "run", device=CPU)

    assert losses(resumed) == losses(whole)
    assert resumed.metrics["test_r2"] == whole.metrics["test_r2"]
    assert whole.history[1]["train_loss"] < whole.history[0]["train_loss"]
    plain = RECIPE.replace(optimizer="sgd", lr=0.05, epochs=1, crop_scale=1.0, flip=0.0)
    one = pretrain(spec, images, plain, folder=tmp_path / "one", device=CPU)
    parts = pretrain(spec, images, plain, folder=tmp_path / "parts", device=CPU, execution=Execution(device_batch=4))
    assert losses(parts) == pytest.approx(losses(one), rel=1e-4)


def test_the_record_has_drawings_of_the_same_validation_images(images: ImageDataset, tmp_path: Path) -> None:
    record = pretrain(VIT, images, RECIPE.replace(epochs=1), folder=tmp_path, device=CPU)
    drawn = record.details["reconstructions"]
    assert (drawn["split"], drawn["mask_ratio"], drawn["norm_pixels"]) == ("validation", 0.75, True)
    assert [each["image"] for each in drawn["images"]] == [f"image {position}" for position in range(8)]
    with Image.open(io.BytesIO(base64.b64decode(drawn["images"][0]["jpeg"]))) as picture:
        assert picture.width / picture.height == (4 * 16 + 12) / 16
    saved = load_network(tmp_path)
    assert saved.spec.head == {"decoder_dim": 32, "decoder_depth": 1, "mask_ratio": 0.75, "norm_pixels": True}
    assert record.settings["params"] == sum(each.numel() for each in saved.network.parameters())
    assert record.settings["macs"] > 0


def test_the_encoder_starts_a_classifier_with_either_pooling(
    images: ImageDataset, stripes: ImageDataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pretrain(VIT, images, RECIPE.replace(epochs=1), folder=tmp_path / "first", device=CPU)
    before = load_file(tmp_path / "first" / "model.safetensors")
    standing = get_recipe("finetune").replace(lr=0.0, epochs=1, warmup_epochs=0.0, batch_size=16, drop_path=0.0)
    start = weights_of_run(tmp_path / "first")
    assert start.trained is not None
    spec = replace(start.trained.spec, head={})
    for pool, new in ((None, {"head"}), ("avg", {"head", "fc_norm"})):
        run = tmp_path / str(pool)
        capsys.readouterr()
        with shown():
            recipe = standing.replace(global_pool=pool)
            record = train_classifier(spec, stripes, recipe, start=start, folder=run, device=CPU)
        said = capsys.readouterr().err
        assert f"encoder of the run {tmp_path / 'first'}" in said
        assert said.splitlines()[0].endswith(
            "classifier is new, and fc_norm too, which these weights lack" if pool else "classifier is new"
        )
        after = load_file(run / "model.safetensors")
        shared = {name for name in after if name.partition(".")[0] not in new}
        assert {"cls_token", "pos_embed", "blocks.1.mlp.fc2.bias"} < shared
        assert ("norm.weight" in shared) == (pool is None)
        assert all(torch.equal(after[name], before[f"encoder.{name}"]) for name in shared)
        assert record.settings["weights"]["classifier"] == "new"
        assert load_network(run).network.pos_embed.requires_grad


def test_a_classifier_that_averages_its_patches_can_be_pre_trained(
    images: ImageDataset, stripes: ImageDataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    averaging = get_recipe("finetune").replace(epochs=1, warmup_epochs=0.0, batch_size=16, global_pool="avg")
    train_classifier(VIT, stripes, averaging, folder=tmp_path / "classes", device=CPU)
    start = weights_of_run(tmp_path / "classes")
    assert start.trained is not None
    standing = RECIPE.replace(epochs=1, lr=0.0, warmup_epochs=0.0)
    with shown():
        pretrain(start.trained.spec, images, standing, start=start, folder=tmp_path / "run", device=CPU)
    assert "the decoder is new, and norm too, which these weights lack" in capsys.readouterr().err
    assert "global_pool" not in load_network(tmp_path / "run").spec.fields
    before, after = (load_file(tmp_path / name / "model.safetensors") for name in ("classes", "run"))
    assert torch.equal(after["encoder.blocks.1.mlp.fc2.weight"], before["blocks.1.mlp.fc2.weight"])


def test_a_run_that_does_not_fit_says_which_network_it_is_of(
    images: ImageDataset, stripes: ImageDataset, tmp_path: Path
) -> None:
    pretrain(VIT, images, RECIPE.replace(epochs=1), folder=tmp_path / "first", device=CPU)
    start, run = weights_of_run(tmp_path / "first"), tmp_path / "run"
    message = (
        rf"^the weights of the run {tmp_path}/first are of vit_test with patch_size=4, image_size=16 and do not "
        rf"fit this network; give --model {tmp_path}/first/, with no --model-fields that weights depend on$"
    )
    coarser = NetworkSpec("model", "vit_test", {"patch_size": 8, "image_size": 16})
    for spec in (coarser, NetworkSpec("model", "resnet_test", {})):
        with pytest.raises(InputError, match=message):
            train_classifier(spec, stripes, get_recipe("finetune"), start=start, folder=run, device=CPU)
    with pytest.raises(InputError, match=message):
        pretrain(coarser, images, RECIPE, start=start, folder=run, device=CPU)


def test_a_pre_training_goes_on_with_its_decoder(
    images: ImageDataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = pretrain(VIT, images, RECIPE.replace(epochs=1), folder=tmp_path / "first", device=CPU)
    standing = RECIPE.replace(epochs=1, lr=0.0, warmup_epochs=0.0, decoder_dim=64)
    with shown():
        kept = pretrain(
            VIT, images, standing, start=weights_of_run(tmp_path / "first"), folder=tmp_path / "kept", device=CPU
        )
    assert "the run's decoder is kept: 1 blocks of 32 channels" in capsys.readouterr().err
    assert kept.metrics["test_loss"] == pytest.approx(first.metrics["test_loss"])


@pytest.mark.parametrize(
    ("spec", "changes", "message"),
    [
        (NetworkSpec("model", "resnet18", {}), {}, "a ResNet cannot be pre-trained with masked images; give a --model"),
        (
            NetworkSpec("model", "convnextv2_test", {}),
            {},
            "images of 16x16 cannot be divided into cells of 32 pixels; give --image-size 64$",  # 32 is one cell
        ),
        (VIT, {"test_size": 22}, "images of 22x22 cannot be divided into cells of 4 pixels; give --test-size 24$"),
        (
            VIT,
            {"mask_ratio": 0.99},
            r"a mask_ratio of 0.99 would hide 16 of the 16 cells of 4 pixels of an image; give larger images "
            r"\(--image-size 40\)",
        ),
    ],
)
def test_what_cannot_be_hidden_is_refused(
    images: ImageDataset, tmp_path: Path, spec: NetworkSpec, changes: dict[str, float], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        pretrain(spec, images, RECIPE.replace(**changes), folder=tmp_path, device=CPU)


@pytest.mark.medium
def test_the_verbs_serve_a_flat_folder_with_a_broken_image(
    image_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flat, run = tmp_path / "flat", tmp_path / "run"
    flat.mkdir()
    for path in image_folder.glob("*/*.png"):
        path.rename(flat / f"{path.parent.name}-{path.name}")
    (flat / "broken.png").write_bytes(b"no image")
    train = [
        "train",
        "--recipe",
        "mae_nano",
        "--data",
        str(flat),
        "--model",
        "vit_test",
        "--model-fields",
        "patch_size=4",
    ]
    train += ["--epochs", "1", "--batch-size", "16", "--decoder-dim", "32", "--out", str(run)]
    assert main(train) == 2
    assert "broken.png" in capsys.readouterr().err
    assert main([*train, "--skip-unreadable"]) == 0
    assert "R² of hidden pixels" in capsys.readouterr().out
    record = read_record(run / "record.json")
    assert [Path(name).name for name in record.settings["data"]["unreadable"]] == ["broken.png"]
    assert record.settings["model_fields"] == {"patch_size": 4, "image_size": 16}

    assert main(["evaluate", str(run), "--data", str(flat), "--skip-unreadable", "--json"]) == 0
    measured = json.loads(capsys.readouterr().out)
    assert measured["r2"] == pytest.approx(record.metrics["test_r2"], abs=1e-3)
    assert measured["n"] == record.metrics["test_n"]

    one = str(flat / "vertical-1.png")
    assert main(["predict", str(run), one, str(flat / "broken.png"), "--out", str(tmp_path / "drawn")]) == 1
    assert "loss " in capsys.readouterr().out
    with Image.open(tmp_path / "drawn" / "vertical-1.png") as picture:
        drawn = np.array(picture)
    assert drawn.shape == (16, 4 * 16 + 12, 3)
    whole, both = drawn[:, :16], drawn[:, -16:]
    visible = ~hidden_cells([0], 16, 0.75, HELD_OUT_SEED).view(4, 4).numpy().repeat(4, 0).repeat(4, 1)
    assert (np.abs(both.astype(int) - whole)[visible] == 0).all()
    assert (both != whole)[~visible].any()

    assert main(["report", str(run)]) == 0
    page = (run / "report.html").read_text()
    assert "Mean brightness and contrast of each predicted cell are those of the image itself" in page
    assert "The loss is the mean squared error of the hidden cells, relative to that contrast." in page
    assert page.count("data:image/jpeg;base64") == len(record.details["reconstructions"]["images"])
    assert "Errors on the test split" not in page
    with Image.open(run / "reconstructions.png") as picture:
        assert picture.width == 1800
    capsys.readouterr()

    for command, message in (
        (["export", str(run), "--to", "torch"], "the network was only pre-trained and has no answers"),
        (["benchmark", str(run), "--rounds", "1"], "the network was only pre-trained and has no answers"),
        (["optimize", str(run), "--data", str(flat), "--out", str(tmp_path / "fast")], "only pre-trained and has no"),
        (["robustness", str(run), "--data", str(flat)], "the network was only pre-trained and has no answers"),
        (["predict", str(run), one, "--min-score", "0.3"], "--min-score is for detectors"),
        (["predict", str(run), one, "--top", "3"], "hidden pixels are predicted, and no classes; leave out --top"),
        (["evaluate", str(run), "--data", str(flat), "--flip"], "are for segmenters"),
        (["train", "--recipe", "quick", "--model", "runs/none"], "runs/none"),
    ):
        assert main(command) == 2
        assert message in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.medium
def test_a_run_is_a_start_for_every_task_with_labels(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = str(tmp_path / "first")
    common = ["--epochs", "1", "--data", "digit_scenes"]
    fields = ["--model", "convnextv2_test", "--model-fields", "stem_stride=1", "depths=(1,1,1)", "dims=(8,8,16)"]
    assert main(["train", "--recipe", "fcmae_nano", *common, *fields, "--decoder-dim", "32", "--out", first]) == 0
    capsys.readouterr()
    explained = ["train", "--model", first, "--data", "digit_scenes", "--explain", "--json"]
    assert main(explained) == 0
    assert json.loads(capsys.readouterr().out)["recipe"]["value"] == "finetune"
    assert main(["train", "--recipe", "quick", "--model", first, *common, "--out", str(tmp_path / "classes")]) == 0
    assert f"starting from encoder of the run {first}" in capsys.readouterr().err
    assert load_network(tmp_path / "classes").task == "classification"


@pytest.mark.medium
@pytest.mark.parametrize("name", ["vit_test", "convnextv2_test"])
def test_the_encoder_starts_segmenters_and_detectors(
    name: str, images: ImageDataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Images are enlarged, since a detector needs strides of 4 to 32."""
    splits = {}
    for split in ("train", "validation", "test"):
        part = getattr(images, split)
        splits[split] = InMemory(part.images.repeat_interleave(4, 2).repeat_interleave(4, 3), part.targets)
    larger = replace(images, preparation=replace(images.preparation, image_size=64), **splits)
    network = NetworkSpec("model", name, {})
    pretrain(network, larger, RECIPE.replace(epochs=1), folder=tmp_path / "first", device=CPU)
    before = load_file(tmp_path / "first" / "model.safetensors")
    data = {"semantic": save_maps(tmp_path / "maps"), "boxes": save_boxes(tmp_path / "boxes", 12)}
    for task, recipe, targets, new in (
        ("segmentation", "quick_segmentation", "semantic", "head"),
        ("detection", "quick_detection", "boxes", "rest of the detector"),
    ):
        standing = get_recipe(recipe).replace(lr=0.0, epochs=1, warmup_epochs=0.0, batch_size=4)
        request = TrainRequest(standing, f"{tmp_path}/first", {}, None, str(data[targets]), 0, False)
        with shown():
            get_task(task).prepare(request)(folder=tmp_path / task, device=CPU)
        assert f"encoder of the run {tmp_path / 'first'} (original names); the {new} is new" in capsys.readouterr().err
        after = load_file(tmp_path / task / "model.safetensors")
        shared = {name.removeprefix("pyramid.backbone.") for name in after if "backbone" in name}
        assert {f"encoder.{name}" for name in shared} <= set(before)
        assert len(shared) > 10
        assert all(torch.equal(after[f"pyramid.backbone.{name}"], before[f"encoder.{name}"]) for name in shared)


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="gloo")
def test_two_processes_give_the_losses_of_one_that_takes_their_micro_batches_in_turn(tmp_path: Path) -> None:
    options = ["--recipe", "mae_nano", "--epochs", "1", "--batch-size", "64", "--data", "digit_scenes"]
    options += [
        "--model",
        "vit_test",
        "--model-fields",
        "patch_size=8",
        "--decoder-dim",
        "32",
        "--warmup-epochs",
        "0.5",
    ]
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    two = [*launcher, "-m", "modernet", "train", *options, "--out", str(tmp_path / "two")]
    subprocess.run(two, check=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert main(["train", *options, "--device-batch", "32", "--out", str(tmp_path / "one")]) == 0

    of_two, of_one = (read_record(tmp_path / name / "record.json") for name in ("two", "one"))
    assert of_two.environment["processes"] == 2
    assert losses(of_two) == pytest.approx(losses(of_one), rel=1e-5)
    assert of_two.metrics["test_r2"] == pytest.approx(of_one.metrics["test_r2"], rel=1e-5)
    pictures = [[each["image"] for each in run.details["reconstructions"]["images"]] for run in (of_two, of_one)]
    assert pictures[0] == pictures[1]
