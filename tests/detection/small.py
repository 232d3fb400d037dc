"""Tiny detectors whose scores and boxes differ from place to place, as those of trained ones do."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from modernet.detection import RCNN, RCNNConfig
from modernet.models import Backbone, create_model

CLASSES = 3


@torch.no_grad()
def detector(config: Callable[..., RCNNConfig], backbone: str = "convnext_test", seed: int = 0) -> RCNN:
    """Return a detector in float64 and evaluation mode, each output of which varies over an image of noise."""
    torch.manual_seed(seed)
    body = create_model(backbone)
    assert isinstance(body, Backbone)
    network = RCNN(body, config(num_classes=CLASSES, width=8, hidden=16)).double().eval()
    spread(network.rpn_head.rpn_cls, 2.0)
    spread(network.rpn_head.rpn_reg, 0.2)
    for box_head in network.roi_heads.box_heads:
        spread(box_head.fc_cls, 2.0)
        spread(box_head.fc_reg, 1.0)
    for mask_head in network.roi_heads.mask_heads:
        spread(mask_head.conv_logits, 2.0)
    network(torch.randn(1, 3, 64, 64).double())
    return network


def spread(layer: nn.Conv2d | nn.Linear, std: float) -> None:
    """Let the output of a layer have mean 0 and a standard deviation in each channel, over the first input it sees."""

    def once(layer: nn.Conv2d | nn.Linear, inputs: tuple[Tensor, ...], y: Tensor) -> Tensor:
        hook.remove()
        values = y.transpose(0, 1).flatten(1)
        mean, scale = values.mean(1), std / values.std(1)
        layer.bias.copy_((layer.bias - mean) * scale)
        layer.weight.mul_(scale.reshape(-1, *[1] * (layer.weight.ndim - 1)))
        (x,) = inputs
        z: Tensor = layer(x)
        return z

    hook = layer.register_forward_hook(once)
