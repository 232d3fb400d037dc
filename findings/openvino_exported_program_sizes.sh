#!/usr/bin/env bash
# OpenVINO opens every size of the input of a torch.export program, also those that the program fixes.
#
# Versions: openvino==2026.4.1 torch==2.15.0 packaging==26.3 numpy==2.4.6 (Python 3.11, CPU)
# Expected: a program exported for any batch of 3x8x8 images, which itself refuses 3x9x9, becomes a model for [?,3,8,8].
# Seen: the model is for [?,?,?,?]. It runs for 3x9x9 with the numbers that the tracer has computed for 3x8x8, and
#   compiles for sizes that it need not support.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
uv venv -q --python 3.11 venv
uv pip install -q --python venv/bin/python openvino==2026.4.1 torch==2.15.0 numpy==2.4.6 packaging==26.3
venv/bin/python - <<'PY'
import numpy
import openvino
import torch
from torch.export import Dim, export


class Mean(torch.nn.Module):
    """The mean of an image, by the number of its pixels."""

    def forward(self, x):
        return x.sum((1, 2, 3)) / (3 * x.shape[2] * x.shape[3])


program = export(Mean(), (torch.ones(2, 3, 8, 8),), dynamic_shapes=({0: Dim("batch")},))
try:
    refused = ""
    program.module()(torch.ones(1, 3, 9, 9))
except Exception as error:
    refused = type(error).__name__
model = openvino.convert_model(program)
shape = model.input(0).partial_shape.to_string()
mean = float(openvino.compile_model(model, "CPU")([numpy.ones((1, 3, 9, 9), "float32")])[0][0])
print(f"9x9: {refused} by the program; OpenVINO takes {shape}, and the mean of ones is {mean:.4f}")
assert refused
assert shape == "[?,?,?,?]"
assert abs(mean - 81 / 64) < 1e-4
PY
