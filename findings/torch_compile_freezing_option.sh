#!/usr/bin/env bash
# torch.compile(options={"freezing": True}) does not freeze the weights.
#
# Versions: torch==2.15.0 numpy==2.4.6 setuptools==84.2.1 (Python 3.11, CPU)
# Expected: the option is that of the same name in torch._inductor.config: weights become constants of the program, as
#   the setting does.
# Seen: the program still takes the weights as inputs: setting them to zero changes the output. Around the calls,
#   torch._inductor.config.patch(freezing=True) does freeze.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
uv venv -q --python 3.11 venv
uv pip install -q --python venv/bin/python torch==2.15.0 numpy==2.4.6 setuptools==84.2.1
venv/bin/python - <<'PY'
import contextlib

import torch
from torch._inductor import config


def frozen(options, setting):
    torch._dynamo.reset()
    torch.manual_seed(0)
    layer = torch.nn.Linear(32, 32).eval()
    compiled = torch.compile(layer, options=options)
    x = torch.randn(8, 32)
    with torch.no_grad(), config.patch(freezing=True) if setting else contextlib.nullcontext():
        compiled(x)
        layer.weight.zero_()
        layer.bias.zero_()
        return bool(compiled(x).abs().max() > 0)


found = {"option": frozen({"freezing": True}, False), "setting": frozen(None, True)}
print("weights are frozen by:", found)
assert found == {"option": False, "setting": True}
PY
