"""Which projects' names each family's weights go by."""

from __future__ import annotations

from torch import nn

from modernet.models.backbone import Backbone
from modernet.models.convnext import ConvNeXt
from modernet.models.mobilenetv2 import MobileNetV2
from modernet.models.resnet import ResNet
from modernet.models.swin import SwinTransformer
from modernet.models.vit import DistilledVisionTransformer, VisionTransformer
from modernet.weights.schemes.convnext import CONVNEXT
from modernet.weights.schemes.mobilenetv2 import MOBILENETV2
from modernet.weights.schemes.resnet import RESNET
from modernet.weights.schemes.scheme import ORIGINAL, Change, Scheme
from modernet.weights.schemes.swin import SWIN
from modernet.weights.schemes.vit import VIT

__all__ = ["Change", "Scheme", "schemes_of"]

_SCHEMES: dict[type[nn.Module], tuple[Scheme, ...]] = {
    ConvNeXt: CONVNEXT,
    DistilledVisionTransformer: VIT,
    MobileNetV2: MOBILENETV2,
    ResNet: RESNET,
    SwinTransformer: SWIN,
    VisionTransformer: VIT,
}


def schemes_of(network: nn.Module) -> tuple[Scheme, ...]:
    """The schemes that a network's weights are known under; its own names always."""
    if isinstance(network, Backbone) and network.wrapped_name:
        return (ORIGINAL, Scheme("timm", names=[(rf"^{network.wrapped_name}\.", "")]))
    return _SCHEMES.get(type(network), (ORIGINAL,))
