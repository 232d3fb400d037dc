#!/usr/bin/env bash
# onnx2torch's NonZero gives one row per element, where ONNX has one row per dimension.
#
# Versions: onnx2torch==1.5.15 onnx==1.23.2 torch==2.15.0 torchvision==0.29.2 numpy==2.4.6 (Python 3.11, CPU)
# Expected: NonZero of a matrix is [rows, columns], of shape (2, count), as numpy's nonzero, which the operator is defined by.
# Seen: the transpose, of shape (count, 2), as torch.nonzero. Where two elements of a matrix are not zero, the shape is right
#   and the places are others: (0, 1) and (2, 2) become (0, 2) and (1, 2).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
uv venv -q --python 3.11 venv
uv pip install -q --python venv/bin/python --no-deps onnx2torch==1.5.15
uv pip install -q --python venv/bin/python onnx==1.23.2 torch==2.15.0 torchvision==0.29.2 numpy==2.4.6
venv/bin/python - <<'PY'
import numpy as np
import onnx
import onnx2torch
import torch
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

graph = helper.make_graph(
    [helper.make_node("NonZero", ["x"], ["places"])],
    "places",
    [helper.make_tensor_value_info("x", TensorProto.FLOAT, [3, 3])],
    [helper.make_tensor_value_info("places", TensorProto.INT64, [2, "count"])],
)
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
onnx.checker.check_model(model, full_check=True)
x = np.zeros((3, 3), dtype=np.float32)
x[0, 1] = x[2, 2] = 1
for where in ("two", "three"):
    by_onnx = ReferenceEvaluator(model).run(None, {"x": x})[0]
    by_torch = onnx2torch.convert(model)(torch.from_numpy(x)).numpy()
    print(f"{where} elements: {by_onnx.tolist()} by onnx, {by_torch.tolist()} by onnx2torch")
    assert np.array_equal(by_onnx, np.stack(np.nonzero(x)))
    assert np.array_equal(by_torch, by_onnx.T) and not np.array_equal(by_torch, by_onnx)
    x[1, 0] = 1
PY
