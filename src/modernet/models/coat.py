"""CoaT.

Xu, Xu, Chang, Tu, "Co-Scale Conv-Attentional Image Transformers", 2021, arXiv 2104.06399.

The serial blocks of a CoaT-Lite (`coat_lite.py`), then three of its scales in parallel: in a parallel block, each
scale adds the attention outputs of the two others, resampled to its grid.

    image                                            3 x 224 x 224
    serial_blocks1   patches of 4, norm; blocks    152 x  56 x  56   2 blocks    (CoaT Mini)
    serial_blocks2   patches of 2, norm; blocks    216 x  28 x  28   2 blocks
    serial_blocks3   patches of 2, norm; blocks    216 x  14 x  14   2 blocks
    serial_blocks4   patches of 2, norm; blocks    216 x   7 x   7   2 blocks
    parallel_blocks  scales 2, 3, 4 at once        216 x (28 x 28, 14 x 14, 7 x 7)   6 blocks
    head             norms, class tokens of the three scales weighted by `aggregate`, linear -> class scores

Parameter names are those of the authors' code (mlpc-ucsd/CoaT), and timm's. There, a parallel block lists its single
MLP three times, as shared tensors; here it appears once, under the first name. The authors' unused norm (`norm1`) is
omitted, as in timm. Images of any size from 32 pixels work, since the scales are resampled to each other's size.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from modernet.errors import InputError
from modernet.layers import DropPath, Mlp
from modernet.models.backbone import Feature, FeatureInfo, GroupKey, Tokens
from modernet.models.coat_lite import CoaTLite, CoaTLiteConfig, FactorisedAttention, init_linear
from modernet.models.entry import Published, register_model


@dataclass(frozen=True, kw_only=True)
class CoaTConfig(CoaTLiteConfig):
    """A CoaT: the serial blocks of a CoaT-Lite, then parallel blocks over its scales 2 to 4."""

    dims: tuple[int, ...] = (152, 152, 152, 152)
    """Channels per scale, multiples of the number of heads; the last three must be equal."""
    mlp_ratios: tuple[float, ...] = (4.0, 4.0, 4.0, 4.0)
    """Hidden channels of each scale's MLPs, as multiples of `dims`; the last three must be equal."""
    parallel_depth: int = 6
    """Number of parallel blocks."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(set(self.dims[1:])) > 1 or len(set(self.mlp_ratios[1:])) > 1:
            raise InputError(
                f"dims is {self.dims} and mlp_ratios is {self.mlp_ratios}; parallel blocks add scales 2 to 4 and share "
                "their MLP: give those scales equal values"
            )
        if self.parallel_depth < 1:
            raise InputError(
                f"parallel_depth is {self.parallel_depth}; give 1 or more, or use a coat_lite, which has none"
            )


class ParallelBlock(nn.Module):
    """A serial block per scale 2 to 4, each adding the others' attention outputs; the MLP is shared.

    In parameter names such as `norm12`, the last digit is the scale.
    """

    def __init__(self, dim: int, num_heads: int, mlp_ratio: float, *, drop_path: float = 0.0) -> None:
        super().__init__()
        for scale in (2, 3, 4):
            self.add_module(f"norm1{scale}", nn.LayerNorm(dim, eps=1e-6))
            self.add_module(f"factoratt_crpe{scale}", FactorisedAttention(dim, num_heads))
            self.add_module(f"norm2{scale}", nn.LayerNorm(dim, eps=1e-6))
        self.mlp2 = Mlp(dim, int(dim * mlp_ratio))  # shared with scales 3 and 4
        self.drop_path = DropPath(drop_path)

    def forward(
        self, scales: Sequence[Tokens], positions: Sequence[nn.Module], relatives: Sequence[nn.Module]
    ) -> list[Tokens]:
        placed = [Tokens(position(x, grid), grid) for (x, grid), position in zip(scales, positions, strict=True)]
        attended = []
        for scale, (x, grid), relative in zip((2, 3, 4), placed, relatives, strict=True):
            y = self.get_submodule(f"norm1{scale}")(x)
            attended.append(Tokens(self.get_submodule(f"factoratt_crpe{scale}")(y, grid, relative), grid))
        results = []
        for scale, (x, grid) in zip((2, 3, 4), placed, strict=True):
            first, second, third = (resampled(*y, grid) for y in attended)
            x = x + self.drop_path(first + second + third)
            x = x + self.drop_path(self.mlp2(self.get_submodule(f"norm2{scale}")(x)))
            results.append(Tokens(x, grid))
        return results


@torch.fx.wrap  # the condition depends on the shape, which is not known when torch.fx traces a network
def resampled(x: Tensor, grid: tuple[int, int], new_grid: tuple[int, int]) -> Tensor:
    """Resample a class token and its grid `(b, 1 + t, c)` bilinearly to another grid size."""
    if grid == new_grid:
        return x
    y = x[:, 1:].transpose(1, 2).reshape(x.shape[0], -1, grid[0], grid[1])  # b 1+t c -> b c h w
    y = F.interpolate(y, new_grid, mode="bilinear")
    return torch.cat([x[:, :1], y.flatten(2).transpose(1, 2)], dim=1)  # b c h w -> b 1+t c


class Scales(NamedTuple):
    """Output of the stages of a CoaT from the parallel blocks on."""

    tokens: Sequence[Tokens]
    """Scales 2, 3 and 4."""
    current: Tokens
    """The scale that is the stage's feature map."""

    @property
    def x(self) -> Tensor:
        """Its tokens `(b, 1 + t, c)`, the class token first."""
        return self.current.x

    def as_map(self) -> Tensor:
        """Return the stage's feature map `(b, c, h, w)`."""
        return self.current.as_map()


