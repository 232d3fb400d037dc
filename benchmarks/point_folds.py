"""Networks for point clouds against each other by cross-validation: every cloud is tested once.

    python benchmarks/point_folds.py clouds.npz                                  A-SCN and PointNet, five folds
    python benchmarks/point_folds.py clouds.npz --models ascn pointnet2 --epochs 40 --points 512

Folds have equal shares of each class; what is not tested is divided into training and validation. All networks have
one recipe and one seed. Accuracies are over all clouds, with Wilson's intervals; differences to the first network are
paired by cloud, with Newcombe's. Both are intervals over clouds: that another seed would train another network is not
in them. The folder gets the record of each run and the table; the same command with the same --out resumes.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from modernet import progress
from modernet.data.points.dataset import PointDataset
from modernet.data.points.loading import point_loader
from modernet.data.points.opening import open_points
from modernet.evaluation.answering import answer_batches
from modernet.files.atomic import whole_file
from modernet.recipes import PointRecipe, get_recipe
from modernet.records import Record
from modernet.statistics import paired_interval, wilson_interval
from modernet.tasks import load_network
from modernet.tasks.points import train_points
from modernet.weights import NetworkSpec


def answers_of(folder: Path, dataset: PointDataset) -> list[bool]:
    """Return whether the network of a run is right on each cloud of the test split."""
    saved = load_network(folder)
    loader = point_loader(dataset.test, dataset.inputs, batch_size=32, device=torch.device("cpu"), train=False)
    batches = answer_batches(saved.network, loader, "testing")
    return [right for logits, targets in batches for right in (logits.argmax(1) == targets).tolist()]


def table(right: dict[str, list[bool]], records: dict[str, list[Record]]) -> str:
    """Return the accuracies as Markdown, in per cent; the first network is what others are compared with."""
    first, *_ = right
    lines = ["| network | accuracy | of each fold | less that of " + first + " | seconds |", "|---|---|---|---|---:|"]
    for model, answers in right.items():
        n, of_folds = len(answers), [record.metrics["test_accuracy"] for record in records[model]]
        ends = wilson_interval(sum(answers) / n, n)
        cells = [
            model,
            f"{100 * sum(answers) / n:.1f} [{100 * ends.low:.1f}, {100 * ends.high:.1f}]",
            ", ".join(f"{accuracy:.0f}" for accuracy in of_folds),
        ]
        pairs = list(zip(answers, right[first], strict=True))
        both, only, other = (pairs.count(pair) for pair in ((True, True), (True, False), (False, True)))
        apart = paired_interval(both, only, other, n)
        difference = f"{100 * (only - other) / n:+.1f} [{100 * apart.low:+.1f}, {100 * apart.high:+.1f}]"
        seconds = sum(record.metrics["seconds"] for record in records[model])
        lines.append("| " + " | ".join([*cells, "" if model == first else difference, f"{seconds:.0f}"]) + " |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", help="clouds with a class each, as modernet train takes them")
    parser.add_argument("--models", nargs="+", default=["ascn", "pointnet"])
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--recipe", default="points_nano")
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--points", type=int)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("runs/point-folds"))
    given = parser.parse_args()

    recipe = get_recipe(given.recipe)
    assert isinstance(recipe, PointRecipe)
    recipe = recipe if given.points is None else recipe.replace(points=given.points)
    recipe = recipe if given.epochs is None else recipe.lasting(given.epochs)
    right: dict[str, list[bool]] = {model: [] for model in given.models}
    records: dict[str, list[Record]] = {model: [] for model in given.models}
    with progress.shown():
        for fold in range(1, given.folds + 1):
            dataset = open_points(f"{given.data}:fold{fold}of{given.folds}", points=recipe.points)
            for model in given.models:
                folder = given.out / f"{model}-fold{fold}"
                study = {"study": "point folds", "fold": fold, "folds": given.folds}
                spec = NetworkSpec("points", model, {})
                records[model].append(train_points(spec, dataset, recipe, seed=given.seed, folder=folder, study=study))
                right[model] += answers_of(folder, dataset)
    with whole_file(given.out / "table.md") as unfinished:
        unfinished.write_text(table(right, records))
    print(table(right, records))


if __name__ == "__main__":
    main()
