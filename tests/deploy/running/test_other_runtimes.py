"""ONNX Runtime and OpenVINO as ways to run a network."""

from __future__ import annotations

import logging
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import onnx
import pytest
import torch
from torch import Tensor, nn

import modernet
import modernet.deploy.running.optimized as optimized
import modernet.deploy.running.torch_ways as torch_ways
from conftest import striped
from deploy.networks import images, randomised, relative_error
from modernet.deploy import Runner, Way, Work
from modernet.deploy.agreement import TOLERANCE
from modernet.deploy.exporting import packages
from modernet.deploy.exporting.formats import INPUT, onnx_program, onnx_session
from modernet.deploy.exporting.openvino_model import Translated, quantize_openvino
from modernet.deploy.exporting.quantized_onnx import activation_ranges, quantize_onnx
from modernet.deploy.exporting.tracing import trace
from modernet.deploy.rewriting.apply import rewritten
from modernet.deploy.running import foreign
from modernet.deploy.running.onnx_runtime import OnnxRuntime, OnnxRuntimeRunner, OnnxRuntimeWay
from modernet.deploy.running.openvino import OpenVino, OpenVinoRunner, OpenVinoWay
from modernet.deploy.running.runtimes import RUNTIMES
from modernet.deploy.running.torch_ways import PLAIN
from modernet.errors import InputError
from modernet.machine.cores import usable_cores
from modernet.models import MODELS, create_model
from modernet.torch_internals import tensors_in

EXACT: list[Way] = [OnnxRuntimeWay(), OpenVinoWay()]
INT8: list[Way] = [OnnxRuntimeWay("int8"), OpenVinoWay("int8")]


def make(name: str, **fields: Any) -> nn.Module:
    torch.manual_seed(0)
    return randomised(create_model(name, num_classes=10, **fields)).requires_grad_(False)


class Nested(nn.Module):
    """Returns tensors in containers, one of them of integers."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(3, 4, 3)

    def forward(self, x: Tensor) -> dict[str, Any]:
        y = self.layer(x)
        return {"map": [y, (y.mean((2, 3)), y.flatten(1).argmax(1))], "sum": y.sum((1, 2, 3))}


class Counted(nn.Module):
    """Returns a number beside a tensor."""

    def forward(self, x: Tensor) -> tuple[Tensor, int]:
        return x + 1, 3


def pixels(count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Return images of stripes, normalised, and their classes."""
    split = striped(count, seed)
    return split.images / 128 - 1, split.labels


@pytest.fixture(scope="module")
def trained() -> nn.Module:
    """A network that tells horizontal stripes from vertical ones; its last layer is solved for by least squares."""
    torch.manual_seed(0)
    body = nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 16, 3, stride=2), nn.ReLU6(),
        nn.Conv2d(16, 16, 3, groups=16), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
    )  # fmt: skip
    head = nn.Linear(16, 2)
    x, labels = pixels(64, seed=1)
    with torch.no_grad():
        features = torch.cat([body(x), torch.ones(len(x), 1)], 1)
        solved = torch.linalg.lstsq(features, 20 * nn.functional.one_hot(labels, 2).float() - 10).solution
        head.weight.copy_(solved[:-1].T)
        head.bias.copy_(solved[-1])
    return nn.Sequential(*body, head).eval().requires_grad_(False)


@pytest.fixture(scope="module")
def work(trained: nn.Module) -> Work:
    x, _ = pixels(24, seed=2)
    return Work(trained, x[:2], torch.float32, calibration=x)


def weights_in_float(runner: Runner) -> set[tuple[int, ...]]:
    """Return the shapes of the weights that layers read in float32."""
    if isinstance(runner, OnnxRuntimeRunner):
        graph = onnx.load_model_from_string(runner.model).graph
        read = {node.input[1] for node in graph.node if node.op_type in ("Conv", "Gemm", "MatMul")}
        return {tuple(tensor.dims) for tensor in graph.initializer if tensor.name in read}
    assert isinstance(runner, OpenVinoRunner)
    found = set()
    for operation in runner.model.get_ordered_ops():
        if operation.get_type_name() in ("Convolution", "GroupConvolution", "MatMul"):
            weight = operation.input_value(1).get_node()
            if weight.get_type_name() == "Constant":
                shape = tuple(weight.output(0).get_shape())
                found.add(shape if len(shape) < 5 else (shape[0] * shape[1], *shape[2:]))  # groups, out, in, h, w
    return found


# --- exact ------------------------------------------------------------------------------------------------------------


