"""Whole networks through the kernels: under compile, checkpointing, autocast, DDP and export."""

from __future__ import annotations

import copy
import socket

import pytest
import torch
from torch import Tensor, nn

from modernet.kernels import Backend
from modernet.models import create_model
from modernet.models.fused import use_kernels

pytestmark = pytest.mark.kernel


def small_network(name: str = "convnext_test") -> nn.Module:
    torch.manual_seed(0)
    fields = {"depths": (1, 1), "dims": (8, 16), "num_classes": 4}
    network = create_model(name, **fields, **({} if "v2" in name else {"layer_scale_init": 0.5}))
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return network


def with_backend(network: nn.Module, backend: Backend) -> nn.Module:
    return use_kernels(copy.deepcopy(network), backend)


@pytest.fixture
def images(device: torch.device) -> Tensor:
    return torch.randn(2, 3, 24, 24, generator=torch.Generator().manual_seed(1)).to(device)


def gradients(network: nn.Module, images: Tensor) -> list[Tensor]:
    scores = network(images)
    scores.float().square().sum().backward()
    return [scores.detach(), *(p.grad for p in network.parameters() if p.grad is not None)]


def assert_same(actual: list[Tensor], expected: list[Tensor], tolerance: float = 1e-4) -> None:
    assert len(actual) == len(expected)
    for ours, plain in zip(actual, expected, strict=True):
        torch.testing.assert_close(ours, plain, rtol=tolerance, atol=tolerance * float(plain.abs().max()) + 1e-6)


@pytest.mark.parametrize("name", ["convnext_test", "convnextv2_test"])
def test_a_network_with_kernels_gives_the_same_gradients(name: str, device: torch.device, images: Tensor) -> None:
    network = small_network(name).to(device)
    expected = gradients(with_backend(network, "reference"), images)
    assert_same(gradients(with_backend(network, "triton"), images), expected)


def test_it_compiles_without_graph_breaks(device: torch.device, images: Tensor) -> None:
    network = small_network().to(device)
    expected = gradients(with_backend(network, "reference"), images)
    compiled = torch.compile(with_backend(network, "triton"), fullgraph=True, backend="aot_eager")
    assert_same(gradients(compiled, images), expected)


def test_gradient_checkpointing(device: torch.device, images: Tensor) -> None:
    network = small_network().to(device)
    expected = gradients(with_backend(network, "reference"), images)
    checkpointed = with_backend(network, "triton")
    checkpointed.set_grad_checkpointing()
    assert_same(gradients(checkpointed, images), expected)


def test_autocast(device: torch.device, images: Tensor) -> None:
    network = small_network().to(device)
    with torch.autocast(device.type, torch.bfloat16):
        expected = gradients(with_backend(network, "reference"), images)
        actual = gradients(with_backend(network, "triton"), images)
    assert [x.dtype for x in actual] == [x.dtype for x in expected]
    assert_same(actual, expected, tolerance=0.05)


def test_distributed_data_parallel(device: torch.device, images: Tensor) -> None:
    network = small_network().to(device)
    expected = gradients(with_backend(network, "reference"), images)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{probe.getsockname()[1]}"
    torch.distributed.init_process_group("gloo", init_method=address, rank=0, world_size=1)
    try:
        assert_same(gradients(nn.parallel.DistributedDataParallel(with_backend(network, "triton")), images), expected)
    finally:
        torch.distributed.destroy_process_group()


def test_exported_networks_have_no_kernels(device: torch.device, images: Tensor) -> None:
    network = with_backend(small_network().to(device).eval(), "triton")
    graph = torch.export.export(network, (images,)).graph
    targets = {str(node.target) for node in graph.nodes if node.op == "call_function"}
    assert not [target for target in targets if "modernet" in target]
    assert any("conv2d" in target for target in targets)
