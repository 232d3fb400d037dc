"""MAE: the masked autoencoder of Vision Transformers.

He, Chen, Xie, Li, Dollar, Girshick, "Masked Autoencoders Are Scalable Vision Learners", 2021, arXiv 2111.06377.

Three quarters of the patches of an image are hidden, and the network predicts their pixels. The encoder sees the
visible patches only, which makes its training cheap; a smaller decoder sees all patches, one learned token in place of
every hidden one. Afterwards the decoder is dropped, and the encoder is fine-tuned on whole images.

    image 3 x 224 x 224                                            vit_base_patch16, 147 of 196 patches hidden
      16x16 patches -> 196 tokens of 768, positions added -> the 49 visible ones, a class token in front
      12 blocks over 50 tokens -> LayerNorm
      linear -> 512 -> 147 mask tokens in the places of the hidden patches, positions added
      8 blocks over 197 tokens, 16 heads -> LayerNorm
      linear -> 196 x 768, the 16 * 16 * 3 pixels of every patch

Parameter names are those of the release, with `encoder.` before the encoder's. As there, positions are sines and
cosines and not trained; fine-tuning starts from them and trains them.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from modernet.errors import InputError
from modernet.layers import resample_position_embedding
from modernet.models.vit import Block, DistilledVisionTransformer, VisionTransformer
from modernet.pretraining.masked import MaskedAutoencoder, count_visible, grid_of, order_of

_HEAD_WIDTH = 32  # of the published decoder: 512 channels, 16 heads


class MaskedViT(MaskedAutoencoder):
    """A Vision Transformer that sees visible patches, and a decoder that predicts all of them.

    All weights are initialised as published, the encoder's too: load others afterwards. Images of other sizes than the
    encoder is made for work; the positions of both halves are then resampled, as those of the encoder alone are.

    Args:
        encoder: loses its classifier; its position embeddings become the fixed ones, without gradient.
        decoder_dim: channels of the decoder, a multiple of 32, the width of its heads.
        decoder_depth: number of its blocks.

    Raises:
        InputError: the encoder is distilled, has no norm before pooling, or its channels are no multiple of 4; or the
            decoder cannot have this size.
    """

    encoder: VisionTransformer

    def __init__(self, encoder: VisionTransformer, *, decoder_dim: int = 512, decoder_depth: int = 8) -> None:
        super().__init__()
        _check(encoder, decoder_dim, decoder_depth)
        encoder.reset_classifier(0)
        self.encoder, self.cell = encoder, encoder.patch_embed.patch_size
        self._grid = encoder.patch_embed.grid_size
        self.decoder_embed = nn.Linear(encoder.embed_dim, decoder_dim)
        self.mask_token = nn.Parameter(torch.empty(1, 1, decoder_dim))
        self.decoder_pos_embed = nn.Parameter(sincos_positions(self._grid, decoder_dim), requires_grad=False)
        self.decoder_blocks = nn.Sequential(
            *(Block(decoder_dim, decoder_dim // _HEAD_WIDTH) for _ in range(decoder_depth))
        )
        self.decoder_norm = nn.LayerNorm(decoder_dim, eps=1e-6)
        self.decoder_pred = nn.Linear(decoder_dim, self.cell**2 * encoder.in_chans)
        self.apply(_init)
        for token in (encoder.cls_token, self.mask_token):
            nn.init.normal_(token, std=0.02)
        encoder.pos_embed.requires_grad_(False).copy_(sincos_positions(self._grid, encoder.embed_dim))

    def forward(self, images: Tensor, hidden: Tensor) -> Tensor:
        """As `MaskedAutoencoder.forward`.

        Raises:
            InputError: as `grid_of` and `count_visible`.
        """
        grid_of(images, hidden, self.cell)
        visible, order = count_visible(hidden), order_of(hidden)
        tokens, grid = self.encoder.embed(images)
        x = torch.cat([tokens[:, :1], _taken(tokens[:, 1:], order[:, :visible])], dim=1)  # b 1+cells c -> b 1+visible c
        for block in self.encoder.blocks:
            x = self.encoder.run_blocks(block, x)
        x = self.decoder_embed(self.encoder.norm(x))  # c -> d
        mask_tokens = self.mask_token.expand(len(x), order.shape[1] - visible, -1)
        patches = _taken(torch.cat([x[:, 1:], mask_tokens], dim=1), order.argsort(1))
        positions = resample_position_embedding(self.decoder_pos_embed, self._grid, grid, 1)
        x = torch.cat([x[:, :1], patches], dim=1) + positions  # b 1+cells d
        x = self.encoder.run_blocks(self.decoder_blocks, x)
        predictions: Tensor = self.decoder_pred(self.decoder_norm(x[:, 1:]))
        return predictions


def sincos_positions(grid: tuple[int, int], dim: int) -> Tensor:
    """Return fixed positions of a grid (h, w), row by row, and zeros of a class token before them.

    The first half of the channels is of the column, the second of the row; each half is first all sines, then all
    cosines, of the index times 10000^(-i / (dim / 4)), i from 0 to dim / 4 - 1.

    Returns:
        float32 (1, 1 + h * w, dim), computed in double precision.
    """
    (height, width), quarter = grid, dim // 4
    rates = 10_000.0 ** (-torch.arange(quarter, dtype=torch.float64) / quarter)

    def along(side: int) -> Tensor:
        angles = torch.arange(side, dtype=torch.float64)[:, None] * rates
        return torch.cat([angles.sin(), angles.cos()], dim=1)

    columns, rows = along(width).repeat(height, 1), along(height).repeat_interleave(width, 0)
    return F.pad(torch.cat([columns, rows], dim=1), (0, 0, 1, 0))[None].float()


def _taken(x: Tensor, index: Tensor) -> Tensor:
    """Return the tokens of (b, t, c) at the indices (b, u) of each image: (b, u, c)."""
    return torch.take_along_dim(x, index[..., None], dim=1)


def _check(encoder: VisionTransformer, decoder_dim: int, decoder_depth: int) -> None:
    if isinstance(encoder, DistilledVisionTransformer):
        raise InputError("MAE knows no distillation token; give a plain ViT, such as vit_small_patch16 or deit_small")
    if isinstance(encoder.norm, nn.Identity):
        raise InputError("MAE needs the norm of all tokens, and this ViT has one of their mean; give global_pool token")
    if encoder.embed_dim % 4:
        raise InputError(f"dim is {encoder.embed_dim}; sines and cosines of two axes need a multiple of 4")
    if decoder_dim < 1 or decoder_dim % _HEAD_WIDTH:
        raise InputError(f"decoder_dim is {decoder_dim}; give a multiple of {_HEAD_WIDTH}, the width of its heads")
    if decoder_depth < 1:
        raise InputError(f"decoder_depth is {decoder_depth}; give 1 or more")


def _init(module: nn.Module) -> None:
    """Initialise linear layers as Glorot and Bengio 2010 do, and the convolution as the linear layer that it is."""
    if isinstance(module, nn.Linear | nn.Conv2d):
        bound = (6 / (module.weight.shape[0] + module.weight[0].numel())) ** 0.5
        nn.init.uniform_(module.weight, -bound, bound)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, nn.LayerNorm):
        module.reset_parameters()
