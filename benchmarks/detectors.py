"""Compare an optimized Mask R-CNN on this CPU with torchvision's.

    uv run python benchmarks/detectors.py --out benchmarks/results/my-cpu-detectors

Both are Mask R-CNN with ResNet-50 and a feature pyramid, for one image of 800x1333 pixels, with random weights; ours is
optimized, torchvision's runs as it comes. Their work is made equal, and checked: 1,000 candidates of each level and
1,000 proposals of an image in both; about 500 pairs of a proposal and a class above a score of 0.05, for which the
weights of the classifiers are scaled; and the 100 best of them get masks of 28x28. Preparation of the image and
enlarging of masks are left out. The networks take turns; the peak memory of each, above that of the imported
libraries, weights included, is measured in a process of its own. About ten minutes on two cores.
"""

from __future__ import annotations

import argparse
import gc
import json
import statistics
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.models.detection import maskrcnn_resnet50_fpn
from torchvision.models.detection.image_list import ImageList

from modernet import create_model, optimize, progress
from modernet.detection import RCNN, mask_rcnn, pad_images
from modernet.machine.device import check_threads, describe
from modernet.machine.linux_memory import peak_rise
from modernet.machine.timing import rounds_in_turns, speed_ratio
from modernet.records import RECORD_NAME, Record, environment

SIZE = (800, 1333)
OURS, THEIRS = "modernet, optimized", "torchvision"
PROPOSALS, COMPETING, DETECTIONS = 1000, 500, 100
SPREAD = 3.0  # standard deviation of the logits
CPU = torch.device("cpu")

Detect = Callable[[], int]
"""Runs a detector once and returns the number of masks."""


def images() -> tuple[Tensor, list[tuple[int, int]]]:
    batch, sizes = pad_images([torch.randn(3, *SIZE, generator=torch.Generator().manual_seed(1))])
    return batch, sizes


def torchvision_detector() -> Detect:
    torch.manual_seed(0)
    network = maskrcnn_resnet50_fpn(weights=None, weights_backbone=None).eval()
    batch, sizes = images()
    numbers: dict[str, int] = {}

    def detect() -> int:
        with torch.inference_mode():
            maps = network.backbone(batch)
            proposals, _ = network.rpn(ImageList(batch, sizes), maps)
            (found,), _ = network.roi_heads(maps, proposals, sizes)
        numbers["proposals"] = len(proposals[0])
        return len(found["masks"])

    make_equal(network.roi_heads.box_predictor.cls_score, 0, detect)
    check(detect(), numbers["proposals"])
    return detect


def our_detector() -> RCNN:
    torch.manual_seed(0)
    network = RCNN(create_model("resnet50"), mask_rcnn(80)).eval()
    batch, sizes = images()
    classifier = network.roi_heads.box_heads[0].fc_cls
    numbers = {}

    def count(layer: nn.Module, inputs: Any, logits: Tensor) -> None:
        numbers["proposals"] = len(logits)

    with torch.inference_mode():
        make_equal(classifier, -1, lambda: len(network(batch, sizes)[0]))
        hook = classifier.register_forward_hook(count)
        check(len(network(batch, sizes)[0]), numbers["proposals"])
        hook.remove()
    return network


def optimized_detector() -> Detect:
    batch, sizes = images()
    network = optimize(our_detector(), batch)
    print(network.report, file=sys.stderr)

    def detect() -> int:
        with torch.inference_mode():
            (found,) = network(batch, sizes)
        assert found.masks is not None
        return len(found.masks)

    return detect


@torch.no_grad()
def make_equal(classifier: nn.Linear, background: int, run: Callable[[], object]) -> None:
    """Scale a classifier so that `COMPETING` pairs of a proposal and a class have a score above 0.05."""
    seen: list[Tensor] = []
    hook = classifier.register_forward_hook(lambda layer, inputs, logits: seen.append(logits.clone()))
    run()
    classifier.weight.mul_(SPREAD / seen[-1].std())
    run()
    hook.remove()
    logits = seen[-1]

    def pairs(bias: float) -> int:
        shifted = logits.clone()
        shifted[:, background] += bias
        probabilities = shifted.softmax(1)
        probabilities[:, background] = 0
        return int((probabilities > 0.05).sum())

    low, high = 0.0, 50.0  # fewer pairs with a larger bias
    for _ in range(30):
        middle = (low + high) / 2
        low, high = (middle, high) if pairs(middle) > COMPETING else (low, middle)
    classifier.bias[background] += high


def check(detections: int, proposals: int) -> None:
    if (detections, proposals) != (DETECTIONS, PROPOSALS):
        raise SystemExit(f"{detections} detections of {proposals} proposals; the work is not equal")


DETECTORS: dict[str, Callable[[], Detect]] = {THEIRS: torchvision_detector, OURS: optimized_detector}


def print_peak(name: str) -> None:
    """Print the peak memory of a detector as JSON, in MB; that of the libraries, the compiler among them, left out."""
    held: list[Detect] = []
    with torch.no_grad():
        torch.compile(nn.Linear(1, 1))(torch.zeros(1, 1))

    def build() -> None:
        held.append(DETECTORS[name]())
        gc.collect()

    def run() -> None:
        held[0]()

    above = resident(build)
    rise = peak_rise(run)
    assert rise is not None
    print(json.dumps({"mb": (above + rise) / 1e6, "held_mb": above / 1e6}))


def resident(build: Callable[[], None]) -> int:
    """Return how many bytes of memory something built takes."""
    import psutil

    process = psutil.Process()
    before = process.memory_info().rss
    build()
    peak_rise(lambda: None)  # returns freed memory to the system
    return int(process.memory_info().rss - before)


def peak_of(name: str) -> dict[str, float]:
    """Measure the peak memory of a detector in a process of its own."""
    command = [sys.executable, __file__, "--peak-of", name]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="folder for the record")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--peak-of", choices=DETECTORS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    threads = check_threads(None)
    torch.set_num_threads(threads)
    if options.peak_of:
        print_peak(options.peak_of)
        return
    if options.out is None:
        parser.error("--out is missing: give the folder for the record")
    peaks = {name: peak_of(name) for name in DETECTORS}
    calls = {name: build() for name, build in DETECTORS.items()}
    with progress.shown():
        history = list(rounds_in_turns(calls, CPU, rounds=options.rounds, turn_s=0.0, warm_up=1))
    seconds = {name: [row[name] for row in history] for name in calls}
    ratio = speed_ratio(seconds[OURS], seconds[THEIRS])
    memory = peaks[OURS]["mb"] / peaks[THEIRS]["mb"]
    metrics = {"ratio": ratio.median, "ratio_low": ratio.low, "ratio_high": ratio.high, "memory_ratio": memory}
    for name in calls:
        metrics |= {f"{name}: seconds": statistics.median(seconds[name])}
        metrics |= {f"{name}: {key}": value for key, value in peaks[name].items()}
        print(f"{name}: {statistics.median(seconds[name]):.2f} s, peak {peaks[name]['mb']:.0f} MB")
    print(f"speed {ratio.median:.2f}x [{ratio.low:.2f}, {ratio.high:.2f}], memory {memory:.2f}x of torchvision's")
    Record(
        kind="detector benchmark",
        name="mask_rcnn resnet50",
        settings={"size": SIZE, "proposals": PROPOSALS, "competing": COMPETING, "detections": DETECTIONS},
        metrics=metrics,
        history=[dict(row) for row in history],
        environment=environment(describe(CPU, threads)),
    ).write(options.out / RECORD_NAME)


if __name__ == "__main__":
    main()
