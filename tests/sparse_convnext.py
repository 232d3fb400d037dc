"""ConvNeXt as loops over the visible positions of one image: hidden positions are in no dictionary, so none is read."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from modernet.models.convnext import GRN, Block, ConvNeXt
from modernet.pretraining.fcmae import MaskedConvNeXt

Sites = dict[tuple[int, int], Tensor]
"""Row and column -> channels."""


def predict(model: MaskedConvNeXt, image: Tensor, hidden: Tensor) -> Tensor:
    """Return the predictions for an image (3, h, w) with hidden cells (cells,): (cells, pixels of a cell)."""
    height, width = (side // model.cell for side in image.shape[1:])
    features = encode(model.encoder, image, hidden.view(height, width))
    token = model.mask_token.flatten()
    cells = [
        model.proj(features[row, column][:, None, None]).flatten() if (row, column) in features else token
        for row in range(height)
        for column in range(width)
    ]
    maps = torch.stack(cells, 1).view(1, -1, height, width)
    return model.pred(model.decoder(maps)).flatten(2)[0].T


def encode(encoder: ConvNeXt, image: Tensor, hidden: Tensor) -> Sites:
    """Return the last features of an image (3, h, w) with hidden cells (rows, columns)."""
    cell = image.shape[1] // hidden.shape[0]
    sites = {
        (row, column): image[:, row, column]
        for row in range(image.shape[1])
        for column in range(image.shape[2])
        if not hidden[row // cell, column // cell]
    }
    for downsample, blocks in zip(encoder.downsample_layers, encoder.stages, strict=True):
        for layer in downsample:
            sites = strided(sites, layer) if isinstance(layer, nn.Conv2d) else normalised(sites, layer)
        for block in blocks:
            sites = run_block(sites, block)
    return sites


def strided(sites: Sites, conv: nn.Conv2d) -> Sites:
    """A convolution as wide as its stride: every patch is whole."""
    side = conv.stride[0]
    found: Sites = {}
    for row, column in sites:
        if row % side == column % side == 0:
            patch = [sites[row + i, column + j] for i in range(side) for j in range(side)]
            y = conv.weight.flatten(2) * torch.stack(patch, -1)
            found[row // side, column // side] = y.sum((1, 2)) + conv.bias
    return found


def depthwise(sites: Sites, conv: nn.Conv2d) -> Sites:
    """A depthwise convolution: what it finds no position for counts nothing."""
    side, kernel = conv.kernel_size[0], conv.weight.flatten(1)
    found: Sites = {}
    for row, column in sites:
        around = [(row + i - side // 2, column + j - side // 2) for i in range(side) for j in range(side)]
        taps = [tap for tap, site in enumerate(around) if site in sites]
        y = (kernel[:, taps] * torch.stack([sites[around[tap]] for tap in taps], -1)).sum(-1)
        found[row, column] = y if conv.bias is None else y + conv.bias
    return found


def normalised(sites: Sites, norm: nn.LayerNorm) -> Sites:
    return {site: F.layer_norm(x, norm.normalized_shape, norm.weight, norm.bias, norm.eps) for site, x in sites.items()}


def run_block(sites: Sites, block: Block) -> Sites:
    mixed = depthwise(sites, block.dwconv)
    if block.dwconv_small is not None:
        small = depthwise(sites, block.dwconv_small)
        mixed = {site: mixed[site] + small[site] for site in sites}
    hidden_layer = {site: F.gelu(block.pwconv1(x)) for site, x in normalised(mixed, block.norm).items()}
    if isinstance(block.grn, GRN):
        gamma, beta = block.grn.gamma.flatten(), block.grn.beta.flatten()
        energy = torch.stack(list(hidden_layer.values())).square().sum(0).sqrt()
        share = energy / (energy.mean() + 1e-6)
        hidden_layer = {site: gamma * x * share + beta + x for site, x in hidden_layer.items()}
    scale = 1 if block.gamma is None else block.gamma
    return {site: x + scale * block.pwconv2(hidden_layer[site]) for site, x in sites.items()}
