"""`optimize` as users call it."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch._dynamo.utils import counters
from torch.utils._python_dispatch import TorchDispatchMode

import modernet
import modernet.deploy.rewriting.apply as apply
from deploy.networks import images, randomised, relative_error
from modernet.deploy import OptimizedNetwork, TorchWay
from modernet.deploy.running.torch_ways import TorchRunner, exact_ways, own_function
from modernet.errors import InputError
from modernet.models import MODELS, create_model, get_entry

NAMES = [*MODELS.names("*_test"), "timm:test_vit", "timm:test_resnet", "timm:test_efficientnet", "timm:test_convnext"]


def network(name: str, **fields: Any) -> tuple[nn.Module, Tensor]:
    """Return a network with randomised norms and biases, and two images."""
    torch.manual_seed(0)
    entry = get_entry(name)
    size, channels = entry.published.image_size, entry.config.in_chans if name in MODELS else 3
    return randomised(create_model(name, num_classes=10, **fields)), images(size, channels)


def optimized(model: nn.Module, x: Tensor, **options: Any) -> OptimizedNetwork:
    return modernet.optimize(model, x, **{"compile": False, **options})


@pytest.mark.medium
@pytest.mark.parametrize("name", NAMES)
def test_every_network_gives_the_same_scores_and_the_original_is_unchanged(name: str) -> None:
    model, x = network(name)
    model.train()
    before = copy.deepcopy(model.state_dict())
    fast = optimized(model, x)
    assert model.training
    assert before.keys() == model.state_dict().keys()
    assert all(torch.equal(before[key], tensor) for key, tensor in model.state_dict().items())
    model.eval()
    other = images(x.shape[2], x.shape[1], batch=3) + 1
    scores = fast(other)
    assert not scores.requires_grad
    assert relative_error(scores, model(other)) < 1e-5
    assert not any(rewrite.failure for rewrite in fast.report.rewrites)


def test_feature_maps_stay_the_same() -> None:
    model = randomised(create_model("convnext_test", features_only=True))
    x = images(64)
    fast = optimized(model, x)
    assert sum(rewrite.count for rewrite in fast.report.rewrites) > 0
    for found, expected in zip(fast(x), model(x), strict=True):
        assert relative_error(found, expected) < 1e-5


@pytest.mark.medium
@pytest.mark.parametrize("name", ["resnet_test", "convnext_test", "swin_test"])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_in_another_dtype_the_error_is_at_most_that_of_plain_pytorch(name: str, dtype: torch.dtype) -> None:
    model, x = network(name)
    fast = optimized(model, x, dtype=dtype)
    found = fast(x)
    assert found.dtype == dtype
    plain = copy.deepcopy(model).to(dtype)(x.to(dtype))
    truth = copy.deepcopy(model).double()(x.double())
    assert relative_error(found, truth) < max(1.5 * relative_error(plain, truth), 1e-12)


def test_a_half_precision_network_keeps_its_dtype_and_is_folded_in_float32() -> None:
    model, x = network("resnet_test")
    model.bfloat16()
    fast = optimized(model, x.bfloat16())
    assert fast(x).dtype == torch.bfloat16
    truth = copy.deepcopy(model).float()(x)
    assert relative_error(fast(x), truth) < 1.5 * relative_error(model(x.bfloat16()), truth)


def test_the_report_lists_rewrites_and_measurements() -> None:
    model, x = network("convnext_test")
    report = optimized(model, x).report
    counts = {rewrite.name: rewrite.count for rewrite in report.rewrites}
    assert counts["layer scales folded into the layer before"] == 5
    assert [m.way for m in report.measured] == [TorchWay(False), TorchWay(True)]
    speeds = [m.images_per_second or 0.0 for m in report.measured]
    assert min(speeds) > 0
    assert report.chosen == report.measured[speeds.index(max(speeds))].way
    lines = str(report).splitlines()
    assert "     5  layer scales folded into the layer before" in lines
    assert any(line.startswith("*") and line.endswith(str(report.chosen)) for line in lines)
    assert "images/s, batch 2, float32, cpu" in lines


class Lopsided(nn.Module):
    """Accesses the weight of a norm outside of torch functions."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.linear = nn.LayerNorm(16), nn.Linear(16, 4)

    def forward(self, x: Tensor) -> Tensor:
        channels = len(self.norm.weight)
        y: Tensor = self.linear(self.norm(x[..., :channels]))
        return y


