"""A task in one file: it trains, resumes, evaluates, predicts, exports and reports through the same verbs."""

from __future__ import annotations

import base64
import io
import itertools
import json
import math
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
from modernet.data import ImageDataset, InMemory, OnDisk, OpenedSplit, SceneGenerator, open_dataset, read_image
from modernet.data.images.views import IGNORE
from modernet.data.targets import SemanticTargets
from modernet.errors import InputError
from modernet.evaluation import saved_loader
from modernet.evaluation.scores import NonFiniteScores
from modernet.evaluation.segmenting import class_probabilities
from modernet.preparation import Preparation
from modernet.progress import shown
from modernet.recipes import Execution, get_recipe
from modernet.records import Record, read_record
from modernet.tasks import PredictRequest, load_network
from modernet.tasks.segmentation import Segmentation, build_network, predict, train_segmenter
from modernet.training import Interrupted, RunContext
from modernet.weights import NetworkSpec, SavedNetwork, weights_of_run

CPU = torch.device("cpu")
SPEC = NetworkSpec("model", "convnext_test", {"stem_stride": 2})
RECIPE = get_recipe("quick_segmentation").replace(epochs=2, batch_size=16, warmup_epochs=0.5)


def scenes(split: str, n: int, unknown: float = 0.0) -> InMemory:
    """Scenes with a class per pixel; a share of the images has no known pixel."""
    generator = SceneGenerator(split)  # type: ignore[arg-type]
    examples = [generator.scene(index) for index in range(n)]
    maps = torch.stack([scene.semantic for scene in examples])
    maps[: round(unknown * n)] = IGNORE
    images = torch.stack([scene.image for scene in examples]).contiguous(memory_format=torch.channels_last)
    return InMemory(images, SemanticTargets(maps, np.arange(n)))


def dataset(unknown: float = 0.0) -> ImageDataset:
    return ImageDataset(
        name="scenes",
        classes=("background", *map(str, range(10))),
        preparation=Preparation(32, (0.4,) * 3, (0.25,) * 3),
        train=scenes("train", 42, unknown),
        validation=scenes("validation", 20),
        test=scenes("test", 20),
    )


@pytest.fixture(scope="module")
def images() -> ImageDataset:
    return dataset()


def losses(record: Record) -> list[float]:
    return [row[key] for row in record.history for key in ("train_loss", "validation_loss", "validation_miou")]


def test_a_stopped_run_resumes_to_the_same_losses(images: ImageDataset, tmp_path: Path) -> None:
    whole = train_segmenter(SPEC, images, RECIPE, folder=tmp_path / "whole", device=CPU)
    asked = itertools.count(1)
    with pytest.raises(Interrupted):
        train_segmenter(SPEC, images, RECIPE, folder=tmp_path / "run", device=CPU, should_stop=lambda: next(asked) >= 4)
    resumed = train_segmenter(SPEC, images, RECIPE, folder=tmp_path / "run", device=CPU)

    assert losses(resumed) == losses(whole)
    assert resumed.settings["task"] == "segmentation"
    assert [metric.name for metric in resumed.task_metrics] == ["miou", "pixel_accuracy", "mean_accuracy"]
    assert resumed.metrics["test_n"] == 20


