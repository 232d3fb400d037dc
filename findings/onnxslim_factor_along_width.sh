#!/usr/bin/env bash
# onnxslim takes a factor along the width of an image for one per channel, and folds it into the convolution before it.
#
# Versions: onnxslim==0.1.98 onnx==1.23.2 onnxruntime==1.32.0 numpy==2.4.6 (Python 3.11, CPU)
# Expected: a slimmed network computes what the original does. ONNX broadcasts a factor of shape (8,) along the last
#   axis, so it is a weight per column of a (1, 8, 8, 8) feature map, not per channel.
# Seen: where as many columns as channels exist, Mul is folded into the channels of Conv, whatever the axis: per
#   channel and per column become the same network. Of eight columns and four channels it is left as it is.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
uv venv -q --python 3.11 venv
uv pip install -q --python venv/bin/python onnxslim==0.1.98 onnx==1.23.2 onnxruntime==1.32.0 numpy==2.4.6
venv/bin/python - <<'PY'
import numpy as np
import onnx
import onnxslim
from onnx import TensorProto, helper, numpy_helper
from onnxruntime import InferenceSession


def network(channels, factor):
    weight = np.ones((channels, 1, 1, 1), np.float32)
    graph = helper.make_graph(
        [helper.make_node("Conv", ["x", "weight"], ["features"]), helper.make_node("Mul", ["features", "factor"], ["y"])],
        "network",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 1, 8, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, channels, 8, 8])],
        [numpy_helper.from_array(weight, "weight"), numpy_helper.from_array(factor, "factor")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def output(model):
    onnx.checker.check_model(model, full_check=True)
    session = InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"x": np.ones((1, 1, 8, 8), np.float32)})[0]


columns = np.arange(8, dtype=np.float32)
for channels, factor in ((8, columns.reshape(8, 1, 1)), (8, columns), (4, columns)):
    model = network(channels, factor)
    before, slimmed = output(model), onnxslim.slim(model)
    error = float(np.abs(output(slimmed) - before).max())
    print(f"{channels} channels, factor of shape {factor.shape}: {[n.op_type for n in slimmed.graph.node]}, off by {error}")
    assert error == (7 if channels == 8 and factor.ndim == 1 else 0)
PY
