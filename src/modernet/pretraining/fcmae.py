"""FCMAE: a fully convolutional masked autoencoder, for ConvNeXt V1 and V2 in plain PyTorch.

Woo, Debnath, Hu, Chen, Liu, Kweon, Xie, "ConvNeXt V2: Co-designing and Scaling ConvNets with Masked Autoencoders",
2023, arXiv 2301.00808.

    image 3 x 224 x 224, 7 x 7 cells of 32 pixels, 60 % of them hidden
      visible cells, one below the other      -> 3 x (19 * 32) x 32
      ConvNeXt: stem, stages, downsampling    -> c x 19 x 1
        7x7 depthwise convolutions: cells in their places, zeros in hidden ones
      1x1 to 512, cells in their places, a learned token in hidden ones -> 512 x 7 x 7
      ConvNeXt V2 block, 1x1                  -> 32 * 32 * 3 pixels of each of 7 x 7 cells

The paper's encoder is a sparse one (MinkowskiEngine), which equals dense convolutions of maps that are multiplied by
the mask before every depthwise convolution, before every downsampling layer, and before the norm of GRN: biases fill
hidden positions again. Here, hidden positions exist only within the depthwise convolutions, the only layers that mix
cells. The release takes GRN's norm over the visible positions of the whole batch; here, as in the paper's formula
and in fine-tuning, it is that of each image. The release draws most initial weights with a standard deviation of 1;
here it is 0.02 in all layers.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from modernet.models.convnext import Block, ConvNeXt, init_weights
from modernet.pretraining.masked import MaskedAutoencoder, grid_of
from modernet.pretraining.visible import VisibleCells


class MaskedConvNeXt(MaskedAutoencoder):
    """FCMAE of a ConvNeXt, V1 or V2. A cell is a position of its last feature map: 32 pixels with a stem of stride 4.

    Parameter names are those of the release. Hidden pixels are never read.

    Args:
        encoder: the network to pre-train; it loses its head, which no prediction needs.
        decoder_dim: channels of the decoder.
        decoder_depth: blocks of the decoder.
    """

    encoder: ConvNeXt

    def __init__(self, encoder: ConvNeXt, *, decoder_dim: int = 512, decoder_depth: int = 1) -> None:
        super().__init__()
        encoder.prune_intermediate_layers(prune_head=True)
        self.encoder = encoder
        self.cell = encoder.feature_info.reduction(-1)
        self.proj = nn.Conv2d(encoder.num_features, decoder_dim, 1)
        self.mask_token = nn.Parameter(torch.empty(1, decoder_dim, 1, 1))
        self.decoder = nn.Sequential(
            *(Block(decoder_dim, layer_scale_init=0.0, grn=True) for _ in range(decoder_depth))
        )
        self.pred = nn.Conv2d(decoder_dim, self.cell**2 * encoder.in_chans, 1)
        nn.init.normal_(self.mask_token, std=0.02)
        for part in (self.proj, self.decoder, self.pred):
            part.apply(init_weights)

    def forward(self, images: Tensor, hidden: Tensor) -> Tensor:
        """As in `MaskedAutoencoder`.

        Raises:
            InputError: as `grid_of` and `VisibleCells`.
        """
        cells = VisibleCells(hidden, grid_of(images, hidden, self.cell))
        x = cells.spread(self.proj(self.features(images, cells)))
        x = torch.where(hidden.view(-1, 1, *cells.grid), self.mask_token.to(x.dtype), x)
        predictions: Tensor = self.pred(self.encoder.run_blocks(self.decoder, x))
        return predictions.flatten(2).transpose(1, 2)  # b pixels h w -> b cells pixels

    def features(self, images: Tensor, cells: VisibleCells) -> Tensor:
        """Return the encoder's last features of the visible cells, (b, c, v, 1)."""
        x = cells.strip(images)
        for downsample, blocks in zip(self.encoder.downsample_layers, self.encoder.stages, strict=True):
            x = downsample(x)
            for block in blocks.children():
                x = self.encoder.run_blocks(block, x, cells.run)
        return x
