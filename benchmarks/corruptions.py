"""Compare the corruptions of ImageNet-C and C-bar with the references of the tests, on one core of this CPU.

    uv run python benchmarks/corruptions.py --out benchmarks/results/my-cpu-corruptions

The references corrupt one image at a time with numpy, scipy, scikit-image and OpenCV. A turn corrupts 32 generated
images of 224 pixels at severity 3: ours as a batch, in the layout in which images are decoded. Pictures of frost are
files, of which the published code, and so its reference, reads one for each image; ours reads each once.
"""

from __future__ import annotations

import argparse
import importlib
import os
import statistics
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from modernet import progress
from modernet.data.transforms.corruptions import CORRUPTIONS, Corrupt, suite_names
from modernet.data.transforms.corruptions.frost_pictures import FILES, frost_picture
from modernet.machine.timing import Ratio, rounds_in_turns, speed_ratio
from modernet.records import RECORD_NAME, Record, environment

TESTS = Path(__file__).parent.parent / "tests"
REFERENCES = Path("data/transforms/corruptions/reference")
OURS, REFERENCE = "modernet", "reference"
IMAGES, SIDE, SEVERITY = 32, 224, 3
SUITES = ("c", "extra", "cbar")


def references() -> dict[str, Callable[..., np.ndarray]]:
    """Return the reference of each corruption: an image (h, w, 3), a generator, parameters -> the image corrupted."""
    sys.path.insert(0, str(TESTS))
    found: dict[str, Callable[..., np.ndarray]] = {}
    for file in sorted((TESTS / REFERENCES).glob("*.py")):
        module = importlib.import_module(".".join((*REFERENCES.parts, file.stem)))
        found |= module.REFERENCE
    return found


class FrostFiles:
    """Pictures of frost that are read from files whenever they are asked for, as the published code does.

    Args:
        folder: where they are written: synthesised ones, by the names of the published ones.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for index, name in enumerate(FILES):
            picture = frost_picture(None, min(index, 4), 1)  # the sixth is never read
            Image.fromarray(picture.numpy()).save(folder / name)

    def __getitem__(self, index: int) -> np.ndarray:
        return cv2.imread(str(self.folder / FILES[index]))[..., ::-1]


def on_one_core() -> None:
    """Keep this process, and those that it starts, to one core."""
    torch.set_num_threads(1)
    if hasattr(os, "sched_setaffinity"):  # of Linux; for OpenCV and BLAS, which have threads of their own
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


def generated_images() -> Tensor:
    """Return smooth images with some texture, uint8 (n, 3, h, w) in channels_last layout."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(IMAGES, 3, 9, 9, generator=generator)
    images = 255 * F.interpolate(coarse, (SIDE, SIDE), mode="bicubic")
    images += 12 * torch.randn(IMAGES, 3, SIDE, SIDE, generator=generator)
    return images.clamp(0, 255).to(torch.uint8).contiguous(memory_format=torch.channels_last)


def by_reference(function: Callable[..., np.ndarray], name: str, images: list[np.ndarray]) -> None:
    """Corrupt images one by one."""
    rng = np.random.default_rng(0)
    parameters = CORRUPTIONS[name].parameters(SEVERITY, SIDE)
    for image in images:
        np.asarray(function(image, rng, *parameters)).astype(np.uint8)


def text(name: str, ours: list[float], theirs: list[float], ratio: Ratio) -> str:
    """Return a line of the table: milliseconds per image, and the ratio."""
    times = (1e3 * statistics.median(seconds) / IMAGES for seconds in (ours, theirs))
    numbers = "".join(f"{time:12.2f}" for time in times)
    return f"{name:28}{numbers}   {ratio.median:6.2f}x [{ratio.low:.2f}, {ratio.high:.2f}]"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="folder for the record")
    parser.add_argument("--suites", nargs="*", choices=SUITES, default=["c", "cbar"])
    parser.add_argument("--corruptions", nargs="*", default=[], help="only these")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    names = options.corruptions or suite_names(*options.suites)
    known = references()
    for name in names:
        if name not in CORRUPTIONS:
            parser.error(f"there is no corruption {name}; give some of {', '.join(CORRUPTIONS)}")
        if name not in known:
            parser.error(f"{name} has no reference in {REFERENCES}; add it there")
    on_one_core()

    temporary = tempfile.TemporaryDirectory()
    frost_folder = Path(temporary.name)
    known["frost"] = partial(known["frost"], pictures=FrostFiles(frost_folder))
    batch = generated_images()
    single = list(batch.permute(0, 2, 3, 1).numpy())  # n c h w -> n h w c
    seconds: dict[str, dict[str, list[float]]] = {}
    ratios: dict[str, Ratio] = {}
    print(f"{'ms per image':28}{OURS:>12}{REFERENCE:>12}   ratio")
    for name in names:
        calls: dict[str, Callable[[], object]] = {
            OURS: partial(Corrupt(name, SEVERITY, frost=frost_folder), batch),
            REFERENCE: partial(by_reference, known[name], name, single),
        }
        with progress.shown():
            rounds = rounds_in_turns(
                calls, torch.device("cpu"), rounds=options.rounds, turn_s=0, warm_up=1, name=f"measuring {name}"
            )
            times = seconds[name] = {OURS: [], REFERENCE: []}
            for round_ in rounds:
                for call, each in round_.items():
                    times[call].append(each)
        ratios[name] = speed_ratio(times[OURS], times[REFERENCE])
        print(text(name, times[OURS], times[REFERENCE], ratios[name]), flush=True)
    total = {
        call: [sum(times[call][number] for times in seconds.values()) for number in range(options.rounds)]
        for call in (OURS, REFERENCE)
    }
    ratios["sum"] = speed_ratio(total[OURS], total[REFERENCE])
    print(text("sum", total[OURS], total[REFERENCE], ratios["sum"]))
    if options.out is None:
        return
    metrics = {
        f"{name}, {part}": getattr(ratio, part) for name, ratio in ratios.items() for part in ("median", "low", "high")
    }
    for name, times in seconds.items():
        metrics |= {f"{name}, seconds {call}": statistics.median(each) for call, each in times.items()}
    record = Record(
        kind="corruptions",
        name="corruptions in batches, against one image at a time",
        settings={
            "images": IMAGES,
            "side": SIDE,
            "severity": SEVERITY,
            "rounds": options.rounds,
            "corruptions": names,  # whose times `sum` adds up
        },
        metrics=metrics,
        history=[
            {f"{name} {call}": each[number] for name, times in seconds.items() for call, each in times.items()}
            for number in range(options.rounds)
        ],
        environment=environment("CPU, 1 thread"),
    )
    record.write(options.out / RECORD_NAME)


if __name__ == "__main__":
    main()
