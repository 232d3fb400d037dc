"""Tools that look inside a network or take it apart: hooks, pruning, torch.fx, torch.func, TorchScript, ONNX."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import onnxruntime
import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, jacrev, vmap
from torch.nn.utils import prune
from torchvision.models.feature_extraction import create_feature_extractor

from modernet.layers import DropPath
from modernet.models import MODELS, Backbone, create_model

ONE_SIZE = {"coatnet_test", "lenet_test", "levit_test", "rvt_plus_test"}  # take images of one size only
NO_BATCHING_RULE = pytest.mark.filterwarnings("ignore:There is a performance drop because")
pytestmark = pytest.mark.parametrize("name", MODELS.names("*_test"))


def make(name: str, **fields: Any) -> Backbone:
    """Return a network in evaluation mode without a weight at zero, so that every branch contributes."""
    torch.manual_seed(0)
    network = create_model(name, **{"num_classes": 4, **fields})
    assert isinstance(network, Backbone)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += 0.05 * torch.randn_like(parameter)
    return network.eval()


def images(name: str, batch: int = 2, pixels: int = 0) -> Tensor:
    """Return images whose sides are `pixels` larger than the published size."""
    side = MODELS[name].published.image_size + pixels
    generator = torch.Generator().manual_seed(1)
    return torch.randn(batch, MODELS[name].config.in_chans, side, side, generator=generator)


def calls(network: nn.Module, x: Tensor) -> Counter[str]:
    """Run a network, and return how often each of its modules ran."""
    counts: Counter[str] = Counter()
    for name, module in network.named_modules():
        module.register_forward_hook(lambda *_, name=name: counts.update([name]))
    network(x)
    return counts


def test_every_module_with_parameters_runs(name: str) -> None:
    network = make(name)
    counts = calls(network, images(name))
    with_parameters = [key for key, module in network.named_modules() if list(module.parameters(recurse=False))]
    assert [key for key in with_parameters if not counts[key]] == []


def test_every_activation_has_a_module_of_its_own(name: str) -> None:
    network = make(name)
    counts = calls(network, images(name))
    for key, module in network.named_modules():
        if not isinstance(module, DropPath | nn.Identity | nn.Dropout) and not list(module.parameters()):
            assert counts[key] <= max(counts[key.rpartition(".")[0]], 1), key


def test_pruned_weights_are_those_that_run(name: str) -> None:
    network, x = make(name), images(name)
    layers = [module for module in network.modules() if isinstance(module, nn.Linear | nn.Conv2d)]
    for layer in layers:
        prune.l1_unstructured(layer, "weight", 0.5)
        nn.init.normal_(layer.weight_orig, std=0.1)
    before = network(x)
    for layer in layers:
        prune.remove(layer, "weight")
    torch.testing.assert_close(network(x), before)


def test_torch_fx_traces_it_for_every_size_of_image_and_batch(name: str) -> None:
    network = make(name)
    traced = torch.fx.symbolic_trace(network)
    for x in (images(name), images(name, batch=3) if name in ONE_SIZE else images(name, batch=3, pixels=12)):
        torch.testing.assert_close(traced(x), network(x), rtol=0, atol=0)


def test_torchvision_extracts_its_feature_maps(name: str) -> None:
    network, x = make(name), images(name)
    outputs: dict[str, Tensor] = {}
    extractor = create_feature_extractor(network, network.feature_info.module_name())
    for key in network.feature_info.module_name():
        network.get_submodule(key).register_forward_hook(
            lambda _module, _args, y, key=key: outputs.update({key: y.clone()})
        )
    network(x)
    torch.testing.assert_close(extractor(x), outputs, rtol=0, atol=0)


@NO_BATCHING_RULE
def test_gradients_per_image_are_those_of_single_images(name: str) -> None:
    network, x = make(name), images(name)
    parameters, buffers = dict(network.named_parameters()), dict(network.named_buffers())

    def loss(parameters: dict[str, Tensor], image: Tensor) -> Tensor:
        return functional_call(network, (parameters, buffers), (image[None],)).square().sum()

    together = vmap(grad(loss), in_dims=(None, 0))(parameters, x)
    for index, image in enumerate(x):
        network.zero_grad()
        network(image[None]).square().sum().backward()
        for key, parameter in parameters.items():
            torch.testing.assert_close(together[key][index], parameter.grad, msg=key, rtol=1e-3, atol=1e-5)


@NO_BATCHING_RULE
def test_the_jacobian_of_the_scores_is_their_gradient(name: str) -> None:
    network, (image, _) = make(name).requires_grad_(False), images(name)
    jacobian = jacrev(lambda image: network(image[None])[0])(image)
    image.requires_grad_()
    (expected,) = torch.autograd.grad(network(image[None])[0, 3], image)
    torch.testing.assert_close(jacobian[3], expected, rtol=1e-3, atol=1e-5)


@pytest.mark.medium
@pytest.mark.filterwarnings("ignore")  # deprecated; reads shapes; ignores annotations
def test_torchscript_compiles_it_for_every_batch(name: str) -> None:
    network, x = make(name), images(name, batch=3)
    for program in (torch.jit.trace(network, images(name)), torch.jit.script(network)):
        torch.testing.assert_close(program(x), network(x))


@pytest.mark.medium
@pytest.mark.filterwarnings("ignore")
def test_the_onnx_exporter_of_torchscript_keeps_any_batch(name: str, tmp_path: Path) -> None:
    if name.startswith(("alexnet", "gfnet", "s4nd", "vgg")):
        pytest.skip("this exporter has no FFT, and pools adaptively only maps that the output divides")
    network, x, file = make(name), images(name, batch=3), tmp_path / "network.onnx"
    torch.onnx.export(network, (images(name),), file, dynamo=False, input_names=["x"], dynamic_axes={"x": {0: "b"}})
    (scores,) = onnxruntime.InferenceSession(file).run(None, {"x": x.numpy()})
    torch.testing.assert_close(torch.from_numpy(scores), network(x), rtol=1e-3, atol=1e-5)
