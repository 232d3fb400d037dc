"""Train a detector in the processes that torchrun starts: `two_detecting.py FOLDER`."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from modernet.processes import join_processes, leave_processes
from tasks.test_detection import CPU, RECIPE, SPEC, dataset, train_detector

if __name__ == "__main__":
    recipe = RECIPE.replace(epochs=1, batch_size=2)
    train_detector(SPEC, dataset(empty=0.6), recipe, folder=sys.argv[1], device=CPU, processes=join_processes())
    leave_processes()
