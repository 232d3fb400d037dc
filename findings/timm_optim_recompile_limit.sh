#!/usr/bin/env bash
# Importing timm.optim lifts torch.compile's limit of recompilations from 8 to a million.
#
# Versions: timm==1.0.31 torch==2.15.0 torchvision==0.29.2 numpy==2.4.6 (Python 3.11, CPU)
# Expected: an import changes no setting of another library. A function that torch.compile has compiled eight times
#   runs eagerly from then on.
# Seen: the module of one optimizer (Kron) sets torch._dynamo.config.cache_size_limit for the whole process, and
#   `import timm.optim` imports it: afterwards every further specialisation is compiled, in this program ten of ten
#   instead of eight.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
uv venv -q --python 3.11 venv
uv pip install -q --python venv/bin/python timm==1.0.31 torch==2.15.0 torchvision==0.29.2 numpy==2.4.6
venv/bin/python - <<'PY'
import logging

import torch

logging.disable()


def compilations():
    torch._dynamo.reset()
    compiled = []

    def backend(graph, inputs):
        compiled.append(graph)
        return graph.forward

    @torch.compile(backend=backend, dynamic=False)
    def double(x):
        return 2 * x

    for size in range(2, 12):
        double(torch.ones(size))
    return len(compiled)


before, limit = compilations(), torch._dynamo.config.recompile_limit
import timm.optim

after, lifted = compilations(), torch._dynamo.config.recompile_limit
print(f"limit {limit}: {before} of 10 sizes compiled; after import timm.optim, limit {lifted}: {after}")
assert (limit, before) == (8, 8)
assert (lifted, after) == (1_000_000, 10)
PY
