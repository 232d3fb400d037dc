#!/usr/bin/env bash
# AveragedModel with an exponential average freezes BatchNorm's batch counter for the first batches.
#
# Versions: torch==2.15.0 numpy==2.4.6 (Python 3.11, CPU)
# Expected: use_buffers=True averages floating-point buffers and copies integer ones: num_batches_tracked counts as in
#   the model.
# Seen: the counter is averaged too and truncated to an integer: with decay 0.9 it stays at 1 for ten steps, and then
#   lags ten behind; with decay 0.9999 it stays at 1 for ten thousand. A BatchNorm with momentum=None that goes on
#   training from the average weights its batches wrongly.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
uv venv -q --python 3.11 venv
uv pip install -q --python venv/bin/python torch==2.15.0 numpy==2.4.6
venv/bin/python - <<'PY'
import torch
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

torch.manual_seed(0)
norm = torch.nn.BatchNorm1d(2)
average = AveragedModel(norm, multi_avg_fn=get_ema_multi_avg_fn(0.9), use_buffers=True)
counters = []
for _ in range(15):
    norm(torch.randn(4, 2))
    average.update_parameters(norm)
    counters.append(average.module.num_batches_tracked.item())
print("model:", norm.num_batches_tracked.item(), "average, step by step:", counters)
assert norm.num_batches_tracked.item() == 15
assert counters[:10] == [1] * 10
assert counters[-1] < 10
PY
