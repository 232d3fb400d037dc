"""Classify by the nearest of labelled features: weighted k-nearest neighbours.

Wu, Xiong, Yu, Lin, "Unsupervised feature learning via non-parametric instance discrimination", 2018, arXiv 1805.01978;
as DINO does it (Caron et al. 2021, arXiv 2104.14294), with 20 neighbours and a temperature of 0.07.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from modernet.evaluation.probing.features import Features

NUMBERS = (20, 10, 50, 5, 100, 1, 200)
"""Numbers of neighbours to choose from, DINO's first."""
_TEMPERATURE = 0.07
_SIMILARITIES = 2**26  # at a time: 256 MiB
_LEAST_SHARE = 1e-12


def neighbour_scores(
    bank: Features,
    vectors: Tensor,
    num_classes: int,
    numbers: Sequence[int] = NUMBERS,
    *,
    device: torch.device | None = None,
) -> dict[int, Tensor]:
    """Return the scores of the classes by the nearest neighbours of each vector, for several numbers of neighbours.

    Each of the k images of the bank with the highest cosine similarity s votes for its class with exp(s / 0.07).

    Args:
        bank: the images that are known.
        vectors: float32 (n, c), of the images to classify.
        num_classes: number of classes.
        numbers: values of k; those above the size of the bank are left out.
        device: where to compute them; None is the CPU.

    Returns:
        For each k the logarithm of the share of the votes, float32 (n, num_classes) on the CPU, at least log(1e-12).
    """
    device = device or torch.device("cpu")
    numbers = [k for k in numbers if k <= len(bank)]
    known, labels = F.normalize(bank.vectors.to(device)), bank.labels.to(device)
    scores: dict[int, list[Tensor]] = {k: [] for k in numbers}
    for rows in torch.split(vectors, max(_SIMILARITIES // len(bank), 1)):
        similarity = F.normalize(rows.to(device)) @ known.T
        nearest, indices = similarity.topk(max(numbers))
        weights, voted = (nearest / _TEMPERATURE).exp(), labels[indices]
        for k in numbers:
            votes = weights.new_zeros(len(rows), num_classes).scatter_add_(1, voted[:, :k], weights[:, :k])
            shares = votes / votes.sum(1, keepdim=True)
            scores[k].append(shares.clamp_min(_LEAST_SHARE).log().cpu())
    return {k: torch.cat(parts) for k, parts in scores.items()}
