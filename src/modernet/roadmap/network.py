"""The network of any `Design`: ResNet at one end of the road, ConvNeXt at the other.

The 1x1 convolutions are convolutions, not linear layers, which is equivalent and equally fast in channels-last memory.
"""

from __future__ import annotations

import math
from collections import OrderedDict

import torch
from torch import Tensor, nn

from modernet.layers import DropPath, LayerNorm2d, drop_path_rates
from modernet.models.backbone import HEAD, STEM, Backbone, Feature, FeatureInfo, GroupKey, ModelConfig, new_classifier
from modernet.roadmap.design import Design


def build(design: Design, num_classes: int = 1000, *, in_chans: int = 3, drop_path_rate: float = 0.0) -> Network:
    """Build the network of a design with random weights.

    >>> resnet50 = build(Design(), num_classes=10)
    >>> with_large_kernels = build(Design(groups="depthwise", kernel_size=7), num_classes=10)
    """
    return Network(design, ModelConfig(num_classes=num_classes, in_chans=in_chans, drop_path_rate=drop_path_rate))


class Network(Backbone):
    """Stem, stages of blocks, average pool and linear classifier, configured by a `Design`."""

    classifier_name = "head"
    head_modules = ("norm", "head")

    def __init__(self, design: Design, config: ModelConfig) -> None:
        super().__init__(config)
        self.stem = new_stem(design, config.in_chans)
        self.stages = nn.ModuleList()
        features = []
        cin, reduction = design.widths[0], design.stem_stride
        for index, rates in enumerate(drop_path_rates(config.drop_path_rate, design.depths)):
            stride = 2 if index > 0 else 1
            self.stages.append(new_stage(design, index, cin, stride, rates))
            cin, reduction = design.out_widths[index], reduction * stride
            features.append(Feature(cin, reduction, f"stages.{index}"))
        self.norm = new_norm(design, cin) if design.head_norm else nn.Identity()

        self.num_features = cin
        self.feature_info = FeatureInfo(features)
        self.apply(_init)
        self.head = new_classifier(cin, config.num_classes)

    def forward_stage(self, index: int, x: Tensor) -> Tensor:
        """Run one stage; stage 0 includes the stem."""
        x = self.stem(x) if index == 0 else x
        return self.run_blocks(self.stages[index], x)

    def pool(self, x: Tensor) -> Tensor:
        x = self.norm(self.pool_map(x)[:, :, None, None]).flatten(1)  # b c h w -> b c 1 1 -> b c
        return x

    def group_key(self, name: str) -> GroupKey:
        """The stem; each block, with a separate downsampling layer before it; the head."""
        module, *rest = name.split(".")
        if module == "stages":
            return int(rest[0]), 0 if rest[1] == "downsample" else int(rest[1])
        return STEM if module == "stem" else HEAD


class Block(nn.Module):
    """Three convolutions and a shortcut. `(b, cin, h, w) -> (b, cout, h / stride, w / stride)`."""

    def __init__(
        self, design: Design, cin: int, hidden: int, cout: int, *, stride: int = 1, drop_path: float = 0.0
    ) -> None:
        super().__init__()
        # channels before, between and after the convolutions; index of the k x k
        if design.spatial_conv == "first":
            channels, spatial = (cin, cin, hidden, cout), 0
        else:
            channels, spatial = (cin, hidden, hidden, cout), 1

        body: OrderedDict[str, nn.Module] = OrderedDict()
        for index in range(3):
            norm = design.norms == "all" or index == spatial
            act = index < 2 if design.activations == "all" else index == 1
            inputs, outputs = channels[index], channels[index + 1]
            if index == spatial:
                groups = inputs if design.groups == "depthwise" else design.groups
                conv = new_conv(design, inputs, outputs, design.kernel_size, stride, groups=groups, norm_follows=norm)
            else:
                conv = new_conv(design, inputs, outputs, 1, norm_follows=norm)
            body[f"conv{index + 1}"] = conv
            if norm:
                body[f"norm{index + 1}"] = new_norm(design, outputs)
            if act:
                body[f"act{index + 1}"] = new_activation(design)
        self.body = nn.Sequential(body)

        init = design.layer_scale_init
        self.gamma = None if init is None else nn.Parameter(torch.full((cout,), init))
        self.drop_path = DropPath(drop_path)
        self.shortcut: nn.Module = nn.Identity()
        if stride > 1 or cin != cout:
            projection = new_conv(design, cin, cout, 1, stride, norm_follows=True)
            self.shortcut = nn.Sequential(OrderedDict(conv=projection, norm=new_norm(design, cout)))
        self.act = new_activation(design) if design.activations == "all" else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        y = self.body(x)
        y = y if self.gamma is None else self.gamma[:, None, None] * y
        out: Tensor = self.act(self.shortcut(x) + self.drop_path(y))
        return out


