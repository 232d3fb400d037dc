from __future__ import annotations

import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch import Tensor
from torch.nn import functional as F

from modernet.evaluation.probing import Features, LinearClassifier, fit_linear, linear

N, CLASSES, STRENGTH = 240, 4, 1e-2


@pytest.fixture
def features() -> Features:
    """Overlapping classes, with features of unequal scales and means far from 0."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(N) % CLASSES
    centres = torch.randn(CLASSES, 6, generator=generator)
    noise = torch.randn(N, 6, generator=generator)
    scales, offsets = torch.tensor([1.0, 1e-3, 50.0, 1.0, 1.0, 1.0]), torch.tensor([0.0, 1.0, 300.0, 0.0, 5.0, 0.0])
    return Features((centres[labels] + 1.5 * noise) * scales + offsets, labels)


def standardised(features: Features) -> Tensor:
    x = features.vectors.double()
    return (x - x.mean(0)) / x.std(0, correction=0)


def of_standardised(found: LinearClassifier, features: Features) -> tuple[Tensor, Tensor]:
    """Weights and bias for standardised features; the mean of the biases, which changes no probability, is 0."""
    x = features.vectors.double()
    bias = found.bias + found.weight @ x.mean(0)
    return found.weight * x.std(0, correction=0), bias - bias.mean()


def test_the_solution_is_that_of_scikit_learn(features: Features) -> None:
    weight, bias = of_standardised(fit_linear(features, CLASSES, STRENGTH), features)
    reference = LogisticRegression(C=1 / (STRENGTH * N), tol=1e-10, max_iter=10_000)
    reference.fit(standardised(features).numpy(), features.labels.numpy())

    torch.testing.assert_close(weight, torch.from_numpy(reference.coef_), rtol=0, atol=1e-4)
    centred = torch.from_numpy(reference.intercept_ - reference.intercept_.mean())
    torch.testing.assert_close(bias, centred, rtol=0, atol=1e-4)


@pytest.mark.parametrize("strength", [10.0, 1e-3, 1e-6])
def test_the_gradient_is_zero_at_the_solution(features: Features, strength: float) -> None:
    parameters = of_standardised(fit_linear(features, CLASSES, strength), features)
    weight, bias = (parameter.requires_grad_() for parameter in parameters)
    scores = standardised(features) @ weight.T + bias
    (F.cross_entropy(scores, features.labels) + strength / 2 * weight.square().sum()).backward()  # type: ignore[no-untyped-call]

    assert weight.grad is not None
    assert bias.grad is not None
    assert max(weight.grad.abs().max(), bias.grad.abs().max()) < 1e-5


def test_neither_the_start_nor_the_size_of_the_parts_matters(
    features: Features, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = fit_linear(features, CLASSES, STRENGTH)
    monkeypatch.setattr(linear, "_ROWS", 77)
    other = fit_linear(features, CLASSES, STRENGTH, start=fit_linear(features, CLASSES, 1.0))

    torch.testing.assert_close(other.scores(features.vectors), plain.scores(features.vectors), rtol=0, atol=1e-4)


@pytest.mark.parametrize("value", [0.0, 0.1])
def test_a_constant_feature_has_no_influence(features: Features, value: float) -> None:
    """0.1 has no exact sum."""
    constant = torch.full((N, 1), value)
    more = Features(torch.cat((features.vectors, constant), dim=1), features.labels)
    scores = fit_linear(more, CLASSES, STRENGTH).scores(more.vectors)

    torch.testing.assert_close(scores, fit_linear(features, CLASSES, STRENGTH).scores(features.vectors))
