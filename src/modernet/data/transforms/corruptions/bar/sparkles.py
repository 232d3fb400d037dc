"""Sparkles: stars with rays of different lengths, as light, or as the one part of the image that stays visible."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from modernet.data.transforms.corruptions.bar.levels import coordinates, of_image
from modernet.data.transforms.corruptions.chance import ImageChance

_SPARKLES = 5
_FEWEST_RAYS, _MOST_RAYS = 50, 199


def sparkles(images: Tensor, chance: ImageChance, strength: float) -> Tensor:
    """Turn pixels towards white near five points, with rays of a mean length of 1 % of the side times the strength."""
    h, w = images.shape[-2:]
    centres = chance.uniform(0, 1, _SPARKLES, 2) * torch.tensor([h, w], device=images.device)
    rays = chance.integers(_FEWEST_RAYS, _MOST_RAYS + 1, _SPARKLES)
    lengths = _lengths(0.01 * strength * min(h, w), chance.normal(_SPARKLES, _MOST_RAYS)).clamp_min(1)
    kept = torch.ones((), device=images.device)
    for number in range(_SPARKLES):
        light, dents = _star(images, centres[:, number], rays[:, number], lengths[:, number])
        light = light.addcmul_(light, dents, value=-1).clamp_(max=1)
        kept = torch.addcmul(kept, kept, light, value=-1)
    return _lightened(images, kept)


def inverse_sparkles(images: Tensor, chance: ImageChance, strength: float) -> Tensor:
    """Turn pixels towards white far from a point, whose rays have a mean length of a quarter of the side.

    The strength makes their ends sharper.
    """
    h, w = images.shape[-2:]
    centre = chance.uniform(0.25, 0.75, 2) * torch.tensor([h, w], device=images.device)
    rays = chance.integers(_FEWEST_RAYS, _MOST_RAYS + 1)
    reach, dents = _star(images, centre, rays, _lengths(0.25 * min(h, w), chance.normal(_MOST_RAYS)))
    reach.pow_(0.13 * strength)
    return _lightened(images, reach.addcmul_(reach, dents, value=-1).clamp_(max=1))


def _lightened(images: Tensor, kept: Tensor) -> Tensor:
    """Keep a share, (b, h, w), of the distance of each pixel to white."""
    return ((255 - images) * kept[:, None]).neg_().add_(255).to(torch.uint8)


def _lengths(mean: float, normal: Tensor) -> Tensor:
    return mean + 0.25 * mean * normal


def _star(images: Tensor, centre: Tensor, rays: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
    """Return how far a star reaches at each pixel, and how far the pixel is from the middle between two rays.

    Args:
        images: (b, 3, h, w)
        centre: row and column, float64 (b, 2).
        rays: their number, int64 (b,).
        lengths: of them, float32 (b, n); only the first are used.

    Returns:
        The squared ratio of the star's radius to the pixel's distance, and 0 in the middle between rays to 0.25 on one:
        float32 (b, h, w) both.
    """
    rows, columns = coordinates(images)
    dy = (rows - centre[:, :1]).float()[:, :, None]
    dx = (columns - centre[:, 1:]).float()[:, None]
    place = torch.atan2(dx, dy).add_(math.pi).mul_(of_image(rays / math.tau))
    ray = place.floor()
    share = place.sub_(ray)
    # two more columns: the first ray after the last, and one that no pixel needs
    closed = F.pad(lengths, (0, 2)).scatter_(1, rays[:, None], lengths[:, :1])
    first = torch.arange(len(rays), device=rays.device) * closed.shape[1]
    ray = ray.add_(of_image(first)).flatten().int()
    steps = (closed.roll(-1, 1) - closed).flatten()
    radius = closed.flatten().index_select(0, ray).view_as(share)
    radius.addcmul_(share, steps.index_select(0, ray).view_as(share))
    reach = radius.square_().div_((dy.square() + 1e-4) + dx.square())
    return reach, share.sub_(0.5).square_()