def new_stem(design: Design, in_chans: int) -> nn.Sequential:
    """Build the stem: `(b, in_chans, h, w) -> (b, widths[0], h / stem_stride, w / stem_stride)`."""
    width, stride = design.widths[0], design.stem_stride
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    if design.stem == "patchify":
        layers["conv"] = new_conv(design, in_chans, width, stride, stride, padding=0, norm_follows=True)
    elif stride == 1:
        layers["conv"] = new_conv(design, in_chans, width, 3, norm_follows=True)
    else:
        layers["conv"] = new_conv(design, in_chans, width, 7, 2, norm_follows=True)
    layers["norm"] = new_norm(design, width)
    if design.activations == "all":
        layers["act"] = new_activation(design)
    if design.stem == "resnet" and stride == 4:
        layers["pool"] = nn.MaxPool2d(3, stride=2, padding=1)
    return nn.Sequential(layers)


def new_stage(design: Design, index: int, cin: int, stride: int, drop_path: list[float]) -> nn.Sequential:
    """Build a stage: the separate downsampling layer, if any, and one block per rate in `drop_path`."""
    hidden, cout = design.hidden_widths[index], design.out_widths[index]
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    if design.downsampling == "separate" and stride > 1:
        conv = new_conv(design, cin, cout, 2, stride, padding=0, norm_follows=False)
        layers["downsample"] = nn.Sequential(OrderedDict(norm=new_norm(design, cin), conv=conv))
        cin, stride = cout, 1
    for block, rate in enumerate(drop_path):
        layers[str(block)] = Block(design, cin, hidden, cout, stride=stride, drop_path=rate)
        cin, stride = cout, 1
    return nn.Sequential(layers)


def new_conv(
    design: Design,
    cin: int,
    cout: int,
    kernel_size: int,
    stride: int = 1,
    *,
    norm_follows: bool,
    groups: int = 1,
    padding: int | None = None,
) -> nn.Conv2d:
    """Build a convolution, with a bias unless a BatchNorm follows; padding defaults to half the kernel."""
    padding = kernel_size // 2 if padding is None else padding
    bias = not (norm_follows and design.norm == "batch")
    return nn.Conv2d(cin, cout, kernel_size, stride, padding, groups=groups, bias=bias)


def new_norm(design: Design, channels: int) -> nn.Module:
    return nn.BatchNorm2d(channels) if design.norm == "batch" else LayerNorm2d(channels)


def new_activation(design: Design) -> nn.Module:
    return nn.ReLU(inplace=True) if design.activation == "relu" else nn.GELU()


def _init(module: nn.Module) -> None:
    """Initialise every step of the road alike, since initialisation is part of the recipe and not a step.

    The variance of a weight is 1 / fan-in, which preserves signal variance at any width. ResNet's paper uses
    2 / fan-out, ConvNeXt's code a standard deviation of 0.02. The latter is meant for hundreds of channels: at a width
    of 12 it makes activations vanish, and little is learned in a few hundred steps.
    """
    if isinstance(module, nn.Conv2d):
        fan_in = module.weight[0].numel()
        nn.init.trunc_normal_(module.weight, std=1 / math.sqrt(fan_in))
        if module.bias is not None:
            nn.init.zeros_(module.bias)
