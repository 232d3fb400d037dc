"""Compare training batches of a COCO data set on this CPU with those of torchvision.

    uv run python benchmarks/detection_data.py ANNOTATIONS.json IMAGES --out benchmarks/results/my-cpu-detection-data

Both make the same kind of batch from the same images with the same number of workers: scaled to fit into 512 pixels,
half of them mirrored, with boxes, classes and masks, normalised, padded to one size, float32, on the CPU. A turn is an
epoch. torchvision follows its own tutorial: `CocoDetection` wrapped for v2 transforms, with boxes sanitised at the
end, and a `DataLoader`.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import DataLoader, Subset
from torchvision import datasets
from torchvision.transforms import v2

from modernet import progress
from modernet.data import BoxTargets, ImageDataset, OnDisk, Split, make_loader, open_dataset
from modernet.machine.timing import rounds_in_turns, speed_ratio
from modernet.preparation import IMAGENET_MEAN, IMAGENET_STD, Preparation
from modernet.recipes import DetectionAugmentation
from modernet.records import RECORD_NAME, Record, environment

SIZE, BATCH = 512, 8
CPU = torch.device("cpu")
OURS, OTHER = "modernet", "torchvision"


def with_objects(split: Split) -> OnDisk:
    """Return the images that have an object: torchvision's wrapped data set raises an error at those that have none."""
    assert isinstance(split, OnDisk)
    assert isinstance(split.targets, BoxTargets)
    chosen = np.flatnonzero(np.diff(split.targets.offsets))
    return OnDisk(split.images, split.indices[torch.from_numpy(chosen)], split.targets.take(chosen))


def ours(dataset: ImageDataset, workers: int) -> Callable[[], int]:
    """Return a call that makes every batch of an epoch, and counts the images."""
    preparation = Preparation(SIZE, IMAGENET_MEAN, IMAGENET_STD)
    loader = make_loader(
        dataset,
        dataset.train,
        batch_size=BATCH,
        device=CPU,
        augmentation=DetectionAugmentation(flip=0.5),
        preparation=preparation,
        workers=workers,
    )
    return lambda: sum(len(batch.images) for batch in loader.batches())


def collate(samples: list[tuple[Tensor, dict[str, Tensor]]]) -> tuple[Tensor, list[dict[str, Tensor]]]:
    """Pad images to the largest height and width."""
    images, targets = zip(*samples, strict=True)
    height, width = (max(image.shape[side] for image in images) for side in (1, 2))
    padded = [F.pad(image, (0, width - image.shape[2], 0, height - image.shape[1])) for image in images]
    return torch.stack(padded), list(targets)


def torchvisions(annotations: Path, images: Path, names: set[str], workers: int) -> Callable[[], int]:
    """Return a call that makes every batch of an epoch from the images of some names, and counts the images."""
    steps = [
        v2.ToImage(),
        v2.RandomHorizontalFlip(0.5),
        v2.Resize(size=None, max_size=SIZE, antialias=True),
        v2.ToDtype(torch.float32, scale=True),
        v2.Normalize(IMAGENET_MEAN, IMAGENET_STD),
        v2.SanitizeBoundingBoxes(),
    ]
    whole = datasets.CocoDetection(str(images), str(annotations), transforms=v2.Compose(steps))
    chosen = [
        index for index, number in enumerate(whole.ids) if Path(whole.coco.imgs[number]["file_name"]).name in names
    ]
    wrapped = datasets.wrap_dataset_for_transforms_v2(whole, target_keys=("boxes", "labels", "masks"))
    loader = DataLoader(
        Subset(wrapped, chosen),
        batch_size=BATCH,
        shuffle=True,
        num_workers=workers,
        collate_fn=collate,
        persistent_workers=workers > 0,
    )
    return lambda: sum(len(batch) for batch, _ in loader)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("annotations", type=Path)
    parser.add_argument("images", type=Path)
    parser.add_argument("--out", type=Path, required=True, help="folder for the record")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    with progress.shown():
        dataset = open_dataset(str(options.annotations), targets="boxes", image_size=SIZE)
        train = with_objects(dataset.train)
        dataset = replace(dataset, train=train)
        names = {Path(train.images.name(index)).name for index in train.indices.tolist()}
        calls: dict[str, Callable[[], int]] = {
            OURS: ours(dataset, options.workers),
            OTHER: torchvisions(options.annotations, options.images, names, options.workers),
        }
        counts = {name: call() for name, call in calls.items()}
        assert set(counts.values()) == {len(train)}, counts
        rounds = list(rounds_in_turns(calls, CPU, rounds=options.rounds, turn_s=0.0, warm_up=1, name="measuring"))
    seconds = {name: [round_[name] for round_ in rounds] for name in calls}
    ratio = speed_ratio(seconds[OURS], seconds[OTHER])
    metrics: dict[str, Any] = {
        **{f"images/s {name}": len(train) / statistics.median(values) for name, values in seconds.items()},
        **{f"ratio to {OTHER}, {part}": getattr(ratio, part) for part in ("median", "low", "high")},
    }
    record = Record(
        kind="detection_data",
        name="training batches from COCO",
        settings={"images": len(train), "size": SIZE, "batch": BATCH, "workers": options.workers},
        metrics=metrics,
        history=rounds,
        environment=environment(f"CPU, {torch.get_num_threads()} threads"),
    )
    record.write(options.out / RECORD_NAME)
    for name, values in seconds.items():
        print(f"{name:14}{len(train) / statistics.median(values):7.1f} images/s")
    print(f"{ratio.median:.2f}x [{ratio.low:.2f}, {ratio.high:.2f}]")


if __name__ == "__main__":
    main()
