"""The masked autoencoder of a backbone."""

from __future__ import annotations

from torch import nn

from modernet.errors import InputError
from modernet.models.convnext import ConvNeXt
from modernet.models.vit import VisionTransformer
from modernet.pretraining.fcmae import MaskedConvNeXt
from modernet.pretraining.mae import MaskedViT
from modernet.pretraining.masked import MaskedAutoencoder


def masked_autoencoder(encoder: nn.Module, *, decoder_dim: int, decoder_depth: int) -> MaskedAutoencoder:
    """Return the network that predicts hidden cells of images: MAE for a ViT, FCMAE for a ConvNeXt.

    Args:
        encoder: a new backbone, of which it becomes a part.
        decoder_dim: channels of the decoder.
        decoder_depth: its blocks.

    Raises:
        InputError: there is none for this backbone, or it cannot have such a decoder.
    """
    if isinstance(encoder, VisionTransformer):
        return MaskedViT(encoder, decoder_dim=decoder_dim, decoder_depth=decoder_depth)
    if type(encoder) is ConvNeXt:  # what extends it mixes positions in other ways
        return MaskedConvNeXt(encoder, decoder_dim=decoder_dim, decoder_depth=decoder_depth)
    raise InputError(
        f"a {type(encoder).__name__} cannot be pre-trained with masked images; give a --model that is a ViT, such as "
        "vit_small_patch16, or a ConvNeXt, such as convnextv2_atto"
    )
