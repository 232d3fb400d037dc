"""Every rewrite, on networks where it applies and on those where it must not."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import timm
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations

from deploy.networks import images, randomised, relative_error
from modernet.deploy.rewriting.rewrites import (
    fold_layer_norm_affines,
    fold_layer_scales,
    fold_norms_back,
    fold_norms_forward,
    merge_branches,
    put_heads_first,
)
from modernet.deploy.rewriting.trace import follow, trace
from modernet.layers import LayerNorm2d
from modernet.models import create_model, swin

Rewrite = Callable[[nn.Module, Tensor], int]


class Net(nn.Module):
    """A network made of named layers and a forward function."""

    def __init__(self, forward: Callable[[Net, Tensor], Tensor], **layers: nn.Module | nn.Parameter) -> None:
        super().__init__()
        for name, layer in layers.items():
            setattr(self, name, layer)
        self._forward = forward

    def forward(self, x: Tensor) -> Tensor:
        return self._forward(self, x)


def rewritten(network: nn.Module, rewrite: Rewrite, x: Tensor) -> tuple[int, nn.Module]:
    """Apply a rewrite to a copy, check that results agree, and return the count and the copy."""
    network = randomised(network).requires_grad_(False)
    changed = copy.deepcopy(network)
    count = rewrite(changed, x)
    for batch in (x, torch.cat([x, 2 * x])):
        assert relative_error(changed(batch), network(batch)) < 1e-5
    return count, changed


def folds(network: nn.Module, rewrite: Rewrite, x: Tensor) -> int:
    return rewritten(network, rewrite, x)[0]


def kinds(network: nn.Module, kind: type[nn.Module]) -> int:
    return sum(isinstance(module, kind) for module in network.modules())


# --- where channels go ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("move", "dim", "channels"),
    [
        (lambda y: y.flatten(2).transpose(1, 2), 2, [0, 1, 2, 3]),
        (lambda y: y.flatten(1), 1, [0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3]),
        (lambda y: y.mean(1), 1, None),
    ],
    ids=["tokens", "flat", "mean"],
)
def test_channels_are_followed_as_in_the_docstring(
    move: Callable[[Tensor], Tensor], dim: int, channels: list[int] | None
) -> None:
    record = trace(Net(lambda net, x: move(net.conv(x)).square(), conv=nn.Conv2d(3, 4, 1)), images(2))
    (conv,) = [call for call in record.calls if call.name == "conv2d"]
    arrivals = follow(conv.outputs[0], 1)
    assert arrivals is not None
    (arrival,) = arrivals
    assert arrival.call.name == "square"
    along = arrival.along(dim)
    assert (None if along is None else along.tolist()) == channels


# --- BatchNorm into the layer before --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("conv", "norm", "x"),
    [
        (nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), images(8)),
        (nn.Conv2d(4, 8, 3, stride=2, groups=2), nn.BatchNorm2d(8, affine=False), images(8, 4)),
        (nn.Conv1d(3, 8, 3), nn.BatchNorm1d(8), images(8).flatten(2)),
        (nn.Linear(8, 4), nn.BatchNorm1d(4), images(8)[:, 0, 0]),
    ],
)
def test_a_batch_norm_folds_into_the_layer_before(conv: nn.Module, norm: nn.Module, x: Tensor) -> None:
    count, changed = rewritten(nn.Sequential(conv, norm, nn.ReLU(inplace=True)), fold_norms_back, x)
    assert count == 1
    assert isinstance(changed[1], nn.Identity)  # type: ignore[index]


def test_a_batch_norm_folds_through_operations_that_move_channels() -> None:
    def forward(net: Net, x: Tensor) -> Tensor:
        x = net.linear(x.flatten(2).transpose(1, 2))  # b c h w -> b t c
        return net.norm(x.flatten(0, 1)).reshape(x.shape)

    assert folds(Net(forward, linear=nn.Linear(3, 8), norm=nn.BatchNorm1d(8)), fold_norms_back, images(4)) == 1


def test_permuted_channels_keep_their_scale_and_shift() -> None:
    def forward(net: Net, x: Tensor) -> Tensor:
        y = net.conv(x).unflatten(1, (2, 4)).transpose(1, 2).flatten(1, 2)  # ShuffleNet's shuffle
        return net.norm(y)

    assert folds(Net(forward, conv=nn.Conv2d(3, 8, 3), norm=nn.BatchNorm2d(8)), fold_norms_back, images(8)) == 1


def test_children_after_the_norm_in_its_module_stay() -> None:
    network = timm.create_model("test_efficientnet", num_classes=5)
    norms = kinds(network, nn.BatchNorm2d)
    count, changed = rewritten(network, fold_norms_back, images(64))
    assert count == norms > 0
    assert kinds(changed, nn.SiLU) == kinds(network, nn.SiLU) > 0


def twice(net: Net, x: Tensor) -> Tensor:
    y = net.conv(x)
    return net.norm(y) + y


def shared_conv(net: Net, x: Tensor) -> Tensor:
    return net.norm(net.conv(x)) + net.conv(x.flip(3))


def shared_norm(net: Net, x: Tensor) -> Tensor:
    return net.norm(net.conv(x)) + net.norm(net.other(x))


def tied(net: Net, x: Tensor) -> Tensor:
    return net.norm(net.conv(x)) * net.conv.weight.mean()


def activated(net: Net, x: Tensor) -> Tensor:
    y = net.conv(x)
    y.view(-1).relu_()  # in place, through a view
    return net.norm(y)


def written_into(net: Net, x: Tensor) -> Tensor:
    y = net.conv(x)
    y[:, :, 0] = 1.0
    return net.norm(y)


def half_of_the_channels(net: Net, x: Tensor) -> Tensor:
    first, second = net.conv(x).chunk(2, dim=1)
    return net.smaller(first) + second


def positions_for_channels(net: Net, x: Tensor) -> Tensor:
    return net.norm(net.conv(x).transpose(1, 2))


@pytest.mark.parametrize(
    "forward", [twice, shared_conv, shared_norm, tied, activated, written_into, half_of_the_channels,
                positions_for_channels],
)  # fmt: skip
def test_a_batch_norm_stays_if_the_layer_has_other_uses(forward: Callable[[Net, Tensor], Tensor]) -> None:
    layers = {"conv": nn.Conv2d(3, 8, 3, padding=1), "other": nn.Conv2d(3, 8, 1)}
    network = Net(forward, norm=nn.BatchNorm2d(8), smaller=nn.BatchNorm2d(4), **layers)
    assert folds(network, fold_norms_back, images(8)) == 0


def test_a_batch_norm_with_batch_statistics_stays() -> None:
    network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8, track_running_stats=False))
    network = randomised(network)
    assert fold_norms_back(network, images(8)) == 0
    training = randomised(nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8)))
    training[1].train()  # type: ignore[index]
    assert fold_norms_back(training, images(8)) == 0


@pytest.mark.parametrize("place", [0, 1])
@pytest.mark.parametrize("hook", ["register_forward_hook", "register_forward_pre_hook"])
def test_layers_with_hooks_stay(place: int, hook: str) -> None:
    network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8))
    getattr(network[place], hook)(lambda *_: None)
    assert folds(network, fold_norms_back, images(8)) == 0


def test_weights_computed_in_the_forward_pass_stay() -> None:
    conv = parametrizations.weight_norm(nn.Conv2d(3, 8, 3))
    assert folds(nn.Sequential(conv, nn.BatchNorm2d(8)), fold_norms_back, images(8)) == 0


# --- BatchNorm into the layers after --------------------------------------------------------------------------------


def test_a_batch_norm_folds_into_the_layers_after() -> None:
    def forward(net: Net, x: Tensor) -> Tensor:
        y = net.norm(x)
        return net.first(y) + net.second(y)

    layers = {"first": nn.Conv2d(6, 4, 1, groups=2), "second": nn.Conv2d(6, 4, 1, bias=False)}
    assert folds(Net(forward, norm=nn.BatchNorm2d(6), **layers), fold_norms_forward, images(8, 6)) == 1


@pytest.mark.parametrize(("padding", "count"), [(0, 1), ("valid", 1), (1, 0), ("same", 0)])
def test_a_batch_norm_stays_before_padding(padding: int | str, count: int) -> None:
    network = nn.Sequential(nn.BatchNorm2d(3), nn.Conv2d(3, 8, 3, padding=padding))
    assert folds(network, fold_norms_forward, images(8)) == count


def test_a_batch_norm_stays_if_its_output_has_other_uses() -> None:
    network = Net(lambda net, x: net.conv(y := net.norm(x)) + y, norm=nn.BatchNorm2d(3), conv=nn.Conv2d(3, 3, 1))
    assert folds(network, fold_norms_forward, images(8)) == 0


# --- LayerNorm's affine ---------------------------------------------------------------------------------------------


def windows(net: Net, x: Tensor) -> Tensor:
    """Roll and partition into windows, as in Swin."""
    y = net.norm(x.permute(0, 2, 3, 1)).roll((1, 1), (1, 2))
    y = y.reshape(2 * len(x) // 2, 2, 4, 2, 4, -1).transpose(2, 3).reshape(-1, 16, y.shape[-1])
    return net.linear(y).contiguous()


def averaged(net: Net, x: Tensor) -> Tensor:
    return net.linear(net.norm(x.permute(0, 2, 3, 1)).mean((1, 2)))


def two_uses(net: Net, x: Tensor) -> Tensor:
    y = net.norm(x.permute(0, 2, 3, 1))
    return net.linear(y[:, 0]) + net.other(y[:, 1])


def neighbours_merged(net: Net, x: Tensor) -> Tensor:
    y = net.norm(x.permute(0, 2, 3, 1)).unflatten(1, (4, 2)).transpose(2, 3).flatten(3)
    return net.wide(y)


@pytest.mark.parametrize("forward", [windows, averaged, two_uses, neighbours_merged])
def test_the_affine_of_a_layer_norm_folds_into_the_layers_after(forward: Callable[[Net, Tensor], Tensor]) -> None:
    layers = {"linear": nn.Linear(6, 4, bias=False), "other": nn.Linear(6, 4), "wide": nn.Linear(12, 4)}
    count, changed = rewritten(Net(forward, norm=nn.LayerNorm(6), **layers), fold_layer_norm_affines, images(8, 6))
    assert count == 1
    assert changed.norm.weight is None
    assert changed.norm.bias is None


def padded(net: Net, x: Tensor) -> Tensor:
    return net.linear(F.pad(net.norm(x.permute(0, 2, 3, 1)), (0, 0, 0, 1, 0, 1)))


def padded_before_the_average(net: Net, x: Tensor) -> Tensor:
    y = net.norm(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
    return net.conv(F.avg_pool2d(y, 2, padding=1))


def positions_mixed(net: Net, x: Tensor) -> Tensor:
    return net.square(net.norm(x.permute(0, 2, 3, 1)).transpose(2, 3))


def also_added(net: Net, x: Tensor) -> Tensor:
    y = net.norm(x.permute(0, 2, 3, 1))
    return y + net.same(y)


def also_returned(net: Net, x: Tensor) -> Tensor:
    y = net.norm(x.permute(0, 2, 3, 1))
    net.same(y)
    return y


def norm_twice(net: Net, x: Tensor) -> Tensor:
    x = x.permute(0, 2, 3, 1)
    return net.linear(net.norm(x)) + net.other(net.norm(2 * x))


def layer_twice(net: Net, x: Tensor) -> Tensor:
    x = x.permute(0, 2, 3, 1)
    return net.linear(net.norm(x)) + net.linear(x)


@pytest.mark.parametrize(
    "forward", [padded, padded_before_the_average, positions_mixed, also_added, also_returned, norm_twice, layer_twice]
)
def test_the_affine_of_a_layer_norm_stays(forward: Callable[[Net, Tensor], Tensor]) -> None:
    layers: dict[str, nn.Module] = {"linear": nn.Linear(6, 4), "other": nn.Linear(6, 4), "same": nn.Linear(6, 6)}
    layers |= {"conv": nn.Conv2d(6, 4, 1), "square": nn.Linear(8, 4)}
    network = Net(forward, norm=nn.LayerNorm(6), **layers)
    assert folds(network, fold_layer_norm_affines, images(8, 6)) == 0


def test_a_layer_norm_over_more_than_channels_stays() -> None:
    network = nn.Sequential(nn.LayerNorm([8, 8]), nn.Linear(8, 4))
    assert folds(network, fold_layer_norm_affines, images(8)) == 0


def test_unpadded_convolutions_absorb_the_affine_too() -> None:
    network = nn.Sequential(LayerNorm2d(3), nn.Conv2d(3, 8, 2, stride=2))
    assert folds(network, fold_layer_norm_affines, images(8)) == 1


# --- layer scale ----------------------------------------------------------------------------------------------------


class Scaled(nn.Module):
    """Layer scale as a module."""

    def __init__(self, shape: tuple[int, ...], *, inplace: bool = False) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.linspace(0.5, 1.5, 8).reshape(shape))
        self.inplace = inplace

    def forward(self, x: Tensor) -> Tensor:
        return x.mul_(self.gamma) if self.inplace else x * self.gamma


@pytest.mark.parametrize("inplace", [False, True])
def test_a_layer_scale_module_folds_into_the_layer_before(inplace: bool) -> None:
    network = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), Scaled((8, 1, 1), inplace=inplace))
    count, changed = rewritten(network, fold_layer_scales, images(8))
    assert count == 1
    assert isinstance(changed[1], nn.Identity)  # type: ignore[index]


def needs_gamma(net: Net, x: Tensor) -> Tensor:
    return net.gamma[:, None, None] * net.conv(x) + x.mean()


def accepts_none(net: Net, x: Tensor) -> Tensor:
    y = net.conv(x)
    return (y if net.gamma is None else y * net.gamma.reshape(1, -1, 1, 1)) + x.mean()


@pytest.mark.parametrize("forward", [needs_gamma, accepts_none])
def test_a_layer_scale_parameter_becomes_none_or_ones(forward: Callable[[Net, Tensor], Tensor]) -> None:
    network = Net(forward, conv=nn.Conv2d(3, 8, 3), gamma=nn.Parameter(torch.linspace(0.5, 1.5, 8)))
    count, changed = rewritten(network, fold_layer_scales, images(8))
    assert count == 1
    gamma = changed.gamma
    if forward is accepts_none:
        assert gamma is None
    else:
        assert isinstance(gamma, Tensor)
        assert torch.equal(gamma, torch.ones(8))


def gamma_twice(net: Net, x: Tensor) -> Tensor:
    return net.gamma * net.conv(x) + net.gamma


def scales_positions(net: Net, x: Tensor) -> Tensor:
    return net.gamma[:, 0] * net.conv(x)


def branch_used_twice(net: Net, x: Tensor) -> Tensor:
    y = net.conv(x)
    return net.gamma * y + y


def computed_gamma(net: Net, x: Tensor) -> Tensor:
    return net.gamma.exp() * net.conv(x)


@pytest.mark.parametrize("forward", [gamma_twice, scales_positions, branch_used_twice, computed_gamma])
def test_other_products_stay(forward: Callable[[Net, Tensor], Tensor]) -> None:
    network = Net(forward, conv=nn.Conv2d(3, 8, 1), gamma=nn.Parameter(torch.linspace(0.5, 1.5, 8).reshape(8, 1, 1)))
    assert folds(network, fold_layer_scales, images(8)) == 0


# --- networks that everybody knows ----------------------------------------------------------------------------------


@pytest.mark.medium
@pytest.mark.parametrize(
    ("name", "rewrite", "count"),
    [
        ("resnet50", fold_norms_back, 53),
        ("resnet50", fold_norms_forward, 0),
        (
            "convnext_tiny",
            fold_layer_norm_affines,
            18 + 3 + 1,
        ),  # blocks, downsampling, head; the stem's output is also added
        ("convnext_tiny", fold_layer_scales, 18),
        # two per block, merging, head; the patches' output is also added
        ("swin_tiny", fold_layer_norm_affines, 24 + 3 + 1),
        ("swin_tiny", put_heads_first, 6),
    ],
)
def test_counts_for_known_networks(name: str, rewrite: Rewrite, count: int) -> None:
    network = create_model(name, num_classes=10)
    size = 32 if name == "resnet50" else 224 if name.startswith("swin") else 32
    assert folds(network, rewrite, images(size, batch=1)) == count


@pytest.mark.parametrize(("name", "count"), [("convnext_large_kernel_test", 2), ("replknet_test", 4)])
def test_branches_are_merged(name: str, count: int) -> None:
    assert folds(create_model(name, num_classes=10), merge_branches, images(64)) == count
    merged = create_model(name, num_classes=10, small_kernel=0)
    assert folds(merged, merge_branches, images(64)) == (4 if name == "replknet_test" else 0)  # its norms are merged


def test_heads_are_put_first_once_and_not_in_layers_of_others() -> None:
    network = create_model("swin_test", num_classes=10)
    count, changed = rewritten(network, put_heads_first, images(64))
    assert (count, put_heads_first(changed, images(64))) == (2, 0)
    with pytest.raises(RuntimeError, match="qkv_heads_first"):  # its weights mean something else in a network as made
        network.load_state_dict(changed.state_dict())
    shifted = [module.attn for module in network.modules() if isinstance(module, swin.Block) and module.shift]
    shifted[0].qkv = nn.Sequential(shifted[0].qkv)
    shifted[1].qkv.register_forward_hook(lambda _module, _args, y: 2 * y)
    assert folds(network, put_heads_first, images(64)) == 0