def test_the_record_has_the_confusion_and_the_worst_images(images: ImageDataset, tmp_path: Path) -> None:
    train_segmenter(SPEC, images, RECIPE.replace(epochs=1), folder=tmp_path, device=CPU)
    record, saved = read_record(tmp_path / "record.json"), load_network(tmp_path)
    split = images.test
    assert isinstance(split, InMemory)
    truth, n = split.targets.collate().long(), len(split)  # type: ignore[attr-defined]
    found = torch.cat(
        [class_probabilities(saved.network, split.images[i : i + 1], saved.preparation) for i in range(n)]
    )
    found = found.argmax(1)

    counts = torch.bincount((11 * truth + found).flatten(), minlength=121).view(11, 11)
    assert record.details["confusion"] == {"classes": list(images.classes), "counts": counts.tolist()}
    ious = []
    for own_truth, own_found in zip(truth, found, strict=True):
        occurs = set(own_truth.flatten().tolist()) | set(own_found.flatten().tolist())
        pairs = [((own_truth == label), (own_found == label)) for label in occurs]
        ious.append(100 * float(np.mean([float((a & b).sum() / (a | b).sum()) for a, b in pairs])))
    worst = sorted(range(n), key=lambda position: ious[position])[:12]
    misses = record.details["misses"]
    assert [miss["image"] for miss in misses] == [f"image {position}" for position in worst]
    assert misses[0]["why"].startswith(f"mIoU {ious[worst[0]]:.1f} %; ")
    with Image.open(io.BytesIO(base64.b64decode(misses[0]["jpeg"]))) as drawn:
        assert drawn.size[0] / drawn.size[1] == (3 * 32 + 8) / 32
    assert (tmp_path / "record.json").stat().st_size < 200_000


def test_the_loss_is_the_mean_over_known_pixels_and_zero_without_any(images: ImageDataset) -> None:
    task = Segmentation(torch.nn.Conv2d(3, 11, 1), SPEC, images, RECIPE, RunContext(CPU))
    batch = next(task.batches.batches())
    target = batch.targets.clone()
    target[:, :20] = IGNORE
    loss, _ = task.loss(task.network, batch._replace(targets=target))
    known = task.network(batch.images).log_softmax(1)[:, :, 20:]
    by_hand = -known.gather(1, target[:, None, 20:].long()).mean()

    assert float(task.weight(batch._replace(targets=target))) == len(target) * 12 * 32
    assert float(loss.detach()) == pytest.approx(float(by_hand.detach()), rel=1e-6)

    all_pixels = Segmentation(task.network, SPEC, images, RECIPE.replace(loss_over="all"), RunContext(CPU))
    as_published, _ = all_pixels.loss(task.network, batch._replace(targets=target))
    assert all_pixels.weight(batch) == target.numel()
    assert float(as_published.detach()) == pytest.approx(float(loss.detach()) * 12 / 32, rel=1e-6)

    nothing, _ = task.loss(task.network, batch._replace(targets=torch.full_like(target, IGNORE)))
    nothing.backward()
    assert float(nothing.detach()) == 0.0
    assert all(bool((weight.grad == 0).all()) for weight in task.network.parameters())


def test_the_auxiliary_head_adds_its_share_to_the_loss_and_is_saved_with_the_run(
    images: ImageDataset, tmp_path: Path
) -> None:
    recipe = RECIPE.replace(head="upernet", head_width=8, auxiliary_weight=0.25, epochs=1)
    record = train_segmenter(SPEC, images, recipe, folder=tmp_path, device=CPU)
    saved = load_network(tmp_path)
    task = Segmentation(saved.network.train(), SPEC, images, recipe, RunContext(CPU))
    batch = next(task.batches.batches())
    torch.manual_seed(0)
    loss, extra = task.loss(task.network, batch)
    torch.manual_seed(0)
    logits = task.network(batch.images)
    main, auxiliary = (torch.nn.functional.cross_entropy(each, batch.targets.long()) for each in logits)

    assert float(loss.detach()) == pytest.approx(float((main + 0.25 * auxiliary).detach()), rel=1e-5)
    assert float(extra["auxiliary"]) == pytest.approx(float(auxiliary.detach()), rel=1e-5)
    assert "train_auxiliary" in record.history[0]
    assert saved.spec.head == {"head": "upernet", "width": 8}