def test_a_rewrite_that_breaks_the_network_is_not_kept() -> None:
    model = randomised(Lopsided())
    x = images(16)
    fast = optimized(model, x)
    torch.testing.assert_close(fast(x), model(x), rtol=0, atol=0)
    (failure,) = [rewrite.failure for rewrite in fast.report.rewrites if rewrite.failure]
    assert "NoneType" in failure
    assert f"(not kept: {failure})" in str(fast.report)


class Counting(nn.Module):
    """Its scores depend on the number of calls."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(3, 4, 1)
        self.calls = 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        y: Tensor = self.layer(x) * self.calls
        return y


def test_a_nondeterministic_network_raises() -> None:
    with pytest.raises(InputError, match=r"run twice on the same images, the network's results differ by 1.0e\+00"):
        optimized(Counting(), images(8))


def test_a_rewrite_that_changes_the_scores_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(network: nn.Module, x: Tensor) -> int:
        list(network.parameters())[-1].add_(1.0)
        return 1

    monkeypatch.setattr(apply, "REWRITES", (("wrong", wrong),))
    model, x = network("convnext_test")
    fast = optimized(model, x)
    assert relative_error(fast(x), model(x)) < 1e-5
    assert "of the largest, more than 1.0e-04" in fast.report.rewrites[0].failure


def test_without_a_compiler_the_network_runs_eagerly_and_the_report_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    def compile_nothing(run: Callable[[Tensor], Any], options: Any) -> Callable[[Tensor], Any]:
        def fail(_: Tensor) -> Any:
            raise RuntimeError("no working C++ compiler found\n  see the log")

        return fail

    monkeypatch.setattr(torch, "compile", compile_nothing)
    model, x = network("convnext_test")
    report = optimized(model, x, compile=True).report
    assert not report.chosen.compiled
    assert report.measured[1].images_per_second is None
    assert report.measured[1].failure == "RuntimeError: no working C++ compiler found see the log"
    assert "(RuntimeError: no working C++ compiler found see the log)" in str(report)


def test_a_runner_with_different_scores_is_not_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    def compile_wrongly(run: Callable[[Tensor], Any], options: Any) -> Callable[[Tensor], Any]:
        return lambda images: run(images).softmax(1)

    monkeypatch.setattr(torch, "compile", compile_wrongly)
    model, x = network("convnext_test")
    report = optimized(model, x, compile=True).report
    assert not report.chosen.compiled
    assert "of the largest, more than 1.0e-04" in report.measured[1].failure


@pytest.mark.slow
def test_compiled_networks_have_frozen_weights_and_support_any_batch_size() -> None:
    body = [nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.GELU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 4)]
    model, x = randomised(nn.Sequential(*body)), images(16, batch=3)
    packed = counters["inductor"]["mkldnn_linear_weight_pack_matcher_count"]
    report = modernet.optimize(model, x, seconds=600).report
    assert [m.failure for m in report.measured] == [""] * 5
    assert [m.way.chunk for m in report.measured if m.way.any_batch] == [0, 2]
    if torch._C.has_mkl:  # without MKL the compiler does not pack linear layers
        assert counters["inductor"]["mkldnn_linear_weight_pack_matcher_count"] == packed + 3

    runner = TorchRunner(model, TorchWay(True, compiled=True, any_batch=True), torch.float32)
    runner(x)
    with torch._dynamo.config.patch(error_on_recompile=True):
        for batch in (2, 5):
            x = images(16, batch=batch)
            assert relative_error(runner(x), model(x)) < 1e-5
        with torch.inference_mode():  # which would need another program
            for own in (x, x.clone()):
                assert relative_error(runner(own), model(x)) < 1e-5


class Clones(TorchDispatchMode):
    """Counts clones of tensors."""

    count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += func is torch.ops.aten.clone.default
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize(("dtype", "clones"), [(torch.uint8, 0), (torch.float32, 1)])
def test_images_of_inference_mode_are_cloned_unless_they_are_converted(dtype: torch.dtype, clones: int) -> None:
    runner = TorchRunner(nn.Identity(), TorchWay(True), torch.float32)
    with torch.inference_mode():
        x = images(8, batch=2).to(dtype).contiguous(memory_format=torch.channels_last)
        with Clones() as counted:
            found = runner(x)
    assert torch.equal(found, x.float())
    assert not found.is_inference()
    assert counted.count == clones


def test_a_batch_in_chunks_gives_the_same_results() -> None:
    model, x = network("convnext_test")
    x = torch.cat([x, x + 1, x - 1])[:5]
    runner = TorchRunner(model, TorchWay(True, chunk=2), torch.float32)
    for batch in range(1, 6):
        assert relative_error(runner(x[:batch]), model(x[:batch])) < 1e-5


def test_results_without_a_batch_dimension_cannot_be_chunked() -> None:
    class WithLoss(nn.Module):
        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            return x, x.mean((0, 2, 3))

    runner = TorchRunner(WithLoss(), TorchWay(True, chunk=2), torch.float32)
    with pytest.raises(ValueError, match="something without a batch dimension"):
        runner(images(8, batch=4))


def test_every_compiled_network_has_its_own_code_object() -> None:
    first, second = (own_function(nn.Identity()) for _ in range(2))
    assert first.__code__ is not second.__code__


def test_gpu_candidates_include_graphs_and_kernels() -> None:
    convnext, resnet = (create_model(name, num_classes=10) for name in ("convnext_test", "resnet_test"))
    gpu = torch.device("cuda")
    found = exact_ways(convnext, gpu, 2, compile=True)
    assert {way.kernels for way in found} == {None, "auto", "triton"}
    assert {way.cuda_graph for way in found if way.compiled} == {False, True}
    assert {way.kernels for way in exact_ways(resnet, gpu, 2, compile=True)} == {None}
    assert len(set(map(str, found))) == len(found)


@pytest.mark.medium
@pytest.mark.parametrize("size", [(2, 3, 32, 64), (2, 1, 64, 64), (3, 64, 64)])
def test_images_of_another_size_raise(size: tuple[int, ...]) -> None:
    model, x = network("convnext_test")
    fast = optimized(model, x)
    shape = "x".join(map(str, size))
    with pytest.raises(InputError, match=f"images are {shape}; this network was optimized for .batch.x3x64x64"):
        fast(torch.zeros(size))


@pytest.mark.parametrize(
    ("example", "message"),
    [
        (
            torch.zeros(2, 3, 8, 8, dtype=torch.uint8),
            r"images are \(2, 3, 8, 8\) torch.uint8; give a floating-point batch",
        ),
        (torch.zeros(3, 8, 8), r"images are \(3, 8, 8\) torch.float32; give a floating-point batch"),
        (torch.zeros(0, 3, 8, 8), r"images are \(0, 3, 8, 8\) torch.float32; give a floating-point batch"),
        ([1, 2], "images are list; give a floating-point batch"),
        (torch.zeros(2, 3, 8, 8, device="meta"), "the network is on cpu and the images on meta; move one of them"),
    ],
)
def test_invalid_examples_raise(example: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        modernet.optimize(nn.Conv2d(3, 4, 1), example)


def test_an_integer_dtype_raises() -> None:
    with pytest.raises(InputError, match=r"dtype is torch.int8; give torch.float32, torch.bfloat16, torch.float16"):
        modernet.optimize(nn.Conv2d(3, 4, 1), images(8), dtype=torch.int8)
