"""Compare the time from COCO files to the twelve numbers with that of pycocotools, on this CPU.

    uv run python benchmarks/average_precision.py --out benchmarks/results/my-cpu-average-precision

The files are generated: 1,000 images, 80 classes, about 7 objects and 67 detections an image. A turn reads both files
and ends with the numbers, which are compared. About four minutes on two cores.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import statistics
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from modernet import progress
from modernet.evaluation.coco import coco_average_precision
from modernet.machine.timing import rounds_in_turns, speed_ratio
from modernet.records import RECORD_NAME, Record, environment

OURS, OTHER = "modernet", "pycocotools"
IMAGES, CLASSES, OBJECTS, DETECTIONS = 1000, 80, 7, 67
HEIGHT, WIDTH = 480, 640


def write_files(truth: Path, results: Path) -> None:
    """Write annotations and results: of the detections, one in ten is near an object, the others are anywhere."""
    rng = np.random.default_rng(0)
    annotations: list[dict[str, Any]] = []
    found: list[dict[str, Any]] = []

    def boxes(count: int) -> np.ndarray:
        sides = np.exp(rng.uniform(np.log(8), np.log(300), (count, 2)))
        return np.concatenate((rng.uniform(0, 1, (count, 2)) * ([WIDTH, HEIGHT] - sides), sides), 1)

    for image_id in range(1, IMAGES + 1):
        count = int(rng.poisson(OBJECTS))
        objects, classes = boxes(count), rng.integers(1, CLASSES + 1, count)
        for box, category in zip(objects.round(2).tolist(), classes.tolist(), strict=True):
            annotations.append({
                "id": len(annotations) + 1,
                "image_id": image_id,
                "category_id": category,
                "bbox": box,
                "area": box[2] * box[3],
                "iscrowd": int(rng.random() < 0.01),
            })  # fmt: skip
        near = np.concatenate((objects, boxes(DETECTIONS - count)))
        near[:count] += rng.normal(0, 0.1, (count, 4)) * objects[:, [2, 3, 2, 3]]
        near[:, 2:] = np.abs(near[:, 2:]) + 1
        labels = np.concatenate((classes, rng.integers(1, CLASSES + 1, DETECTIONS - count)))
        scores = rng.uniform(0.05, 1, DETECTIONS).round(5)
        for box, category, score in zip(near.round(2).tolist(), labels.tolist(), scores.tolist(), strict=True):
            found.append({"image_id": image_id, "category_id": category, "bbox": box, "score": score})
    images = [{"id": number, "height": HEIGHT, "width": WIDTH} for number in range(1, IMAGES + 1)]
    categories = [{"id": number, "name": str(number)} for number in range(1, CLASSES + 1)]
    truth.write_text(json.dumps({"images": images, "annotations": annotations, "categories": categories}))
    results.write_text(json.dumps(found))


def by_pycocotools(truth: Path, results: Path) -> list[float]:
    """Return the twelve numbers."""
    with contextlib.redirect_stdout(io.StringIO()):
        ground = COCO(str(truth))
        evaluation = COCOeval(ground, ground.loadRes(str(results)), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    numbers: list[float] = evaluation.stats.tolist()
    return numbers


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder for the record")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    answers: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as made, progress.shown():
        truth, results = Path(made) / "truth.json", Path(made) / "results.json"
        write_files(truth, results)
        calls = {
            OURS: lambda: answers.update({OURS: list(coco_average_precision(truth, results).values())}),
            OTHER: lambda: answers.update({OTHER: by_pycocotools(truth, results)}),
        }
        cpu = torch.device("cpu")
        rounds = list(rounds_in_turns(calls, cpu, rounds=options.rounds, turn_s=0.0, warm_up=0, name="measuring AP"))
    seconds = {name: [round_[name] for round_ in rounds] for name in calls}
    ratio = speed_ratio(seconds[OURS], seconds[OTHER])
    off = float(np.abs(np.subtract(answers[OURS], answers[OTHER])).max())
    record = Record(
        kind="average_precision",
        name="boxes, from files to twelve numbers",
        settings={"images": IMAGES, "classes": CLASSES, "objects": OBJECTS, "detections": DETECTIONS},
        metrics={
            **{f"seconds {name}": statistics.median(values) for name, values in seconds.items()},
            **{f"ratio to {OTHER}, {part}": getattr(ratio, part) for part in ("median", "low", "high")},
            "largest difference of a number": off,
        },
        history=rounds,
        environment=environment(f"CPU, {torch.get_num_threads()} threads"),
    )
    record.write(options.out / RECORD_NAME)
    for name, values in seconds.items():
        print(f"{name:14}{statistics.median(values):7.2f} s")
    print(f"{ratio.median:.2f}x [{ratio.low:.2f}, {ratio.high:.2f}]; the numbers differ by at most {off:.1e}")


if __name__ == "__main__":
    main()
