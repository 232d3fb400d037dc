#!/usr/bin/env bash
# safetensors saves torch's tensors to a path that is not UTF-8, and then refuses to load them.
#
# Versions: safetensors==0.8.0 torch==2.15.0 numpy==2.4.6 (Python 3.11, CPU, Linux)
# Expected: load_file reads what save_file wrote; names of files on Linux are bytes, and Python opens them.
# Seen: load_file of safetensors.torch raises SafetensorError "is not valid UTF-8", that of safetensors.numpy loads the
#   same file.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
uv venv -q --python 3.11 venv
uv pip install -q --python venv/bin/python safetensors==0.8.0 torch==2.15.0 numpy==2.4.6
venv/bin/python - <<'PY'
import os

import torch
from safetensors import SafetensorError, numpy
from safetensors.torch import load_file, save_file

path = os.fsdecode(b"\xe9t\xe9.safetensors")  # Latin-1, as in an archive from another system
save_file({"weight": torch.arange(3)}, path)
print("safetensors.numpy:", numpy.load_file(path)["weight"].tolist())
try:
    load_file(path)
    refused = None
except SafetensorError as error:
    refused = str(error)
print("safetensors.torch:", ascii(refused))
assert refused is not None and "not valid UTF-8" in refused
PY
