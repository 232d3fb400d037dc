"""A backbone whose weights stay as they are, as a function from images to feature vectors."""

from __future__ import annotations

from torch import Tensor, nn

from modernet.errors import InputError
from modernet.models import Backbone, DenseNetwork
from modernet.pretraining.masked import MaskedAutoencoder


def backbone_of(network: nn.Module) -> Backbone:
    """Return the backbone of a network for images: itself, that of a detector or segmenter, or the encoder of a masked
    autoencoder, whose decoder is of no use after pre-training.

    Raises:
        InputError: there is none.
    """
    if isinstance(network, Backbone):
        return network
    if isinstance(network, DenseNetwork):
        return network.pyramid.backbone
    if isinstance(network, MaskedAutoencoder):
        return network.encoder
    raise InputError(f"a {type(network).__name__} has no backbone; give a network for images")


class FrozenBackbone(nn.Module):
    """The features of a backbone. `(b, 3, h, w) -> (b, c)`.

    By default what its classifier takes: pooled as the network pools, so that of a ViT they are the class token or the
    mean of the patches. A backbone without pooling, such as that of a segmenter, gives the mean of its last map.

    Args:
        layer: the feature map, as an index into `feature_info`, whose mean over positions to return instead: a stage of
            most networks, a block of a ViT. Negative ones count from the end.

    Attributes:
        layer: as an index from 0; None for what the classifier takes.

    Raises:
        InputError: there is no such feature map.
    """

    def __init__(self, backbone: Backbone, layer: int | None = None) -> None:
        super().__init__()
        maps = len(backbone.stages_left)
        if layer is not None and not -maps <= layer < maps:
            known = f"give one from 0 to {maps - 1}" if maps else "the network describes none: leave it out"
            raise InputError(f"there is no layer {layer}; {known}")
        self.backbone = backbone
        self.training = backbone.training
        self.layer = None if layer is None else layer % maps

    def forward(self, images: Tensor) -> Tensor:
        if self.layer is None and self.backbone.global_pool:
            return self.backbone.forward_head(self.backbone.forward_features(images), pre_logits=True).flatten(1)
        last = self.layer is None
        maps = self.backbone.forward_intermediates(
            images, [-1 if self.layer is None else self.layer], norm=last, stop_early=True, intermediates_only=True
        )
        assert isinstance(maps, list)
        features: Tensor = maps[0].mean((2, 3))
        return features
