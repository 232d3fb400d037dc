#!/usr/bin/env bash
# torch.compile stops compiling at the ninth module of a process, and says so in one log line.
#
# Versions: torch==2.15.0 numpy==2.4.6 (Python 3.11, CPU)
# Expected: Module.compile() compiles each module: ten networks of the same kind are ten compilations.
# Seen: all modules share the code of Module._call_impl, whose cache holds eight programs
#   (torch._dynamo.config.recompile_limit). The ninth and tenth network run eagerly. A benchmark of ten networks
#   measures two of them uncompiled.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
uv venv -q --python 3.11 venv
uv pip install -q --python venv/bin/python torch==2.15.0 numpy==2.4.6
venv/bin/python - <<'PY'
import logging

import torch

logging.disable()  # the one line of a warning
compiled = []


def backend(graph, inputs):
    compiled.append(graph)
    return graph.forward


networks = [torch.nn.Sequential(torch.nn.Linear(4, width)) for width in range(1, 11)]
for network in networks:
    network.compile(backend=backend)
    network(torch.randn(2, 4))
print(f"{len(compiled)} of {len(networks)} networks were compiled")
assert len(compiled) == torch._dynamo.config.recompile_limit == 8
PY