@pytest.mark.medium
def test_images_of_any_size_are_measured_and_drawn_whole(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = tmp_path / "data"
    for number in range(30):
        scene = SceneGenerator("train", 48).scene(number)
        h, w = 30 + number % 3, 40
        for folder, content in (("images", scene.image[:, :h, :w].permute(1, 2, 0)), ("masks", scene.semantic[:h, :w])):
            (data / folder).mkdir(parents=True, exist_ok=True)
            Image.fromarray(content.numpy()).save(data / folder / f"{number:02}.png")
    (data / "classes.txt").write_text("\n".join(["ground", *"0123456789"]))
    run, drawn = tmp_path / "run", tmp_path / "drawn"
    options = ["--recipe", "upernet_convnext", "--data", str(data), "--image-size", "32", "--head-width", "8"]
    options += ["--epochs", "1", "--batch-size", "4", "--warmup-epochs", "0.5", "--drop-path", "0"]
    assert main(["train", *options, "--out", str(run)]) == 0

    dataset = open_dataset(str(data), targets="semantic", image_size=32)
    record = read_record(run / "record.json")
    assert isinstance(dataset.test, OnDisk)
    assert record.metrics["test_n"] == len(dataset.test)
    names = {f"images/{dataset.test.images.name(index).rpartition('/')[2]}" for index in dataset.test.indices.tolist()}
    assert {miss["image"] for miss in record.details["misses"]} <= names
    capsys.readouterr()
    for _ in range(2):
        assert main(["evaluate", str(run), "--data", str(data), "--json"]) == 0
        measured = json.loads(capsys.readouterr().out)
        assert (measured["n"], measured["miou"]) == (len(dataset.test), record.metrics["test_miou"])
        for file in (data / "masks").iterdir():
            Image.fromarray(10 - np.array(Image.open(file))).save(file)
        (data / "classes.txt").write_text("\n".join([*"9876543210", "ground"]))
    assert main(["predict", str(run), str(data / "images" / "01.png"), "--out", str(drawn)]) == 0
    with Image.open(drawn / "01.png") as indices, Image.open(drawn / "01.overlay.png") as overlay:
        assert (indices.mode, indices.size, overlay.size) == ("P", (40, 31), (40, 31))
        classes = torch.from_numpy(np.array(indices)).long()
    network = load_network(run)
    expected = class_probabilities(network.network, read_image(data / "images" / "01.png")[None], network.preparation)
    assert torch.equal(classes, expected[0].argmax(0))


@pytest.mark.medium
@pytest.mark.parametrize("device_batch", [8, 4])
def test_accumulation_gives_the_losses_of_whole_batches_however_uneven_the_pixels(
    device_batch: int, tmp_path: Path
) -> None:
    """A third of the images has no known pixel, so weights of micro-batches differ and some are 0."""
    images, recipe = dataset(unknown=1 / 3), RECIPE.replace(batch_size=16, shift=0.0, optimizer="sgd", lr=0.05)
    whole = train_segmenter(SPEC, images, recipe, folder=tmp_path / "whole", device=CPU)
    execution = Execution(device_batch=device_batch)
    accumulated = train_segmenter(
        SPEC, images, recipe, folder=tmp_path / "accumulated", device=CPU, execution=execution
    )

    assert losses(accumulated) == pytest.approx(losses(whole), rel=1e-4)


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="gloo")
def test_two_processes_give_the_losses_of_one_that_takes_their_micro_batches_in_turn(tmp_path: Path) -> None:
    options = ["--recipe", "quick_segmentation", "--epochs", "1", "--batch-size", "12"]
    options += ["--model-fields", "stem_stride=2", "--flip", "0.5"]
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    two = [*launcher, "-m", "modernet", "train", *options, "--out", str(tmp_path / "two")]
    subprocess.run(two, check=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert main(["train", *options, "--device-batch", "6", "--out", str(tmp_path / "one")]) == 0

    of_two, of_one = (read_record(tmp_path / name / "record.json") for name in ("two", "one"))
    assert of_two.environment["processes"] == 2
    assert losses(of_two) == pytest.approx(losses(of_one), rel=1e-6)
    assert of_two.metrics["test_miou"] == pytest.approx(of_one.metrics["test_miou"], rel=1e-6)


def test_a_finished_run_goes_on_with_its_head(
    images: ImageDataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = train_segmenter(SPEC, images, RECIPE.replace(epochs=1), folder=tmp_path / "first", device=CPU)
    standing = RECIPE.replace(epochs=1, lr=0.0, min_lr=0.0, warmup_epochs=0.0)
    start = weights_of_run(tmp_path / "first")
    other_head = standing.replace(head="upernet", head_width=8)
    capsys.readouterr()
    with shown():
        kept = train_segmenter(SPEC, images, other_head, start=start, folder=tmp_path / "kept", device=CPU)
    assert "the run's head is kept: plain of width 64" in capsys.readouterr().err
    assert (kept.settings["recipe"]["head"], kept.settings["recipe"]["head_width"]) == ("plain", 64)
    other = replace(images, classes=("cloud", *images.classes[1:]))
    new = train_segmenter(SPEC, other, standing, start=start, folder=tmp_path / "new", device=CPU)

    assert kept.metrics["test_loss"] == pytest.approx(first.metrics["test_loss"])
    assert [each.settings["weights"]["classifier"] for each in (kept, new)] == ["kept", "new"]
    before, after = (load_file(tmp_path / name / "model.safetensors") for name in ("first", "new"))
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {"classifier.weight", "classifier.bias"}

    train = ["train", "--model", str(tmp_path / "first"), "--data", "digit_scenes", "--out", str(tmp_path / "classes")]
    assert main(train) == 2
    said = capsys.readouterr().err
    assert "was trained for segmentation, and the recipe finetune is for classification; give a --recipe for" in said


def test_maps_are_matched_by_the_names_of_their_classes(images: ImageDataset) -> None:
    torch.manual_seed(0)
    known = SavedNetwork(build_network(SPEC, 11).eval(), SPEC, images.classes, images.preparation, "segmentation")
    order = np.random.default_rng(0).permutation(11)
    maps = images.test.targets.maps.clone()
    maps[0, :4] = IGNORE
    numbers = torch.cat([torch.from_numpy(np.argsort(order)), torch.full((245,), IGNORE)])
    shuffled = SemanticTargets(numbers[maps.long()].to(maps.dtype), np.arange(20))
    opened = [
        OpenedSplit("scenes", classes, InMemory(images.test.images, targets), images.preparation)
        for classes, targets in (
            (images.classes, SemanticTargets(maps, np.arange(20))),
            (tuple(images.classes[index] for index in order), shuffled),
        )
    ]
    one, other = (next(saved_loader(known, each, batch_size=20, device=CPU).batches()).targets for each in opened)

    assert torch.equal(one, other)
    assert (one == IGNORE).any()
    with pytest.raises(InputError, match="lists the class 'cloud', and the network does not know it"):
        saved_loader(known, replace(opened[0], classes=("cloud", *images.classes[1:])), batch_size=20, device=CPU)


def test_a_network_that_answers_nan_has_no_miou(images: ImageDataset, tmp_path: Path) -> None:
    class Lost(torch.nn.Conv2d):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            logits = super().forward(x)
            logits[:, 3, 5, 7] = math.nan
            return logits

    task = Segmentation(Lost(3, 11, 1), SPEC, images, RECIPE, RunContext(CPU))
    with pytest.raises(NonFiniteScores, match="NaN or infinity for 20 of 20 images"):
        task.evaluate(task.network, "validation")

    Image.fromarray(np.zeros((32, 32, 3), np.uint8)).save(tmp_path / "a.png")
    lost = SavedNetwork(Lost(3, 11, 1), SPEC, images.classes, images.preparation, "segmentation")
    with pytest.raises(NonFiniteScores, match=r"NaN or infinity for .*a\.png"):
        list(predict(lost, [tmp_path / "a.png"], PredictRequest()))
    with pytest.raises(InputError, match="--min-score is for detectors"):
        list(predict(lost, [tmp_path / "a.png"], PredictRequest(min_score=0.3)))


def test_nothing_is_drawn_over_an_image_or_twice(tmp_path: Path) -> None:
    known = SavedNetwork(build_network(SPEC, 2).eval(), SPEC, ("a", "b"), Preparation(32, (0.5,) * 3, (0.25,) * 3))
    paths = [tmp_path / "photos" / name for name in ("a.png", "a.bmp", "b.png", "b.overlay.png")]
    paths[0].parent.mkdir()
    for path in paths:
        Image.new("RGB", (32, 32)).save(path)
    (tmp_path / "link").symlink_to(tmp_path / "photos")
    before = {path: path.read_bytes() for path in paths}

    for out in ("photos", "link"):
        with pytest.raises(InputError, match=rf"--out .*{out} holds a.png itself; give another folder"):
            list(predict(known, paths[:1], PredictRequest(out=tmp_path / out)))
    for two, name in ((paths[:2], "a.png"), (paths[2:], "b.overlay.png")):
        with pytest.raises(InputError, match=f"would both be drawn as {name}; predict them apart"):
            list(predict(known, two, PredictRequest(out=tmp_path / "drawn")))
    assert {path: path.read_bytes() for path in (tmp_path / "photos").iterdir()} == before
    assert not (tmp_path / "drawn").exists()


@pytest.mark.slow
def test_the_verbs_serve_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "run"
    options = ["--recipe", "quick_segmentation", "--data", "digit_scenes", "--model-fields", "stem_stride=2"]
    assert main(["train", *options, "--epochs", "2", "--out", str(run)]) == 0
    trained = capsys.readouterr().out
    assert "mIoU" in trained

    assert main(["evaluate", str(run), "--data", "digit_scenes", "--json"]) == 0
    measured, record = json.loads(capsys.readouterr().out), read_record(run / "record.json")
    assert measured["miou"] == pytest.approx(record.metrics["test_miou"], abs=1e-3)
    assert measured["pixel_accuracy"] > 50
    assert measured["iou/ground"] > measured["miou"]
    averaged = ["--window", "48", "--scales", "1", "1.5", "--flip"]
    assert main(["evaluate", str(run), "--data", "digit_scenes", "--split", "validation", *averaged]) == 0
    capsys.readouterr()

    Image.fromarray(np.full((40, 60, 3), 90, np.uint8)).save(tmp_path / "a.png")
    assert main(["predict", str(run), str(tmp_path / "a.png"), "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert found["image"].endswith("a.png")
    assert sum(area["share"] for area in found["predictions"]) == pytest.approx(1.0, abs=0.2)

    assert main(["export", str(run), "--to", "torch"]) == 0
    assert main(["report", str(run)]) == 0
    page = next(run.glob("*.html")).read_text()
    assert "mIoU" in page
    assert load_network(run).task == "segmentation"


def test_data_without_maps_are_refused_in_one_line(
    image_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--recipe", "quick_segmentation", "--data", str(image_folder), "--out", str(tmp_path / "run")]

    assert main(["train", *options]) == 2
    assert "semantic" in capsys.readouterr().err.splitlines()[-1]


def test_the_road_trains_classifiers_only(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["roadmap", "--recipe", "quick_segmentation"]) == 2
    assert "the recipe quick_segmentation is for segmentation" in capsys.readouterr().err


def test_networks_of_unknown_tasks_are_refused(images: ImageDataset, tmp_path: Path) -> None:
    train_segmenter(SPEC, images, RECIPE.replace(epochs=1), folder=tmp_path, device=CPU)
    path = tmp_path / "network.json"
    path.write_text(path.read_text().replace('"segmentation"', '"telepathy"'))

    with pytest.raises(InputError, match="telepathy"):
        load_network(tmp_path)
