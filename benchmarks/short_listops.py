"""Does S4 read nested lists? Train it on short ListOps with ten times the expressions of `listops-nano`.

    uv run python benchmarks/short_listops.py --out docs/results/listops-s4               20 minutes, one core
    uv run python benchmarks/short_listops.py --out runs/listops-transformer --model transformer --lr 1e-3

Expressions have 21 to 99 tokens, as those of `listops-nano`, whose 8,000 for training a network of this size learns by
heart. The floors that the result is compared with are of its own test expressions. The same command resumes.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from modernet import progress
from modernet.data.sequences.listops.dataset import listops_dataset
from modernet.recipes import SequenceRecipe, get_recipe
from modernet.statistics import wilson_interval
from modernet.tasks.sequences import train_sequences
from modernet.training import stop_requested_by_signal
from modernet.weights import NetworkSpec

EXPRESSIONS = (80_000, 1_000, 5_000)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder of the run")
    parser.add_argument("--model", default="s4")
    parser.add_argument("--lr", type=float, default=1e-2)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    recipe = get_recipe("sequences_nano")
    assert isinstance(recipe, SequenceRecipe)
    spec = NetworkSpec("sequence", options.model, {"width": 64, "depth": 3})
    with progress.shown(), stop_requested_by_signal() as should_stop:
        dataset = listops_dataset("nano", expressions=EXPRESSIONS)
        record = train_sequences(
            spec,
            dataset,
            recipe.replace(lr=options.lr, warmup_epochs=0.1).lasting(options.epochs),
            seed=options.seed,
            folder=options.out,
            should_stop=should_stop,
        )
    accuracy, n = record.metrics["test_accuracy"], record.metrics["test_n"]
    interval = wilson_interval(accuracy / 100, n)
    print(f"{options.model}: {accuracy:.1f} % [{100 * interval.low:.1f}, {100 * interval.high:.1f}], n = {n:,.0f}")
    for name, floor in dataset.floors.items():
        print(f"{name}: {floor:.1f} %")


if __name__ == "__main__":
    main()
