#!/usr/bin/env bash
# onnx2torch sums a CumSum from the end where the ONNX file leaves out reverse, whose default is 0.
#
# Versions: onnx2torch==1.5.15 onnx==1.23.2 torch==2.15.0 torchvision==0.29.2 numpy==2.4.6 (Python 3.11, CPU)
# Expected: a CumSum without attributes sums from the first element on, [1, 3, 6, 10], as the operator is defined and as onnx'
#   own evaluator does. An attribute that has its default may be left out, and exporters leave it out.
# Seen: [10, 9, 7, 4], the sums from the last element on. With reverse=0 written out, the result is right.
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
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

x = np.array([1, 2, 3, 4], dtype=np.float32)


def sums(**attributes):
    graph = helper.make_graph(
        [helper.make_node("CumSum", ["x", "axis"], ["y"], **attributes)],
        "sums",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [4])],
        [numpy_helper.from_array(np.array(0), "axis")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)])
    onnx.checker.check_model(model, full_check=True)
    by_onnx = ReferenceEvaluator(model).run(None, {"x": x})[0].tolist()
    by_torch = onnx2torch.convert(model)(torch.from_numpy(x)).tolist()
    print(f"CumSum of {x.tolist()} with {attributes}: {by_onnx} by onnx, {by_torch} by onnx2torch")
    return by_onnx, by_torch


assert sums(reverse=0) == ([1, 3, 6, 10], [1, 3, 6, 10])
assert sums(reverse=1) == ([10, 9, 7, 4], [10, 9, 7, 4])
assert sums() == ([1, 3, 6, 10], [10, 9, 7, 4])
PY