@pytest.mark.medium
@pytest.mark.parametrize(
    ("name", "ways"),
    [("resnet_test", EXACT), ("convnext_test", EXACT), ("vit_test", EXACT), ("gfnet_test", EXACT[:1])],
)
@torch.no_grad()
def test_other_runtimes_give_the_same_scores_for_any_batch(name: str, ways: list[Way]) -> None:
    network, size = make(name), MODELS[name].published.image_size
    assert isinstance(size, int)
    work = Work(network, images(size), torch.float32)
    for way in ways:
        runner = way.prepare(work)
        for batch in (1, 2, 5):
            x = images(size, batch=batch).to(memory_format=torch.channels_last)
            assert relative_error(runner(x), network(x)) < TOLERANCE, f"{way}, {batch}"


@pytest.mark.medium
@pytest.mark.parametrize("way", EXACT, ids=str)
@torch.no_grad()
def test_results_have_the_structure_of_the_network(way: Way, tmp_path: Path) -> None:
    network, x = Nested().double(), images(8, batch=3).double()
    runner = way.prepare(Work(network, x[:1], torch.float64))
    runner.save(tmp_path)
    for each in (runner, way.load(tmp_path)):
        with torch.inference_mode():
            found, expected = each(x), network(x)
        assert list(found) == ["map", "sum"]
        assert isinstance(found["map"][1], tuple)
        assert [y.dtype for y in tensors_in(found)] == [y.dtype for y in tensors_in(expected)]
        for one, other in zip(tensors_in(found), tensors_in(expected), strict=True):
            assert relative_error(one, other) < TOLERANCE


@pytest.mark.medium
@torch.no_grad()
def test_feature_maps_come_from_other_runtimes_too() -> None:
    network = make("convnext_test", features_only=True)
    x = images(64)
    for way in EXACT:
        found = way.prepare(Work(network, x, torch.float32))(x)
        for one, other in zip(found, network(x), strict=True):
            assert relative_error(one, other) < TOLERANCE


