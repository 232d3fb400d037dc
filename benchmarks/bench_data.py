"""Compare training batches from JPEGs on this CPU with torchvision's ImageFolder and timm's loader.

    uv run python benchmarks/bench_data.py --out benchmarks/results/my-cpu-data
    uv run python benchmarks/bench_data.py IMAGES --out benchmarks/results/my-cpu-data

Every loader makes the same batches: random resized crops of 224 pixels, flipped, normalised, float32, on the CPU, from
the same images, with the same number of workers. A turn is an epoch. IMAGES is a folder with a folder per class. By
default, images like ImageNet's are made from the photos that scikit-learn ships: most have 500x375 pixels and 100 KB,
one in ten has 2000x1500. About five minutes on two cores.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from sklearn.datasets import load_sample_images
from timm.data import create_loader
from torch.utils.data import DataLoader
from torchvision import datasets, transforms
from torchvision.transforms import v2

from modernet import progress
from modernet.data import ImageDataset, OnDisk, make_loader, open_dataset
from modernet.data.images.decoding import decode_view
from modernet.data.images.views import Box, View
from modernet.machine.timing import Ratio, rounds_in_turns, speed_ratio
from modernet.recipes import Augmentation
from modernet.records import RECORD_NAME, Record, environment

SIZE, BATCH, SMALLEST_CROP = 224, 64, 0.08
MADE = 1024
CPU = torch.device("cpu")
OURS = "modernet"


def make_images(folder: Path, count: int = MADE) -> None:
    """Write photo-like JPEGs in two classes."""
    rng = np.random.default_rng(0)
    photos = [Image.fromarray(photo) for photo in load_sample_images().images]
    for number in range(count):
        size = (2000, 1500) if number % 10 == 0 else (500, 375)
        photo = photos[number % len(photos)]
        width = int(rng.integers(photo.width // 2, photo.width))
        height = width * 3 // 4
        left, top = int(rng.integers(0, photo.width - width)), int(rng.integers(0, max(photo.height - height, 1)))
        image = photo.resize(
            size, Image.Resampling.BICUBIC, box=(left, top, left + width, min(top + height, photo.height))
        )
        grain = rng.normal(0, 3, (size[1], size[0], 1))  # noise of a camera; enlarged photos are too smooth
        pixels = (np.asarray(image) + grain).clip(0, 255).astype(np.uint8)
        path = folder / "ab"[number % 2] / f"{number}.jpg"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(pixels).save(path, quality=90)


def opened(folder: Path) -> tuple[ImageDataset, OnDisk]:
    """Open the folder; return the data set, and its training split without the last partial batch."""
    dataset = open_dataset(str(folder), image_size=SIZE, memory_limit_mb=0)
    train = dataset.train
    assert isinstance(train, OnDisk)
    n = len(train) // BATCH * BATCH
    if not n:
        raise SystemExit(f"{folder} has {len(train)} training images; at least {BATCH} are needed")
    return dataset, OnDisk(train.images, train.indices[:n], train.labels[:n])


def loaders(dataset: ImageDataset, split: OnDisk, workers: int) -> dict[str, Iterable[Any]]:
    """Return the loaders by name; iterating over one gives an epoch of batches."""
    paths = [split.images.name(index) for index in split.indices.tolist()]
    samples = list(zip(paths, split.labels.tolist(), strict=True))
    folder = Path(paths[0]).parents[1]

    def image_folder(transform: Callable[[Image.Image], torch.Tensor] | None) -> datasets.ImageFolder:
        images = datasets.ImageFolder(folder, transform)
        images.samples = samples
        return images

    mean, std = dataset.preparation.mean, dataset.preparation.std

    def torchvision(steps: list[Any]) -> DataLoader[Any]:
        images = image_folder(transforms.Compose([*steps, transforms.Normalize(mean, std)]))
        return DataLoader(images, BATCH, shuffle=True, num_workers=workers, persistent_workers=True)

    def timm(prefetch: bool) -> Iterable[Any]:
        return create_loader(
            image_folder(None), (3, SIZE, SIZE), BATCH, is_training=True, use_prefetcher=prefetch, hflip=0.5,
            scale=(SMALLEST_CROP, 1.0), color_jitter=None, interpolation="bilinear", mean=mean, std=std,
            num_workers=workers, pin_memory=False, device=CPU,
        )  # fmt: skip

    scale = (SMALLEST_CROP, 1.0)
    pil = [transforms.RandomResizedCrop(SIZE, scale), transforms.RandomHorizontalFlip(), transforms.ToTensor()]
    tensors = [
        v2.PILToTensor(),
        v2.RandomResizedCrop(SIZE, scale, antialias=True),
        v2.RandomHorizontalFlip(),
        v2.ToDtype(torch.float32, scale=True),
    ]
    return {
        "torchvision": torchvision(pil),
        "torchvision v2, tensors": torchvision(tensors),
        "timm": timm(False),
        "timm, prefetcher": timm(True),
        OURS: _Epochs(dataset, split, workers),
    }


class _Epochs:
    """Our loader, with a new epoch in each iteration."""

    def __init__(self, dataset: ImageDataset, split: OnDisk, workers: int) -> None:
        augmentation = Augmentation(flip=0.5, crop_scale=SMALLEST_CROP)
        self.loader = make_loader(
            dataset, split, batch_size=BATCH, device=CPU, augmentation=augmentation, workers=workers
        )
        self.epoch = 0

    def __iter__(self) -> Any:
        self.epoch += 1
        return self.loader.batches(self.epoch)


def consume(batches: Iterable[Any], n: int) -> None:
    """Iterate over one epoch, and check that it is complete."""
    seen = 0
    for batch in batches:
        images = batch[0]
        assert images.dtype == torch.float32
        assert images.shape[1:] == (3, SIZE, SIZE)
        seen += len(images)
    assert seen == n, f"{seen} of {n} images"


def difference(split: OnDisk, images: int = 50) -> float:
    """Return the mean absolute difference per byte between our crops and PIL's, of the same boxes."""
    found = []
    for index in split.indices[:images].tolist():
        data = Path(split.images.name(index)).read_bytes()
        image = Image.open(Path(split.images.name(index))).convert("RGB")
        box = Box(image.height // 10, image.width // 5, image.height * 3 // 4, image.width * 2 // 3)
        ours, _ = decode_view(data, "", lambda h, w, box=box: View(box, (SIZE, SIZE)))
        part = (box.left, box.top, box.left + box.width, box.top + box.height)
        pils = image.crop(part).resize((SIZE, SIZE), Image.Resampling.BILINEAR)
        found.append(np.abs(ours.permute(1, 2, 0).numpy().astype(int) - np.asarray(pils)).mean())
    return float(np.mean(found))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", nargs="?", type=Path, help="folder of class folders; by default generated")
    parser.add_argument("--out", type=Path, required=True, help="folder for the record")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=10)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as made, progress.shown():
        if options.images is None:
            make_images(Path(made))
        dataset, split = opened(options.images or Path(made))
        n = len(split)
        calls = {
            name: lambda batches=batches: consume(batches, n)
            for name, batches in loaders(dataset, split, options.workers).items()
        }
        rounds = list(rounds_in_turns(calls, CPU, rounds=options.rounds, turn_s=0.0, warm_up=1, name="loading images"))
        off = difference(split)
    seconds = {name: [round_[name] for round_ in rounds] for name in calls}
    speeds = {name: n / statistics.median(values) for name, values in seconds.items()}
    best = max((name for name in calls if name != OURS), key=lambda name: speeds[name])
    ratios: dict[str, Ratio] = {name: speed_ratio(seconds[OURS], seconds[name]) for name in calls if name != OURS}
    record = Record(
        kind="data_loading",
        name="random resized crops, flipped, normalised",
        settings={
            "images": "generated" if options.images is None else options.images.name,
            "n": n,
            "image_size": SIZE,
            "batch_size": BATCH,
            "workers": options.workers,
            "best_other": best,
        },
        metrics={
            **{f"images_per_second {name}": speed for name, speed in speeds.items()},
            **{
                f"ratio to {name}, {part}": getattr(ratio, part)
                for name, ratio in ratios.items()
                for part in ("median", "low", "high")
            },
            "mean difference of a byte from PIL": off,
        },
        history=rounds,
        environment=environment(f"CPU, {torch.get_num_threads()} threads"),
    )
    record.write(options.out / RECORD_NAME)
    for name, speed in speeds.items():
        ratio = "" if name == OURS else "   ours {0.median:.2f}x [{0.low:.2f}, {0.high:.2f}]".format(ratios[name])
        print(f"{name:26}{speed:7.0f} images/s{ratio}{'  best of the others' if name == best else ''}")
    print(f"our crops differ from PIL's by {off:.2f} of 255 per byte on average")


if __name__ == "__main__":
    main()
