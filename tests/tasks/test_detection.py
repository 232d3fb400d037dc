"""The detection task: it trains, resumes, evaluates, predicts and reports through the same verbs as the others."""

from __future__ import annotations

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
from faster_coco_eval import COCO
from PIL import Image

from data.detection_exports import export_coco
from modernet.cli import main
from modernet.data import BoxTargets, ImageDataset, InMemory, SceneGenerator
from modernet.detection.roi_features import roi_features
from modernet.errors import InputError
from modernet.evaluation.scores import NonFiniteScores
from modernet.preparation import Preparation
from modernet.progress import shown
from modernet.recipes import Execution, get_recipe
from modernet.records import Record, read_record
from modernet.tasks import PredictRequest, load_network
from modernet.tasks.detection import Detection, build_network, predict, train_detector
from modernet.training import Interrupted, RunContext
from modernet.training.loop import _seed_of
from modernet.weights import NetworkSpec, SavedNetwork, weights_of_run

CPU = torch.device("cpu")
SPEC = NetworkSpec("model", "convnext_test", {})
HEAD = {"detector": "mask_rcnn", "masks": True, "width": 8, "hidden": 16}
RECIPE = get_recipe("quick_detection").replace(
    epochs=2, batch_size=8, warmup_epochs=0.5, image_size=None, head_width=8, head_hidden=16
)


def scenes(split: str, n: int, *, empty: float = 0.0, masks: bool = True) -> InMemory:
    """Scenes with boxes; a share of the images has no object."""
    generator = SceneGenerator(split, 64, (1, 3), (0.3, 0.5))  # type: ignore[arg-type]
    examples = [generator.scene(index) for index in range(n)]
    counts = [0 if index < empty * n else len(scene.labels) for index, scene in enumerate(examples)]
    images = torch.stack([scene.image for scene in examples]).contiguous(memory_format=torch.channels_last)
    boxes, labels, stack = (
        torch.cat([getattr(scene, name)[:count] for scene, count in zip(examples, counts, strict=True)])
        for name in ("boxes_xyxy", "labels", "masks")
    )
    targets = BoxTargets(
        boxes,
        labels,
        torch.zeros(len(labels), dtype=torch.bool),
        np.cumsum([0, *counts]),
        stack if masks else None,
        np.arange(len(labels)) if masks else np.full(len(labels), -1),
        stack.flatten(1).sum(1).double().numpy(),
        np.arange(1, n + 1),
        (3, *range(11, 20)),
    )
    return InMemory(images, targets)


def dataset(**kind: bool | float) -> ImageDataset:
    return ImageDataset(
        name="scenes",
        classes=tuple("0123456789"),
        preparation=Preparation(64, (0.4,) * 3, (0.25,) * 3),
        train=scenes("train", 20, **kind),  # type: ignore[arg-type]
        validation=scenes("validation", 5),
        test=scenes("test", 5),
    )


@pytest.fixture(scope="module")
def images() -> ImageDataset:
    return dataset()


def losses(record: Record) -> list[float]:
    names = ("loss", "rpn_class", "rpn_box", "class", "box", "mask")
    return [row[f"train_{name}"] for row in record.history for name in names]


def test_a_stopped_run_resumes_to_the_same_losses(images: ImageDataset, tmp_path: Path) -> None:
    whole = train_detector(SPEC, images, RECIPE, folder=tmp_path / "whole", device=CPU)
    asked = itertools.count(1)
    with pytest.raises(Interrupted):
        train_detector(SPEC, images, RECIPE, folder=tmp_path / "run", device=CPU, should_stop=lambda: next(asked) >= 3)
    resumed = train_detector(SPEC, images, RECIPE, folder=tmp_path / "run", device=CPU)

    assert losses(resumed) == losses(whole)
    assert resumed.metrics["test_box_ap"] == whole.metrics["test_box_ap"]
    assert resumed.settings["task"] == "detection"
    assert resumed.settings["data"]["train_objects"] == len(images.train.targets.labels)
    assert [metric.name for metric in resumed.task_metrics][:2] == ["box_ap", "box_ap50"]
    assert resumed.metrics["test_n"] == 5
    assert set(resumed.details) == {"confusion", "precision_recall", "misses"}
    confusion = resumed.details["confusion"]
    assert np.sum(confusion["counts"]) + np.sum(confusion["missed"]) == len(images.test.targets.labels)
    assert 0 < len(resumed.details["misses"]) <= 5

    saved = load_network(tmp_path / "run")
    assert saved.spec.head == {**HEAD, "category_ids": [3, *range(11, 20)]}
    assert saved.task == "detection"