class CoaT(CoaTLite):
    """The serial blocks of a CoaT-Lite, parallel blocks over scales 2 to 4, and a classifier over all three.

    Feature map 0 comes from the first serial blocks, maps 1 to 3 are the three scales after the parallel blocks, as in
    the authors' detectors. Stage 1 therefore runs all remaining blocks; stages 2 and 3 only select a scale.

    Every map has one class token (`num_prefix_tokens`); what `forward_features` returns begins with those of all three.
    """

    head_modules = ("norm2", "norm3", "norm4", "aggregate", "head")
    final_norms = ("norm2", "norm3", "norm4")
    regrows_head = False

    def __init__(self, config: CoaTConfig) -> None:
        super().__init__(config)
        dim, ratio, heads = config.dims[-1], config.mlp_ratios[-1], sum(config.window_heads)
        self.parallel_blocks = nn.ModuleList(
            ParallelBlock(dim, heads, ratio, drop_path=config.drop_path_rate) for _ in range(config.parallel_depth)
        )
        self.parallel_blocks.apply(init_linear)
        self.scales = nn.ModuleList(nn.Identity() for _ in range(3))  # gives each feature map a module name
        self.norm2 = nn.LayerNorm(dim, eps=1e-6)
        self.norm3 = nn.LayerNorm(dim, eps=1e-6)
        self.aggregate = nn.Conv1d(3, 1, 1)
        self.feature_info = FeatureInfo(
            [self.feature_info[0], *(Feature(dim, 8 * 2**index, f"scales.{index}") for index in range(3))]
        )

    def stage_modules(self, index: int) -> list[str]:
        first, second, third, fourth = (super(CoaT, self).stage_modules(scale) for scale in range(4))
        return [first, [*second, *third, *fourth, "parallel_blocks"], [], []][index]

    def unused_names(self, indices: Sequence[int]) -> list[str]:
        """Also the last norms of scales that are not requested: of the last parallel block's MLP, and the final one."""
        names = super().unused_names(indices)
        if max(indices) > 0:
            last = f"parallel_blocks.{len(self.parallel_blocks) - 1}"
            for scale in [index + 1 for index in (1, 2, 3) if index not in indices]:
                names += [f"{last}.norm2{scale}", f"norm{scale}"]
        return names

    def forward_stage(self, index: int, x: Any) -> Any:
        """Stage 0 is scale 1; stage 1 the other scales and the parallel blocks; stages 2 and 3 select a scale."""
        if index == 0:
            return super().forward_stage(index, x)
        if index > 1:
            return self._at(x.tokens, index)
        scales: list[Tokens] = []
        for scale in (1, 2, 3):
            x = super().forward_stage(scale, x)
            scales.append(x)
        positions, relatives = [[self.get_submodule(f"{part}{n}") for n in (2, 3, 4)] for part in ("cpe", "crpe")]
        for block in self.parallel_blocks:
            scales = self.run_block(block, scales, positions, relatives)
        return self._at(scales, index)

    def normed(self, index: int, x: Any) -> Any:
        if index == 0:
            return x
        norm = (self.norm2, self.norm3, self.norm4)[index - 1]
        return Scales(x.tokens, Tokens(norm(x.x), x.current.grid))

    def last_features(self, x: Any) -> Tensor:
        """Return all tokens `(b, t, c)`, normalised: the class tokens of scales 2, 3 and 4, then their grids.

        Of a pruned network, the last scale alone, which may be the only one that still has its norms.
        """
        if self._pruned:
            y: Tensor = self.normed(self.stages_left[-1], x).x
            return y
        tokens = [norm(y) for norm, (y, _) in zip((self.norm2, self.norm3, self.norm4), x.tokens, strict=True)]
        return torch.cat([*(y[:, :1] for y in tokens), *(y[:, 1:] for y in tokens)], dim=1)

    def pool(self, x: Tensor) -> Tensor:
        x = self.aggregate(x[:, :3]).squeeze(1)  # b 3 c -> b c
        return x

    def group_key(self, name: str) -> GroupKey:
        """As in CoaT-Lite, with the parallel blocks before the head."""
        module, block, *_ = f"{name}.".split(".")
        return (5, int(block)) if module == "parallel_blocks" else super().group_key(name)

    def _at(self, tokens: Sequence[Tokens], index: int) -> Scales:
        """Return the three scales, with feature map `index` selected."""
        x, grid = tokens[index - 1]
        return Scales(tokens, Tokens(self.scales[index - 1](x), grid))


# --- variants -------------------------------------------------------------------------------------------------------
# top-1 from the authors' repository; MACs computed with its definition, some of which the paper rounds up

_XU = "Xu et al. 2021; mlpc-ucsd/CoaT"


@register_model(CoaT, Published("ours, for tests", image_size=64))
def coat_test() -> CoaTConfig:
    return CoaTConfig(
        depths=(1, 1, 1, 1),
        dims=(8, 16, 16, 16),
        mlp_ratios=(4.0, 2.0, 2.0, 2.0),
        windows=(3, 5),
        window_heads=(1, 3),
        parallel_depth=2,
    )


@register_model(CoaT, Published(_XU, params_m=5.499, gmacs=4.316, top1=78.3))
def coat_tiny() -> CoaTConfig:
    return CoaTConfig(dims=(152, 152, 152, 152))


@register_model(CoaT, Published(_XU, params_m=10.337, gmacs=6.773, top1=81.0))
def coat_mini() -> CoaTConfig:
    return CoaTConfig(dims=(152, 216, 216, 216))


@register_model(CoaT, Published(_XU, params_m=21.694, gmacs=12.548, top1=82.1))
def coat_small() -> CoaTConfig:
    return CoaTConfig(dims=(152, 320, 320, 320))
