#!/usr/bin/env bash
# OpenVINO leaves out the antialiasing of an ONNX Resize: it picks few pixels of a large image, without a word.
#
# Versions: openvino==2026.4.1 onnx==1.23.2 numpy==2.4.6 (Python 3.11, CPU)
# Expected: Resize with antialias=1 averages over all pixels that a smaller one covers, as onnx' own evaluator does, or is
#   refused: OpenVINO has the attribute in its own Interpolate operation.
# Seen: the result is that of antialias=0 to the last digit, for linear and for cubic. A checkerboard of single pixels, which
#   averages to about 0.5 everywhere, comes out with values of 0 and 1 where the image shrinks to a third. So a model that
#   resizes its input itself sees other images than in training.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
uv venv -q --python 3.11 venv
uv pip install -q --python venv/bin/python openvino==2026.4.1 onnx==1.23.2 numpy==2.4.6
venv/bin/python - <<'PY'
import numpy as np
import onnx
import openvino
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

image = (np.indices((24, 24)).sum(0) % 2).astype(np.float32)[None, None]


def resized(mode, antialias):
    graph = helper.make_graph(
        [helper.make_node("Resize", ["x", "", "", "size"], ["y"], mode=mode, antialias=antialias)],
        "resized",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 1, 24, 24])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 1, 8, 8])],
        [numpy_helper.from_array(np.array([1, 1, 8, 8]), "size")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=9)
    onnx.checker.check_model(model, full_check=True)
    core = openvino.Core()
    compiled = core.compile_model(core.read_model(model.SerializeToString()), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return ReferenceEvaluator(model).run(None, {"x": image})[0], compiled([image])[0]


for mode in ("linear", "cubic"):
    (by_onnx, by_openvino), (without, without_openvino) = resized(mode, 1), resized(mode, 0)
    print(f"{mode}, antialiased: contrast {np.ptp(by_onnx):.2f} by onnx, {np.ptp(by_openvino):.2f} by OpenVINO")
    np.testing.assert_allclose(without_openvino, without, atol=1e-5)
    np.testing.assert_array_equal(by_openvino, without_openvino)
    assert np.ptp(by_onnx) < 0.25 and np.ptp(by_openvino) > 0.95
PY
