#!/usr/bin/env bash
# The same tensors and metadata give safetensors files of different bytes.
#
# Versions: safetensors==0.8.0 numpy==2.4.6 (Python 3.11, CPU)
# Expected: a file is a function of its content, so that its SHA-256 identifies it.
# Seen: with several metadata keys, their order in the header differs from process to process; with one key or none
#   the bytes are equal.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
uv venv -q --python 3.11 venv
uv pip install -q --python venv/bin/python safetensors==0.8.0 numpy==2.4.6
venv/bin/python - <<'PY'
import subprocess
import sys

CODE = """
import hashlib, sys, numpy
from safetensors.numpy import save
metadata = {str(key): "value" for key in range(int(sys.argv[1]))}
print(hashlib.sha256(save({"weight": numpy.zeros(3)}, metadata)).hexdigest())
"""


def digests(keys, processes=8):
    runs = [subprocess.run([sys.executable, "-c", CODE, str(keys)], capture_output=True, text=True, check=True)
            for _ in range(processes)]
    return {run.stdout for run in runs}


one, eight = len(digests(1)), len(digests(8))
print(f"different files in 8 processes: {one} with 1 metadata key, {eight} with 8")
assert one == 1
assert eight > 1
PY
