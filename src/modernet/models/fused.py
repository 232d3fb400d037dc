"""Fused kernels for the layers of any network; parameters, their names and the results stay the same.

The architecture files define what the networks compute; this file only lists which layers have a kernel. A layer's
class is swapped in place, as torch's FSDP does, so optimisers, hooks and checkpoints are unaffected.
"""

from __future__ import annotations

from typing import TypeVar

from torch import Tensor, nn
from torch.nn import functional as F

from modernet.kernels import Backend, depthwise_conv, depthwise_layer_norm, gelu_grn, layer_norm, mlp_residual
from modernet.layers import LayerNorm2d
from modernet.models.convnext import GRN, Block, Within

Network = TypeVar("Network", bound=nn.Module)


class FusedBlock(Block):
    """A ConvNeXt block as two kernels: depthwise convolution with its norm, and everything after it.

    V2's GRN reduces over the whole map, so there the second part is two matrix products with one kernel between them.
    """

    backend: Backend

    def forward(self, x: Tensor, within: Within | None = None) -> Tensor:
        if within is not None:  # the layers inside have kernels too; that of the whole block needs whole maps
            return super().forward(x, within)
        weight = self.dwconv.weight
        if self.dwconv_small is not None:  # the sum of two convolutions is one convolution
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
        # in the dtype of the products, or autocast would write float32 that the next product rounds again
        gamma, beta = self.grn.gamma.to(y.dtype), self.grn.beta.to(y.dtype)
        y = second(gelu_grn(y, gamma, beta, backend=self.backend))
        y = y if self.gamma is None else self.gamma * y
        x = x + self.drop_path(y.permute(0, 3, 1, 2))  # b h w c -> b c h w
        return x


class FusedDepthwiseConv2d(nn.Conv2d):
    """A depthwise convolution with stride 1 and 'same' padding."""

    backend: Backend

    def forward(self, x: Tensor) -> Tensor:
        return depthwise_conv(x, self.weight, self.bias, backend=self.backend)


class FusedLayerNorm2d(LayerNorm2d):
    """LayerNorm over the channels of a feature map."""

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
    """Use the fused kernels in every layer that has one; change the network in place and return it.

    Works in training and inference, with autocast, `torch.compile`, gradient checkpointing and DDP. During export the
    layers run as plain PyTorch. Parameters, their names and the random numbers drawn do not change. The layers inside a
    fused block do not run as modules: use hooks, LoRA, pruning and quantisation without kernels.

    Args:
        network: any module; layers without a kernel are left alone.
        backend: `auto` uses a kernel only where it was measured to be faster on this device, for this shape and dtype;
            `triton` always, `reference` never. Calling again with another backend switches.

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
    """Return the fused class of a layer; None for subclasses too, since they may compute something else."""
    kind = type(module)
    if kind is Block:
        return FusedBlock
    if isinstance(module, nn.Conv2d) and kind is nn.Conv2d and _is_depthwise(module):
        return FusedDepthwiseConv2d
    if isinstance(module, nn.LayerNorm) and kind in (LayerNorm2d, nn.LayerNorm) and _is_plain_norm(module):
        return FusedLayerNorm2d if kind is LayerNorm2d else FusedLayerNorm
    return None


def _is_depthwise(conv: nn.Conv2d) -> bool:
    """Return whether a convolution is depthwise with an odd kernel, stride 1 and 'same' zero padding."""
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
