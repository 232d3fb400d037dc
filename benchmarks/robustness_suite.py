"""Compare a test on corrupted images with a plain loop, on one core of this CPU.

    uv run python benchmarks/robustness_suite.py --data imagenet/val --weights lite0.safetensors --out results/my-suite

The loop crops each image by torchvision, corrupts it by the reference of the tests, stores it as JPEG, and runs timm's
network eagerly in batches of 32: what the published scripts do. A turn tests the images with every corruption of
ImageNet-C at `--severities`. Ours includes all that `modernet robustness` does, from opening the images to its page.
Errors of both are in the record; they differ where corruptions are random. Rounds begin with ours and with the loop in
turn.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import timm
import torch
from corruptions import on_one_core, references
from PIL import Image
from torch import Tensor, nn
from torchvision.transforms.v2 import CenterCrop, Resize

from modernet import progress
from modernet.catalogue import imagenet_synsets
from modernet.data.transforms.corruptions import CORRUPTIONS, suite_names
from modernet.machine.timing import seconds_of, speed_ratio
from modernet.records import RECORD_NAME, Record, environment
from modernet.studies.robustness import NamedNetwork, RobustnessRequest, measure_robustness

OURS, LOOP = "modernet", "plain loop"
SIDE, BATCH = 224, 32
Reference = Callable[..., np.ndarray]


def as_stored(path: Path, reference: Reference, chance: np.random.Generator, parameters: tuple[Any, ...]) -> np.ndarray:
    """Return an image as it is read from the JPEG of its corrupted crop."""
    crop = CenterCrop(SIDE)(Resize(256)(Image.open(path).convert("RGB")))
    corrupted = np.uint8(reference(np.asarray(crop), chance, *parameters))
    file = BytesIO()
    Image.fromarray(corrupted).save(file, "JPEG", quality=85, optimize=True)
    return np.asarray(Image.open(file))


@torch.inference_mode()
def plain_loop(
    network: nn.Module, images: list[Path], cells: list[tuple[str, int]], mean: Tensor, std: Tensor
) -> float:
    """Return the mean error in per cent over cells, of images in folders by synset."""
    known, wrong = references(), 0
    for name, severity in cells:
        chance, parameters = np.random.default_rng(0), CORRUPTIONS[name].parameters(severity, SIDE)
        for start in range(0, len(images), BATCH):
            paths = images[start : start + BATCH]
            pixels = np.stack([as_stored(path, known[name], chance, parameters) for path in paths])
            batch = (torch.from_numpy(pixels).permute(0, 3, 1, 2) / 255 - mean) / std
            for path, answer in zip(paths, network(batch).argmax(1).tolist(), strict=True):
                wrong += imagenet_synsets()[answer] != path.parent.name
    return 100 * wrong / (len(images) * len(cells))


def ours(network: NamedNetwork, data: Path, cells: list[tuple[str, int]]) -> float:
    """Return the mean error in per cent over cells."""
    names, severities = (tuple(dict.fromkeys(each)) for each in zip(*cells, strict=True))
    request = RobustnessRequest(str(data), (), names, severities, batch_size=BATCH)
    with tempfile.TemporaryDirectory() as folder:
        record = measure_robustness(network, request, Path(folder), device=torch.device("cpu"))
    return record.metrics["c_mean_error"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of images by ImageNet's synsets")
    parser.add_argument("--weights", type=Path, required=True, help="of --model, with timm's names")
    parser.add_argument("--model", default="tf_efficientnet_lite0", help="in timm")
    parser.add_argument("--severities", type=int, nargs="*", default=[3])
    parser.add_argument("--out", type=Path, required=True, help="folder for the record")
    parser.add_argument("--rounds", type=int, default=2)
    options = parser.parse_args()
    on_one_core()

    network = NamedNetwork.load(f"timm:{options.model}", options.weights)
    preparation = network.saved.preparation
    mean, std = torch.tensor(preparation.mean)[:, None, None], torch.tensor(preparation.std)[:, None, None]
    plain = timm.create_model(options.model, checkpoint_path=str(options.weights)).eval()
    images = sorted(path for path in options.data.glob("n*/*") if path.is_file())
    cells = [(name, severity) for name in suite_names("c") for severity in options.severities]
    errors: dict[str, float] = {}
    calls = {
        OURS: lambda: errors.update({OURS: ours(network, options.data, cells)}),
        LOOP: lambda: errors.update({LOOP: plain_loop(plain, images, cells, mean, std)}),
    }
    with progress.shown():
        ours(network, options.data, cells[:1])  # what is imported at the first use is no part of a test
        rounds: list[dict[str, float]] = [{} for _ in range(options.rounds)]
        order = [OURS, LOOP, LOOP, OURS]  # in two rounds, so that neither is always first
        turns = [(number, order[(2 * number + turn) % 4]) for number in range(options.rounds) for turn in range(2)]
        for number, name in progress.track(turns, "testing", len(turns)):
            rounds[number][name] = seconds_of(calls[name], 1, torch.device("cpu"))
    seconds = {name: [round_[name] for round_ in rounds] for name in calls}
    ratio = speed_ratio(seconds[OURS], seconds[LOOP])
    record = Record(
        kind="robustness_suite",
        name="a test on corrupted images, against a plain loop",
        settings={
            "model": options.model,
            "data": options.data.resolve().name,
            "images": len(images),
            "corruptions": suite_names("c"),
            "severities": options.severities,
            "batch_size": BATCH,
        },
        metrics={
            **{f"seconds {name}": statistics.median(values) for name, values in seconds.items()},
            **{f"ratio to {LOOP}, {part}": getattr(ratio, part) for part in ("median", "low", "high")},
            **{f"mean error {name}, %": error for name, error in errors.items()},
        },
        history=rounds,
        environment=environment("CPU, 1 thread"),
    )
    record.write(options.out / RECORD_NAME)
    for name, values in seconds.items():
        print(f"{name:14}{statistics.median(values):9.1f} s   mean error {errors[name]:.1f} %")
    print(f"{ratio.median:.2f}x [{ratio.low:.2f}, {ratio.high:.2f}]")


if __name__ == "__main__":
    main()