@pytest.mark.medium
@pytest.mark.parametrize("kind", [{"empty": 1.0}, {"empty": 0.5}, {"masks": False}])
@pytest.mark.parametrize("detector", ["mask_rcnn", "cascade_mask_rcnn"])
def test_images_without_objects_and_objects_without_masks_are_learned_from(
    kind: dict[str, float], detector: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = RECIPE.replace(epochs=1, detector=detector)
    with shown():
        record = train_detector(SPEC, dataset(**kind), recipe, folder=tmp_path, device=CPU)
    row = record.history[0]
    assert all(math.isfinite(value) for value in row.values())
    without = kind.get("empty") == 1.0 or kind.get("masks") is False
    assert ("has boxes only: the detector learns no masks" in capsys.readouterr().err) == without
    assert ("train_mask" in row) != without
    assert record.settings["data"]["train_images_without_objects"] == round(20 * kind.get("empty", 0.0))


@pytest.mark.medium
def test_one_class_is_enough(tmp_path: Path) -> None:
    alone = dataset()
    targets = {name: getattr(alone, name).targets for name in ("train", "validation", "test")}
    splits = {
        name: replace(
            getattr(alone, name), targets=replace(each, labels=torch.zeros_like(each.labels), category_ids=(7,))
        )
        for name, each in targets.items()
    }
    one = replace(alone, classes=("digit",), **splits)
    train_detector(SPEC, one, RECIPE.replace(epochs=1), folder=tmp_path / "one", device=CPU)
    start = weights_of_run(tmp_path / "one")
    record = train_detector(SPEC, one, RECIPE.replace(epochs=1), start=start, folder=tmp_path / "two", device=CPU)
    assert record.settings["weights"]["classifier"] == "kept"


@pytest.mark.medium
def test_accumulation_gives_the_mean_of_the_losses_of_micro_batches(images: ImageDataset, tmp_path: Path) -> None:
    """The learning rate is 0, so that all steps have the first weights."""
    recipe = RECIPE.replace(epochs=1, lr=0.0, min_lr=0.0, warmup_epochs=0.0, drop_path=0.0)
    execution = Execution(device_batch=4)
    record = train_detector(SPEC, images, recipe, folder=tmp_path, device=CPU, execution=execution)
    assert record.environment["execution"]["micro_batches"] == 2

    torch.manual_seed(0)
    network = build_network(replace(SPEC, head=HEAD), 10).train()
    network.config = network.roi_heads.config = replace(network.config, sampled=recipe.detection.sampled)
    task = Detection(network, SPEC, images, recipe, RunContext(CPU, micro_batches=2))
    total, count = 0.0, 0
    for number, batch in enumerate(task.batches.batches()):
        torch.manual_seed(_seed_of(0, *divmod(number, 2)))
        loss, parts = task.loss(network, batch)
        assert set(parts) == {"rpn_class", "rpn_box", "class", "box", "mask"}
        assert float(loss.detach()) == pytest.approx(sum(float(part) for part in parts.values()), rel=1e-6)
        assert task.weight(batch) == len(batch.images) <= 4
        total, count = total + len(batch.images) * float(loss.detach()), count + len(batch.images)
    assert record.history[0]["train_loss"] == pytest.approx(total / count, rel=1e-5)


@pytest.mark.medium
def test_a_thousand_objects_in_an_image_are_learned_from_and_measured(tmp_path: Path) -> None:
    crowded = dataset()
    places = torch.arange(1000)
    corners = torch.stack((places % 40, places // 40 * 2), 1).float()
    boxes = torch.cat((corners, corners + 12), 1).clamp(max=64)
    masks = torch.zeros(1, 64, 64, dtype=torch.bool)
    masks[:, 8:40, 8:40] = True
    targets = BoxTargets(
        boxes,
        places % 10,
        places % 50 == 0,
        np.array([0, 1000, 1000]),
        masks,
        np.where(places % 3 == 0, -1, 0),
        np.full(1000, 144.0),
        np.array([1, 2]),
        tuple(range(10)),
    )
    split = InMemory(crowded.train.images[:2], targets)  # type: ignore[attr-defined]
    full = replace(crowded, train=split, validation=split, test=split)
    record = train_detector(SPEC, full, RECIPE.replace(epochs=1, batch_size=2), folder=tmp_path, device=CPU)
    assert all(math.isfinite(value) for value in record.history[0].values())
    assert record.settings["data"]["train_objects"] == 980
    assert record.settings["data"]["train_crowds"] == 20


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="gloo")
def test_two_processes_give_what_one_gives_also_where_one_has_no_object(tmp_path: Path) -> None:
    program = Path(__file__).parents[1] / "two_detecting.py"
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    subprocess.run(
        [*launcher, str(program), str(tmp_path / "two")], check=True, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    one = train_detector(
        SPEC,
        dataset(empty=0.6),
        RECIPE.replace(epochs=1, batch_size=2),
        folder=tmp_path / "one",
        device=CPU,
        execution=Execution(device_batch=1),
    )
    two = read_record(tmp_path / "two" / "record.json")
    assert two.environment["processes"] == 2
    assert losses(two) == pytest.approx(losses(one), rel=1e-5)
    assert two.metrics["test_box_ap"] == pytest.approx(one.metrics["test_box_ap"], abs=1e-6)
    assert two.details["misses"] == one.details["misses"]


@pytest.mark.medium
def test_a_finished_run_goes_on_with_its_head_and_its_classes_by_name(images: ImageDataset, tmp_path: Path) -> None:
    train_detector(SPEC, images, RECIPE.replace(epochs=1), folder=tmp_path / "first", device=CPU)
    standing = RECIPE.replace(epochs=1, lr=0.0, min_lr=0.0, warmup_epochs=0.0, head_width=16)
    start = weights_of_run(tmp_path / "first")
    order = np.random.default_rng(0).permutation(10)
    numbers = torch.from_numpy(np.argsort(order))
    splits = {
        name: replace(split, targets=replace(split.targets, labels=numbers[split.targets.labels]))
        for name, split in (("train", images.train), ("validation", images.validation), ("test", images.test))
    }
    shuffled = replace(images, classes=tuple(images.classes[index] for index in order), **splits)
    train_detector(SPEC, shuffled, standing, start=start, folder=tmp_path / "kept", device=CPU)

    before, after = (load_network(tmp_path / name) for name in ("first", "kept"))
    assert after.spec.head["width"] == 8
    image = images.test.images[:1].float() / 128 - 1
    for network in (before.network, after.network):
        network.float()
    one, two = (network.network.detect(image, [(64, 64)])[0] for network in (before, after))
    assert len(one) > 0
    assert [before.classes[label] for label in one.labels] == [after.classes[label] for label in two.labels]
    torch.testing.assert_close(one.boxes_xyxy, two.boxes_xyxy)


@pytest.mark.medium
def test_a_run_goes_on_without_masks_and_with_them_again(
    images: ImageDataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = RECIPE.replace(epochs=1)
    train_detector(SPEC, images, recipe, folder=tmp_path / "masks", device=CPU)
    boxes_only = dataset(masks=False)
    before = weights_of_run(tmp_path / "masks")
    with shown():
        train_detector(SPEC, boxes_only, recipe, start=before, folder=tmp_path / "boxes", device=CPU)
        assert "roi_heads.mask_heads is left out" in capsys.readouterr().err
        again = weights_of_run(tmp_path / "boxes")
        record = train_detector(
            SPEC, images, recipe.replace(head_width=16), start=again, folder=tmp_path / "again", device=CPU
        )
    assert "roi_heads.mask_heads is new" in capsys.readouterr().err
    assert "train_mask" in record.history[0]
    assert record.settings["recipe"]["head_width"] == 8  # what was trained


@pytest.mark.medium
@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_half_precision_keeps_boxes_to_the_pixel(precision: str, images: ImageDataset, tmp_path: Path) -> None:
    if precision == "fp16":
        dtype = torch.float16
    else:
        dtype = torch.bfloat16
        record = train_detector(SPEC, images, RECIPE.replace(precision=precision), folder=tmp_path, device=CPU)
        assert all(math.isfinite(value) for value in losses(record))
    maps = [torch.zeros(1, 1, 1024 // stride, 1024 // stride) for stride in (4, 8, 16, 32)]
    maps[0][..., 200] = 1.0
    box = torch.tensor([[797.0, 100.0, 811.0, 114.0]])  # in half precision: at a multiple of 4
    exact, half = (roi_features([x.to(kind) for x in maps], [box], 7) for kind in (torch.float32, dtype))
    assert half.dtype == dtype
    torch.testing.assert_close(half.float(), exact, atol=0.02, rtol=0.0)


def test_a_network_with_damaged_weights_finds_nothing_silently(images: ImageDataset, tmp_path: Path) -> None:
    spec = replace(SPEC, head=HEAD)
    network = build_network(spec, 10).eval()
    with torch.no_grad():
        network.rpn_head.rpn_cls.bias[0] = math.nan
    lost = SavedNetwork(network, spec, images.classes, images.preparation, "detection")
    Image.new("RGB", (64, 64)).save(tmp_path / "a.png")
    with pytest.raises(NonFiniteScores, match="NaN or infinity for every image"):
        list(predict(lost, [tmp_path / "a.png"], PredictRequest()))
    with pytest.raises(InputError, match="leave out --top, or use --min-score"):
        list(predict(lost, [tmp_path / "a.png"], PredictRequest(top=3)))


@pytest.mark.slow
def test_the_verbs_serve_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run, data = tmp_path / "run", tmp_path / "data"
    generator = SceneGenerator("train", 64, (1, 3), (0.3, 0.5))
    export_coco(data, [generator.scene(index) for index in range(40)])
    options = ["--recipe", "quick_detection", "--data", str(data), "--image-size", "64", "--model", "convnext_test"]
    options += ["--head-width", "8", "--head-hidden", "16", "--batch-size", "8", "--epochs", "1"]
    assert main(["train", *options, "--out", str(run)]) == 0
    assert "box AP" in capsys.readouterr().out

    saved = tmp_path / "found"
    assert main(["evaluate", str(run), "--data", str(data), "--save-json", str(saved), "--json"]) == 0
    measured, record = json.loads(capsys.readouterr().out), read_record(run / "record.json")
    assert measured["n"] == record.metrics["test_n"] > 0
    assert measured["box_ap"] == pytest.approx(record.metrics["test_box_ap"])
    results = json.loads((saved / "detections.bbox.json").read_text())
    assert set(results[0]) == {"image_id", "category_id", "score", "bbox"}
    assert {result["image_id"] for result in results} <= set(range(10, 50))
    assert json.loads((saved / "detections.segm.json").read_text())[0]["segmentation"]["size"] == [64, 64]

    photos, out = tmp_path / "photos", tmp_path / "drawn"
    photos.mkdir()
    Image.fromarray(generator.scene(0).image.permute(1, 2, 0).numpy()).resize((90, 120)).save(photos / "a.png")
    Image.new("L", (40, 30)).save(photos / "grey.png")
    Image.new("RGBA", (50, 20), (0, 0, 0, 0)).save(photos / "seen_through.png")
    assert main(["predict", str(run), str(photos), "--out", str(out), "--min-score", "0.06", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [Path(each["image"]).name for each in found] == ["a.png", "grey.png", "seen_through.png"]
    assert set(found[0]["predictions"][0]) == {"label", "score", "box_xyxy", "mask"}
    for name, size in (("a.png", (90, 120)), ("grey.png", (40, 30)), ("seen_through.png", (50, 20))):
        with Image.open(out / name) as drawing:
            assert drawing.size == size
    coco = COCO(str(out / "detections.json"))
    assert len(coco.anns) == sum(len(each["predictions"]) for each in found)
    assert [category["name"] for category in coco.cats.values()] == list("0123456789")
    assert main(["predict", str(run), str(photos), "--min-score", "1"]) == 0
    assert "nothing with a score of 1 or more" in capsys.readouterr().out

    assert main(["export", str(run), "--to", "torch"]) == 0
    assert f"{run / 'network.pt2'}: convnext_test for float32 images 1 x 3 x 64 x 64; " in capsys.readouterr().out

    assert main(["report", str(run), "--out", str(tmp_path / "page")]) == 0
    assert "box AP" in (tmp_path / "page" / "report.html").read_text()
    capsys.readouterr()
    assert main(["evaluate", str(run), "--data", str(data), "--flip", "--json"]) == 2
    assert "leave out --window, --scales and --flip" in capsys.readouterr().err
    assert main(["evaluate", str(run), "--data", str(data), "--save-json", str(run / "record.json")]) == 2
    assert "record.json: File exists; give another --save-json" in capsys.readouterr().err
    with pytest.raises(InputError, match=r"holds a\.png itself"):
        list(predict(load_network(run), [photos / "a.png"], PredictRequest(out=photos)))
