#!/usr/bin/env bash
# ONNX Runtime's moving average of calibration is a plain mean, whatever its smoothing factor.
#
# Versions: onnxruntime==1.32.0 onnx==1.23.2 numpy==2.4.6 (Python 3.11, CPU)
# Expected: quantize_static with CalibMovingAverage follows the ranges of the calibration images by
#   CalibMovingAverageConstant (documented as the smoothing factor, default 0.01): 1 keeps the range of the last image,
#   0.01 stays near the first.
# Seen: the scale is that of the mean range for every factor and order of images. The factor is only checked to lie
#   between 0 and 1.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
uv venv -q --python 3.11 venv
uv pip install -q --python venv/bin/python onnxruntime==1.32.0 onnx==1.23.2 numpy==2.4.6
venv/bin/python - <<'PY'
import logging

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, quantize_static

logging.disable(logging.WARNING)  # advice on pre-processing


class Images(CalibrationDataReader):
    def __init__(self, largest):
        self.images = iter([{"x": np.full((1, 1, 2, 2), value, np.float32)} for value in largest])

    def get_next(self):
        return next(self.images, None)


graph = helper.make_graph(
    [helper.make_node("Conv", ["x", "weight"], ["y"])],
    "network",
    [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 1, 2, 2])],
    [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 1, 2, 2])],
    [numpy_helper.from_array(np.ones((1, 1, 1, 1), np.float32), "weight")],
)
onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), "network.onnx")


def largest(images, **options):
    quantize_static("network.onnx", "int8.onnx", Images(images), extra_options=options)
    (scale,) = [tensor for tensor in onnx.load("int8.onnx").graph.initializer if tensor.name == "x_scale"]
    return round(255 * float(numpy_helper.to_array(scale)), 3)


rising, falling = [1, 2, 3, 10], [10, 3, 2, 1]
print("without an average:", largest(rising))
assert largest(rising) == 10
for factor in (0.01, 0.5, 1.0):
    found = [largest(images, CalibMovingAverage=True, CalibMovingAverageConstant=factor) for images in (rising, falling)]
    print(f"factor {factor}: {found[0]} with the largest image last, {found[1]} with it first; the mean is 4")
    assert found == [4, 4]
PY
