from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional as F

from modernet.evaluation.probing import Features, neighbour_scores, neighbours

CLASSES = 3


def reference(bank: Features, vector: torch.Tensor, k: int) -> list[float]:
    """The votes of the k nearest images, one by one."""
    similarities = [float(F.cosine_similarity(vector, known, dim=0)) for known in bank.vectors]
    nearest = sorted(range(len(bank)), key=lambda index: -similarities[index])[:k]
    votes = [0.0] * CLASSES
    for index in nearest:
        votes[int(bank.labels[index])] += math.exp(similarities[index] / 0.07)
    return [math.log(max(vote / sum(votes), 1e-12)) for vote in votes]


def test_the_nearest_vote_by_their_similarity(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = torch.Generator().manual_seed(0)
    bank = Features(3 * torch.randn(40, 5, generator=generator), torch.arange(40) % CLASSES)
    vectors = torch.randn(7, 5, generator=generator)
    monkeypatch.setattr(neighbours, "_SIMILARITIES", 3 * 40)  # so that the vectors are not seen all at once
    scores = neighbour_scores(bank, vectors, CLASSES, (5, 1, 40, 41))

    assert list(scores) == [5, 1, 40], "there are not 41 neighbours"
    for k, found in scores.items():
        expected = torch.tensor([reference(bank, vector, k) for vector in vectors])
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)


def test_the_length_of_a_vector_does_not_matter() -> None:
    bank = Features(torch.eye(3), torch.arange(3))
    short, long = (neighbour_scores(bank, scale * torch.eye(3), 3, (2,))[2] for scale in (1e-3, 1e3))

    torch.testing.assert_close(short, long)
    assert short.argmax(1).tolist() == [0, 1, 2]
