"""The schemes of each family."""

from __future__ import annotations

from torch import nn

from modernet.models.backbone import Backbone
from modernet.models.coat import CoaT
from modernet.models.coat_lite import CoaTLite
from modernet.models.convnext import ConvNeXt
from modernet.models.levit import LeViT
from modernet.models.mobilenetv2 import MobileNetV2
from modernet.models.pyramid import DenseNetwork
from modernet.models.resnet import ResNet
from modernet.models.swin import SwinTransformer
from modernet.models.vgg import VGG
from modernet.models.vit import DistilledVisionTransformer, VisionTransformer
from modernet.pretraining.fcmae import MaskedConvNeXt
from modernet.pretraining.mae import MaskedViT
from modernet.segmentation import UPerNet
from modernet.weights.schemes.coat import COAT, COAT_LITE
from modernet.weights.schemes.convnext import CONVNEXT, MASKED_CONVNEXT
from modernet.weights.schemes.levit import levit_schemes
from modernet.weights.schemes.mae import MAE
from modernet.weights.schemes.mobilenetv2 import MOBILENETV2
from modernet.weights.schemes.rcnn import rcnn_schemes
from modernet.weights.schemes.resnet import RESNET
from modernet.weights.schemes.scheme import ORIGINAL, Change, Scheme
from modernet.weights.schemes.swin import SWIN
from modernet.weights.schemes.upernet import upernet_schemes
from modernet.weights.schemes.vgg import VGG as VGG_SCHEMES
from modernet.weights.schemes.vit import VIT

__all__ = ["Change", "Scheme", "schemes_of"]

_SCHEMES: dict[type[nn.Module], tuple[Scheme, ...]] = {
    CoaT: COAT,
    CoaTLite: COAT_LITE,
    ConvNeXt: CONVNEXT,
    DistilledVisionTransformer: VIT,
    MaskedConvNeXt: MASKED_CONVNEXT,
    MaskedViT: MAE,
    MobileNetV2: MOBILENETV2,
    ResNet: RESNET,
    SwinTransformer: SWIN,
    VGG: VGG_SCHEMES,
    VisionTransformer: VIT,
}


def schemes_of(network: nn.Module) -> tuple[Scheme, ...]:
    """Return the schemes in which a network's weights are published; the names of the zoo are always among them."""
    if isinstance(network, Backbone) and network.wrapped_name:
        return (ORIGINAL, Scheme("timm", names=[(rf"^{network.wrapped_name}\.", "")]))
    if isinstance(network, UPerNet):
        return upernet_schemes(schemes_of(network.pyramid.backbone))
    if isinstance(network, DenseNetwork):
        from modernet.detection import RCNN  # here, since torchvision takes seconds to import

        if isinstance(network, RCNN):
            return rcnn_schemes(schemes_of(network.pyramid.backbone), len(network.config.stages))
    if isinstance(network, LeViT):
        return levit_schemes(network)
    return _SCHEMES.get(type(network), (ORIGINAL,))
