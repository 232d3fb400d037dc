"""Networks of the zoo through the fused kernels: the same parameters under the same names, and the same numbers.

`convnext.py` and its neighbours say what the networks compute. Here is only which of their layers has a kernel: a layer
changes its class in place, as torch's FSDP does it, so that optimisers, hooks and checkpoints never notice.
"""

from __future__ import annotations

from typing import TypeVar

from torch import Tensor, nn
from torch.nn import functional as F

from modernet.kernels import Backend, depthwise_conv, depthwise_layer_norm, gelu_grn, layer_norm, mlp_residual
from modernet.layers import LayerNorm2d
from modernet.models.convnext import GRN, Block

Network = TypeVar("Network", bound=nn.Module)


class FusedBlock(Block):
    """A ConvNeXt block as two kernels: depthwise convolution with its norm, and all that follows.

    Between them V2's normalisation needs the whole map, so there the second half is two matrix products with one kernel
    between them.
    """

    backend: Backend

    def forward(self, x: Tensor) -> Tensor:
        weight = self.dwconv.weight
        if self.dwconv_small is not None:  # two kernels that are added are one kernel
            small = self.dwconv_small.weight
            weight = weight + F.pad(small, [(weight.shape[-1] - small.shape[-1]) // 2] * 4)
        y = depthwise_layer_norm(
            x, weight, self.dwconv.bias, self.norm.weight, self.norm.bias, self.norm.eps, backend=self.backend
        )  # b c h w -> b h w c
        first, second = self.pwconv1, self.pwconv2
        if not isinstance(self.grn, GRN):
            scale = self.drop_path.scale(x)
            return mlp_residual(
                y, x, first.weight, first.bias, second.weight, second.bias, self.gamma, scale, backend=self.backend
            )
        y = first(y)
        # in the type of the products, so that autocast writes no float32 that the next one rounds again
        gamma, beta = self.grn.gamma.to(y.dtype), self.grn.beta.to(y.dtype)
        y = second(gelu_grn(y, gamma, beta, backend=self.backend))
        y = y if self.gamma is None else self.gamma * y
        x = x + self.drop_path(y.permute(0, 3, 1, 2))  # b h w c -> b c h w
        return x


class FusedDepthwiseConv2d(nn.Conv2d):
    """A depthwise convolution that keeps the size."""

    backend: Backend

    def forward(self, x: Tensor) -> Tensor:
        return depthwise_conv(x, self.weight, self.bias, backend=self.backend)


class FusedLayerNorm2d(LayerNorm2d):
    """LayerNorm over the channels of a map."""

    backend: Backend

    def forward(self, x: Tensor) -> Tensor:
        return layer_norm(x, self.weight, self.bias, self.eps, channels_dim=1, backend=self.backend)


class FusedLayerNorm(nn.LayerNorm):
    """LayerNorm over the last dimension."""

    backend: Backend

    def forward(self, x: Tensor) -> Tensor:
        return layer_norm(x, self.weight, self.bias, self.eps, channels_dim=-1, backend=self.backend)


Fused = FusedBlock | FusedDepthwiseConv2d | FusedLayerNorm2d | FusedLayerNorm


def use_kernels(network: Network, backend: Backend = "auto") -> Network:
    """Let every layer of a network that has a fused kernel use it; the network is changed in place and returned.

    Training and inference, alone or under autocast, `torch.compile`, gradient checkpointing and DDP; while a network is
    exported, its layers are plain PyTorch. Parameters, their names and the random numbers drawn stay as they are.

    Args:
        network: any module; one that has none of these layers stays as it is.
        backend: `auto` uses a kernel only where it was measured to win on this device, for this shape and dtype.
            `triton` always, `reference` never. May be called again with another.

    >>> network = use_kernels(modernet.create_model("convnext_tiny").cuda())  # doctest: +SKIP
    """
    for module in network.modules():
        fused = _fused_class(module)
        if fused is not None:
            module.__class__ = fused
        if isinstance(module, Fused):
            module.backend = backend
    return network


def _fused_class(module: nn.Module) -> type[nn.Module] | None:
    """The class whose kernel computes what a layer computes; subclasses may compute something else and have none."""
    kind = type(module)
    if kind is Block:
        return FusedBlock
    if isinstance(module, nn.Conv2d) and kind is nn.Conv2d and _is_depthwise(module):
        return FusedDepthwiseConv2d
    if isinstance(module, nn.LayerNorm) and kind in (LayerNorm2d, nn.LayerNorm) and _is_plain_norm(module):
        return FusedLayerNorm2d if kind is LayerNorm2d else FusedLayerNorm
    return None


def _is_depthwise(conv: nn.Conv2d) -> bool:
    """Whether it has a kernel for each channel, of odd side, and keeps the size."""
    side = conv.kernel_size[0]
    return (
        conv.groups == conv.in_channels == conv.out_channels > 1
        and conv.kernel_size == (side, side)
        and side % 2 == 1
        and side > 1
        and conv.padding == (side // 2, side // 2)
        and conv.stride == conv.dilation == (1, 1)
        and conv.padding_mode == "zeros"
    )


def _is_plain_norm(norm: nn.LayerNorm) -> bool:
    return len(norm.normalized_shape) == 1 and norm.weight is not None and norm.bias is not None
