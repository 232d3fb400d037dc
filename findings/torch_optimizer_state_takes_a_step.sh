#!/usr/bin/env bash
# Asking a new optimizer for its state changes it: AdamW then counts a step that was never taken.
#
# Versions: torch==2.15.0 numpy==2.4.6 (Python 3.11, CPU)
# Expected: torch.distributed.checkpoint.state_dict.get_optimizer_state_dict reads.
# Seen: an optimizer without state takes a step with a learning rate of 0, to have some; the step counts in the bias
#   correction of AdamW, so the first real update differs.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
uv venv -q --python 3.11 venv
uv pip install -q --python venv/bin/python torch==2.15.0 numpy==2.4.6
venv/bin/python - <<'PY'
import torch
from torch.distributed.checkpoint.state_dict import get_optimizer_state_dict


def weight_after_two_steps(ask_for_state):
    torch.manual_seed(0)
    layer = torch.nn.Linear(3, 1)
    optimizer = torch.optim.AdamW(layer.parameters(), lr=0.1)
    counted = None
    if ask_for_state:
        counted = int(get_optimizer_state_dict(layer, optimizer)["state"]["weight"]["step"])
    for scale in (1.0, 5.0):
        optimizer.zero_grad()
        (layer(torch.ones(2, 3)) * scale).sum().backward()
        optimizer.step()
    return layer.weight.detach(), counted


(plain, _), (asked, counted) = weight_after_two_steps(False), weight_after_two_steps(True)
print(f"steps in the state of a new optimizer: {counted}; weights after two steps: {plain.tolist()}, {asked.tolist()}")
assert counted == 1
assert not torch.equal(plain, asked)
PY