class Turned(nn.Module):
    """Multiplies by a complex weight."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([1 + 2j, 3 - 1j, 2j]).reshape(3, 1, 1), requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        return torch.view_as_real(x * self.weight)


def test_a_program_keeps_imaginary_parts() -> None:
    network, x = Turned(), images(8)
    program, _ = foreign.program_of(Work(network, x, torch.float32))
    torch.testing.assert_close(program.module()(x), network(x))


@pytest.mark.medium
def test_what_a_runtime_cannot_do_is_one_line() -> None:
    x = images(64)
    with pytest.raises(InputError, match=r"^OpenVINO does not support this network \(.*aten._fft_c2r.*\)$"):
        OpenVinoWay().prepare(Work(make("gfnet_test"), x, torch.float32))
    with pytest.raises(InputError, match="the network returns something besides tensors"):
        OnnxRuntimeWay().prepare(Work(Counted(), x, torch.float32))


def test_threads_are_those_of_torch_at_the_time_of_the_call_and_cost_once(work: Work) -> None:
    runtime, vino = (way.prepare(work) for way in EXACT)
    assert isinstance(runtime, OnnxRuntimeRunner)
    assert isinstance(vino, OpenVinoRunner)
    before = torch.get_num_threads()
    other = 1 if before > 1 else 2
    if usable_cores() < other:
        pytest.skip("needs two cores: OpenVINO uses no more threads than it has")
    expected = runtime(work.images)
    torch.set_num_threads(other)
    try:
        for runner in (runtime, vino):
            assert relative_error(runner(work.images), expected) < TOLERANCE
        assert runtime.sessions(other).get_session_options().intra_op_num_threads == other
        assert vino.sessions(other).get_property("INFERENCE_NUM_THREADS") == other
        for threads in (before, other, before, other):
            torch.set_num_threads(threads)
            for runner in (runtime, vino):
                runner(work.images)
        assert runtime.sessions.cache_info().misses == vino.sessions.cache_info().misses == 2  # made once for each
    finally:
        torch.set_num_threads(before)


@pytest.mark.medium
@pytest.mark.parametrize("way", EXACT, ids=str)
def test_threads_that_call_at_once_get_their_own_scores(way: Way) -> None:
    network = make("resnet_test")
    batches = torch.randn(40, 2, 3, 64, 64).unbind()
    with torch.no_grad():
        expected = list(map(network, batches))
    runner = way.prepare(Work(network, batches[0], torch.float32))
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(runner, batches))
    assert max(map(relative_error, found, expected)) < TOLERANCE


# --- less than float32 ------------------------------------------------------------------------------------------------


def test_ways_are_offered_where_they_apply(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    assert OnnxRuntime().ways(work, "exact") == [OnnxRuntimeWay()]
    assert OnnxRuntime().ways(work, "bf16") == []
    assert OnnxRuntime().ways(work, "int8") == [OnnxRuntimeWay("int8")]
    double = Work(work.network, work.images, torch.float64)
    assert OnnxRuntime().ways(double, "exact") == OpenVino().ways(double, "exact") == []
    quick = Work(work.network, work.images, torch.float32, compile=False)
    assert OnnxRuntime().ways(quick, "exact") == OpenVino().ways(quick, "exact") == []
    for native in (False, True):
        monkeypatch.setattr("modernet.deploy.running.openvino.has_bfloat16", lambda device, native=native: native)
        assert OpenVino().ways(work, "exact") == [OpenVinoWay()]
        assert OpenVino().ways(work, "bf16") == [OpenVinoWay("bf16", "bf16")] * native
        mixed = [OpenVinoWay("int8", "bf16")] * native
        assert OpenVino().ways(work, "int8") == [*mixed, OpenVinoWay("int8")]
    assert [str(way) for way in (OpenVinoWay("bf16", "bf16"), OpenVinoWay("int8", "bf16"), OpenVinoWay("int8"))] == [
        "OpenVINO, bfloat16",
        "OpenVINO, 8-bit integers and bfloat16",
        "OpenVINO, 8-bit integers",
    ]


@torch.no_grad()
def test_bfloat16_is_close(work: Work) -> None:
    runner = OpenVinoWay("bf16", "bf16").prepare(work)
    assert relative_error(runner(work.images), work.network(work.images)) < 0.02


@torch.no_grad()
def test_integers_are_those_of_a_written_out_computation() -> None:
    torch.manual_seed(0)
    layer, x = nn.Conv2d(3, 4, 3).eval().requires_grad_(False), images(12, batch=4)
    model = onnx_program(trace(layer, x[:2], any_batch=True), ["y"]).model_proto
    quantized = quantize_onnx(model, activation_ranges(model, x), (), seven_bits=True)
    (found,) = onnx_session(quantized.SerializeToString(), 1).run(["y"], {INPUT: x.numpy()})

    def step(tensor: Tensor) -> tuple[Tensor, Tensor]:
        """Return the scale of an activation, and the integer of 0."""
        low, high = tensor.min().clamp_max(0), tensor.max().clamp_min(0)
        return (high - low) / 255, (-low / ((high - low) / 255)).round()

    y = layer(x)
    (x_scale, x_zero), (y_scale, y_zero) = step(x), step(y)
    w_scale = layer.weight.abs().amax((1, 2, 3), keepdim=True) / 64
    integers = (x / x_scale + x_zero).round().clamp(0, 255) - x_zero, (layer.weight / w_scale).round()
    scale = x_scale * w_scale[None, :, 0, :, 0].reshape(1, 4, 1, 1)
    assert layer.bias is not None
    total = nn.functional.conv2d(*integers) + (layer.bias.reshape(1, 4, 1, 1) / scale).round()
    expected = ((total * scale / y_scale + y_zero).round().clamp(0, 255) - y_zero) * y_scale
    difference = (torch.from_numpy(found) - expected).abs() / y_scale
    assert difference.max() < 1.01  # halves are rounded to either side
    assert (difference < 0.01).float().mean() > 0.99
    assert ((y - expected).abs() / y_scale).max() > 1


@pytest.mark.medium
@torch.no_grad()
def test_a_trained_network_gives_the_same_answers_in_integers(
    trained: nn.Module, work: Work, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    x, labels = pixels(200, seed=3)
    expected = trained(x)
    assert (expected.argmax(1) == labels).float().mean() > 0.95
    capfd.readouterr()
    runners = [way.prepare(work) for way in INT8]
    assert logging.getLogger("nncf").level == logging.INFO  # as NNCF sets it
    assert capfd.readouterr() == ("", "")
    for runner in runners:
        found = runner(x)
        assert (found.argmax(1) == expected.argmax(1)).float().mean() >= 0.99
        assert 1e-4 < relative_error(found, expected) < 0.1
        assert weights_in_float(runner) == set()
    monkeypatch.setitem(sys.modules, "nncf", None)
    monkeypatch.setitem(sys.modules, "onnxruntime.quantization", None)
    for index, runner in enumerate(runners):
        folder = tmp_path / str(index)
        folder.mkdir()
        runner.save(folder)
        loaded = runner.way.load(folder)
        assert loaded.way == runner.way
        assert torch.equal(loaded(x), runner(x))


@pytest.mark.medium
@torch.no_grad()
def test_layers_that_are_kept_stay_in_float(trained: nn.Module, work: Work) -> None:
    kept = {"0": (8, 3, 3, 3), "4": (16, 1, 3, 3), "8": (2, 16)}
    for way in INT8:
        way.prepare(work)
        made = set(foreign._made[trained])
        for names in (("0",), ("4", "8")):
            runner = way.prepare(Work(trained, work.images, torch.float32, True, work.calibration, frozenset(names)))
            assert weights_in_float(runner) == {kept[name] for name in names}, f"{way}, {names}"
        assert set(foreign._made[trained]) == made  # attempts are not kept


@pytest.mark.medium
def test_a_folded_network_has_every_layer_under_its_name() -> None:
    network = rewritten(make("resnet_test"), (32, 32)).requires_grad_(False)
    layers = [name for name, module in network.named_modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    x = images(32, batch=4)
    for way in INT8:
        runner = way.prepare(Work(network, x, torch.float32, True, x, frozenset(layers[1:])))
        assert len(weights_in_float(runner)) > 5
        assert (64, 3, 7, 7) not in weights_in_float(runner)


@pytest.mark.parametrize("way", INT8, ids=str)
def test_a_layer_that_cannot_be_kept_is_an_error(way: Way, trained: nn.Module, work: Work) -> None:
    kept = frozenset(["0", "no.such.layer"])
    with pytest.raises(InputError, match=r"^no.such.layer is to stay in float.*, and no"):
        way.prepare(Work(trained, work.images, torch.float32, True, work.calibration, kept))


def test_an_operation_that_may_be_a_kept_layer_is_an_error(work: Work) -> None:
    program, results = foreign.program_of(work)
    model = onnx_program(program, results.names).model_proto
    convolutions = [node for node in model.graph.node if node.op_type == "Conv"]
    del convolutions[1].metadata_props[:]
    with pytest.raises(InputError, match=f"{convolutions[1].name} of the ONNX model may come from a layer"):
        quantize_onnx(model, None, ["0"], seven_bits=True)
    translated = foreign.once(work.network, "openvino", lambda: pytest.fail("translated by the tests before"))
    assert isinstance(translated, Translated)
    some = {key: names for key, names in translated.modules.items() if "2" not in names}
    with pytest.raises(InputError, match="of OpenVINO's model may come from a layer"):
        quantize_openvino(translated._replace(modules=some), work.images, ["0"], seven_bits=True)


def test_missing_packages_are_named_and_what_needs_none_takes_part(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    assert OnnxRuntime().missing() == OpenVino().missing() == ""
    monkeypatch.setattr(packages, "find_spec", lambda name: None if name in ("onnx", "nncf") else find_spec(name))
    assert OnnxRuntime().missing() == "onnx not installed: pip install 'modernet[runtimes]'"
    assert OnnxRuntime().ways(work, "exact") == []
    words = "no 8-bit integers in OpenVINO: nncf not installed: pip install 'modernet[runtimes]'"
    assert OpenVino().missing() == words
    assert OpenVino().ways(work, "exact") == [OpenVinoWay()]
    assert OpenVino().ways(work, "int8") == []
    monkeypatch.setattr(packages, "find_spec", lambda name: None)
    assert OpenVino().missing() == "openvino not installed: pip install 'modernet[runtimes]'"
    assert OpenVino().ways(work, "exact") == []


@pytest.mark.medium
@torch.no_grad()
def test_optimize_chooses_among_all_runtimes(trained: nn.Module, monkeypatch: pytest.MonkeyPatch) -> None:
    assert [runtime.name for runtime in RUNTIMES] == ["onnxruntime", "openvino", "torch", "torch int8"]
    monkeypatch.setattr(optimized, "RUNTIMES", RUNTIMES)
    monkeypatch.setattr(torch_ways, "exact_ways", lambda *_, **__: [PLAIN])
    x, _ = pixels(96, seed=4)
    fast = modernet.optimize(trained, x, precision="int8", seconds=600)
    measured = {str(each.way): each for each in fast.report.measured}
    assert {str(way) for way in (*EXACT, *INT8)} <= set(measured)
    assert not any(measured[str(way)].failure for way in (*EXACT, *INT8))
    assert (fast(x).argmax(1) == trained(x).argmax(1)).float().mean() >= 0.98
