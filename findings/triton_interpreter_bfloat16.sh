#!/usr/bin/env bash
# Triton's interpreter truncates to bfloat16 where a GPU rounds.
#
# Versions: triton==3.9.0 torch==2.15.0 numpy==2.4.6 (Python 3.11, CPU)
# Expected: x.to(tl.bfloat16) rounds to the nearest value, as on a GPU and in PyTorch.
# Seen: the lower half of the float32 is cut off: the error is up to a whole unit in the last place instead of half of
#   one, and always towards zero.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
uv venv -q --python 3.11 venv
uv pip install -q --python venv/bin/python triton==3.9.0 torch==2.15.0 numpy==2.4.6
venv/bin/python - <<'PY'
import os
from pathlib import Path

os.environ["TRITON_INTERPRET"] = "1"
Path("kernel.py").write_text("""
import triton
import triton.language as tl


@triton.jit
def to_bfloat16(x, y, size: tl.constexpr):
    index = tl.arange(0, size)
    tl.store(y + index, tl.load(x + index).to(tl.bfloat16))
""")
import sys

sys.path.insert(0, "")
import torch
from kernel import to_bfloat16

torch.manual_seed(0)
x = torch.rand(1024) + 1
y = torch.empty(1024, dtype=torch.bfloat16)
to_bfloat16[(1,)](x, y, 1024)
truncated = (x.view(torch.int32) & ~0xFFFF).view(torch.float32)
print(f"equal to PyTorch: {(y == x.bfloat16()).float().mean():.2f}, equal to truncation: {(y.float() == truncated).float().mean():.2f}")
assert torch.equal(y.float(), truncated)
assert not torch.equal(y, x.bfloat16())
PY
