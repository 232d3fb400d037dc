"""Attentional ShapeContextNet (A-SCN).

Xie, Liu, Chen, Tu, "Attentional ShapeContextNet for Point Cloud Recognition", CVPR 2018; widths, heads and norms from
the authors' code (umyta/A-SCN).

A shape context describes a point by where the others are, in bins that someone has chosen (`scn.py`). Attention chooses
them itself: every point looks at all others, and the network learns where. A stage, five of which make the network:

    x -> q, k, v -> attention -> dense ReLU -> + v -> dense ReLU -> x gate      the residual adds v, not x:
                                                                                so widths may change
    gate: dense ReLU -> dense ReLU, a quarter as wide -> dense sigmoid

The rest is PointNet's (`heads.py`): the maximum over points, and two layers. Nothing depends on the order of points.
Part segmentation has no BatchNorm on q and k, scene segmentation one head. As published: eps .001; momentum .1 where
the release lets that of some layers fall from .5 to .01 with training.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from modernet.data.points.inputs import PointInputs
from modernet.errors import InputError
from modernet.points.attention import attention
from modernet.points.config import PointConfig, register_point_model
from modernet.points.dense import dense, linear
from modernet.points.heads import CloudClassifier, PointEncoder, segmenter


@dataclass(frozen=True, kw_only=True)
class AttentionalShapeContextConfig(PointConfig):
    """Five stages of attention, or as many as widths are given."""

    key_widths: tuple[int, ...] = (32, 32, 32, 32, 64)
    """Channels of queries and keys over all heads, for each stage."""
    value_widths: tuple[int, ...] = (64, 64, 64, 128, 1024)
    """Channels of values over all heads, and of what the stage returns."""
    heads: int = 4
    scene_heads: int = 1
    """Heads where points of scenes have classes."""

    def classifier(self, inputs: PointInputs, num_classes: int) -> nn.Module:
        return CloudClassifier(AttentionalEncoder(self, inputs.channels, self.heads), num_classes)

    def segmenter(self, inputs: PointInputs, num_classes: int) -> nn.Module:
        heads = self.heads if inputs.categories else self.scene_heads
        encoder = AttentionalEncoder(self, inputs.channels, heads, norm_keys=not inputs.categories)
        return segmenter(encoder, inputs, num_classes)


class Stage(nn.Module):
    """Attention between all points, and what each makes of it. (b, n, dim) -> (b, n, value_width).

    Args:
        dim: channels of the input.
        key_width, value_width: of queries and keys, and of values, over all heads.
        heads: of attention.
        norm_keys: put BatchNorm on queries and keys.
    """

    def __init__(self, dim: int, key_width: int, value_width: int, heads: int, *, norm_keys: bool = True) -> None:
        super().__init__()
        for width in (key_width, value_width):
            if width % heads:
                raise InputError(f"{width} channels cannot be divided into {heads} heads; give a multiple")
        self.heads = heads
        self.q, self.k = (
            dense(dim, key_width, nn.Identity) if norm_keys else linear(dim, key_width, bias=True) for _ in range(2)
        )
        self.v = dense(dim, value_width, nn.Identity)
        self.out = dense(value_width, value_width)
        self.transform = dense(value_width, value_width)
        self.gate = nn.Sequential(
            dense(value_width, value_width),
            dense(value_width, value_width // 4),
            dense(value_width // 4, value_width, nn.Sigmoid),
        )

    def forward(self, x: Tensor) -> Tensor:
        v = self.v(x)
        y = self.out(attention(self.q(x), self.k(x), v, self.heads)) + v
        y = self.transform(y)
        gated: Tensor = y * self.gate(y)
        return gated


class AttentionalEncoder(PointEncoder):
    """The stages of A-SCN.

    Args:
        config: of the model.
        channels: of a point.
        heads: of attention.
        norm_keys: put BatchNorm on queries and keys.
    """

    def __init__(
        self, config: AttentionalShapeContextConfig, channels: int, heads: int, *, norm_keys: bool = True
    ) -> None:
        super().__init__()
        self.widths = config.value_widths
        if len(config.key_widths) != len(self.widths):
            raise InputError(
                f"{len(config.key_widths)} widths of keys and {len(self.widths)} of values; give both for each stage"
            )
        dims = (channels, *self.widths[:-1])
        self.stages = nn.ModuleList(
            Stage(dim, key_width, value_width, heads, norm_keys=norm_keys)
            for dim, key_width, value_width in zip(dims, config.key_widths, self.widths, strict=True)
        )

    def forward(self, points: Tensor) -> list[Tensor]:
        outputs, x = [], points
        for stage in self.stages:
            x = stage(x)
            outputs.append(x)
        return outputs


@register_point_model("Xie et al., CVPR 2018, and umyta/A-SCN")
def ascn() -> AttentionalShapeContextConfig:
    return AttentionalShapeContextConfig()


@register_point_model("ours: A-SCN in small, for one or two cores")
def ascn_nano() -> AttentionalShapeContextConfig:
    return AttentionalShapeContextConfig(key_widths=(32,) * 5, value_widths=(32, 32, 32, 64, 256))
