"""Compare `predict` on a folder of JPEGs with a plain loop and with timm's inference, on this CPU.

    uv run python benchmarks/predicting.py --out benchmarks/results/my-cpu-predicting
    uv run python benchmarks/predicting.py IMAGES --out benchmarks/results/my-cpu-predicting

A turn goes from the paths to the five most probable classes of every image, with all cores. `one by one` reads,
resizes, normalises and classifies one image after the other. `timm` is its own network of the same architecture, its
transform and its loader with as many workers as cores, in batches of 32, as its inference script has them. The weights
are random. By default, 250 images are made as in bench_data.py. About two minutes on two cores.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import timm
import torch
from bench_data import make_images
from timm.data import ImageDataset, create_loader, resolve_data_config

from modernet import create_model, progress
from modernet.catalogue import find_weights
from modernet.data import find_images, fit_image, read_image
from modernet.evaluation import predict
from modernet.machine.cores import usable_cores
from modernet.machine.timing import rounds_in_turns, speed_ratio
from modernet.preparation import Preparation
from modernet.records import RECORD_NAME, Record, environment
from modernet.weights import NetworkSpec, SavedNetwork, class_names

OURS, PLAIN, TIMM = "modernet", "one by one", "timm"
MODEL, TIMM_MODEL = "mobilenet_v2", "mobilenetv2_100"
IMAGES, BATCH, TOP = 250, 32, 5
CPU = torch.device("cpu")
_BATCHES_OF_NOISE = 50


def network() -> SavedNetwork:
    """Return the network with random weights, and the preparation of its published ones.

    Its batch norms have seen noise: as initialised, they let the scores of all classes vanish, and no first class is
    right.
    """
    torch.manual_seed(0)
    weights = find_weights(MODEL)
    preparation = Preparation(weights.image_size, weights.mean, weights.std, weights.crop, weights.interpolation)
    built = create_model(MODEL).train()
    with torch.no_grad():
        for _ in range(_BATCHES_OF_NOISE):
            built(torch.randn(8, 3, 64, 64))
    return SavedNetwork(built.eval(), NetworkSpec("model", MODEL, {}), class_names(1000), preparation)


@torch.inference_mode()
def one_by_one(saved: SavedNetwork, paths: list[Path]) -> list[list[int]]:
    """Return the most probable classes of each image."""
    own, best = saved.preparation, []
    for path in paths:
        image = fit_image(read_image(path), own.image_size, crop=own.crop, interpolation=own.interpolation)
        logits = saved.network(own.normalise(image)[None])[0]
        best.append(logits.softmax(0).topk(TOP).indices.tolist())
    return best


def by_timm(folder: Path, saved: SavedNetwork) -> Callable[[], Any]:
    """Return timm's inference over all images of a folder."""
    built = timm.create_model(TIMM_MODEL).eval()
    own = saved.preparation
    overrides = {"input_size": (3, *own.size), "mean": own.mean, "std": own.std, "crop_pct": own.crop}
    config = resolve_data_config(overrides | {"interpolation": own.interpolation}, model=built)

    @torch.inference_mode()
    def infer() -> list[list[int]]:
        loader = create_loader(
            ImageDataset(str(folder)), batch_size=BATCH, use_prefetcher=True, num_workers=usable_cores(), device=CPU,
            **config,
        )  # fmt: skip
        return [row for images, _ in loader for row in built(images).softmax(-1).topk(TOP).indices.tolist()]

    return infer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", type=Path, nargs="?", help="folder of images")
    parser.add_argument("--out", type=Path, required=True, help="folder for the record")
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    plain, ours = network(), network()
    answers: dict[str, list[list[int]]] = {}
    with tempfile.TemporaryDirectory() as made, progress.shown():
        folder = options.images or Path(made)
        if options.images is None:
            make_images(folder, IMAGES)
        paths = find_images([str(folder)])
        number = {name: index for index, name in reversed(list(enumerate(ours.classes)))}

        def run_ours() -> None:
            found = predict(ours, paths, top=TOP)
            answers[OURS] = [[number[guess.label] for guess in each.predictions] for each in found]

        calls: dict[str, Callable[[], object]] = {
            OURS: run_ours,
            PLAIN: lambda: answers.update({PLAIN: one_by_one(plain, paths)}),
            TIMM: by_timm(folder, plain),
        }
        rounds = list(rounds_in_turns(calls, CPU, rounds=options.rounds, turn_s=0.0, warm_up=1, name="predicting"))
    seconds = {name: [round_[name] for round_ in rounds] for name in calls}
    ratios = {name: speed_ratio(seconds[OURS], seconds[name]) for name in (PLAIN, TIMM)}
    same = statistics.mean(one[0] == other[0] for one, other in zip(answers[OURS], answers[PLAIN], strict=True))
    record = Record(
        kind="predicting",
        name=f"{MODEL}, {len(paths)} images, from files to classes",
        settings={"model": MODEL, "images": len(paths), "made": options.images is None},
        metrics={
            **{f"images/s {name}": len(paths) / statistics.median(values) for name, values in seconds.items()},
            **{
                f"ratio to {name}, {part}": getattr(ratio, part)
                for name, ratio in ratios.items()
                for part in ("median", "low", "high")
            },
            "% with the first class of one by one": 100 * same,
        },
        history=rounds,
        environment=environment(f"CPU, {torch.get_num_threads()} threads"),
    )
    record.write(options.out / RECORD_NAME)
    for name, values in seconds.items():
        print(f"{name:12}{len(paths) / statistics.median(values):8.1f} images/s")
    for name, ratio in ratios.items():
        print(f"{ratio.median:.2f}x [{ratio.low:.2f}, {ratio.high:.2f}] {name}")
    print(f"{100 * same:.1f} % have the same first class as one by one")


if __name__ == "__main__":
    main()
