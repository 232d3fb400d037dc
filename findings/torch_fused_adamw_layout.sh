#!/usr/bin/env bash
# Fused AdamW pairs weights and moments by their place in memory, not by their index.
#
# Versions: torch==2.15.0 numpy==2.4.6 (Python 3.11, CPU)
# Expected: load_state_dict accepts moments of any memory layout, as every other operation accepts tensors of any
#   stride; fused and unfused AdamW take the same step.
# Seen: with channels_last weights and contiguous moments (as torch.distributed.checkpoint returns them) the fused
#   step silently mixes up the moments of different weights; the unfused step is right.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
uv venv -q --python 3.11 venv
uv pip install -q --python venv/bin/python torch==2.15.0 numpy==2.4.6
venv/bin/python - <<'PY'
import copy

import torch


def step(fused, contiguous_moments):
    torch.manual_seed(0)
    layer = torch.nn.Conv2d(4, 8, 3).to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(layer.parameters(), lr=0.1, fused=fused)
    for turn in range(2):
        optimizer.zero_grad()
        layer(torch.randn(2, 4, 8, 8)).square().mean().backward()
        optimizer.step()
        if turn == 0 and contiguous_moments:
            state = copy.deepcopy(optimizer.state_dict())
            for moments in state["state"].values():
                for name, value in moments.items():
                    moments[name] = value.contiguous()
            optimizer.load_state_dict(state)
    return layer.weight.detach().contiguous()


gaps = {fused: (step(fused, True) - step(fused, False)).abs().max().item() for fused in (False, True)}
print(f"largest change of a weight by the layout of the moments: {gaps[False]:.1e} unfused, {gaps[True]:.1e} fused")
assert gaps[False] < 1e-6
assert gaps[True] > 1e-3
PY
