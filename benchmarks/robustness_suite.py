"""Compare a test on corrupted images with a plain loop: reference corruption, timm's network, batches of 32.

    uv run python benchmarks/robustness_suite.py --data imagenet/val --weights lite0.safetensors --out results/my-suite

The loop crops each image by torchvision, corrupts it by the reference of the tests, stores it as JPEG, and runs the
network eagerly: what the published scripts do. A turn tests the images with every corruption of ImageNet-C at
`--severities`. Ours includes all that `modernet robustness` does, from opening the images to its page. Errors of both
are in the record; they differ where corruptions are random. With 400 images at one severity, a round of the loop takes
about half an hour on two cores.
"""

from __future__ import annotations

import argparse
import importlib.util
import statistics
import tempfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import timm
import torch
from PIL import Image
from torch import Tensor, nn
from torchvision.transforms.v2 import CenterCrop, Resize

from modernet import progress
from modernet.catalogue import imagenet_synsets
from modernet.data.transforms.corruptions import CORRUPTIONS, suite_names
from modernet.machine.timing import seconds_of, speed_ratio
from modernet.records import RECORD_NAME, Record, environment
from modernet.studies.robustness import NamedNetwork, RobustnessRequest, measure_robustness

REFERENCES = Path(__file__).parent.parent / "tests/data/transforms/corruptions/reference"
OURS, LOOP = "modernet", "plain loop"
SIDE, BATCH = 224, 32
Reference = Callable[..., np.ndarray]


def references() -> dict[str, Reference]:
    """Return the reference of each corruption: an image (h, w, 3), a generator, parameters -> the image corrupted."""
    found: dict[str, Reference] = {}
    for file in sorted(REFERENCES.glob("*.py")):
        spec = importlib.util.spec_from_file_location(f"reference_{file.stem}", file)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        found |= module.REFERENCE
    return found


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
    parser.add_argument("--rounds", type=int, default=1)
    options = parser.parse_args()

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
        turns = [(name, call) for _ in range(options.rounds) for name, call in calls.items()]
        found = [seconds_of(call, 1, torch.device("cpu")) for _, call in progress.track(turns, "testing", len(turns))]
    rounds = [dict(zip(calls, found[start : start + 2], strict=True)) for start in range(0, len(found), 2)]
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
        environment=environment(f"CPU, {torch.get_num_threads()} threads"),
    )
    record.write(options.out / RECORD_NAME)
    for name, values in seconds.items():
        print(f"{name:14}{statistics.median(values):9.1f} s   mean error {errors[name]:.1f} %")
    print(f"{ratio.median:.2f}x [{ratio.low:.2f}, {ratio.high:.2f}]")


if __name__ == "__main__":
    main()
