"""Classify features by a linear function: multinomial logistic regression with an L2 penalty."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from modernet.evaluation.probing.features import Features

STRENGTHS = tuple(10.0**power for power in range(1, -8, -1))
"""Penalties to choose from, the strongest first."""
_ROWS = 2**14  # images at a time
_CONSTANT = 1e-6
"""Standard deviation of a feature, as a share of its largest value, below which only rounding varies."""
_ITERATIONS = 1000
_GRADIENT = 1e-7  # largest entry at the minimum
_DECREASE = 1e-12  # of the loss in an iteration, relative, below which no other follows


@dataclass(frozen=True, eq=False)
class LinearClassifier:
    """Scores of k classes: the features times `weight`, plus `bias`.

    Attributes:
        weight: float64 (k, c), on the CPU.
        bias: float64 (k,)
    """

    weight: Tensor
    bias: Tensor

    def scores(self, vectors: Tensor) -> Tensor:
        """Return the scores of features (n, c), float32 (n, k); their softmax is the probability of each class."""
        rows = [part.double() @ self.weight.T + self.bias for part in torch.split(vectors, _ROWS)]
        return torch.cat(rows).float()


def fit_linear(
    features: Features,
    num_classes: int,
    strength: float,
    *,
    start: LinearClassifier | None = None,
    device: torch.device | None = None,
) -> LinearClassifier:
    """Fit a linear classifier to features.

    Features x are standardised, to a mean of 0 and a standard deviation of 1 over the images; constant ones become 0.
    Then this function of W and b, which is convex, is minimised in float64 by L-BFGS:

        mean over images of -log softmax(W x + b)[label] + strength / 2 * sum of W²

    scikit-learn's `LogisticRegression` of standardised features has the same minimum for `C = 1 / (strength * n)`, and
    three classes or more.

    Args:
        features: n images, of at least two classes.
        num_classes: number of classes.
        strength: of the penalty, above 0.
        start: where the search begins, such as the solution for a similar strength; None: at 0.
        device: where to compute; None is the CPU. What has no float64 is not used.
    """
    from scipy.optimize import minimize

    device = torch.device("cpu") if device is None or device.type == "mps" else device
    mean, deviation = _statistics(features.vectors)
    x = ((features.vectors.double() - mean) / deviation).to(device)
    labels = features.labels.to(device)[:, None]
    n, c = x.shape

    def loss(flat: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        """Return the function and its gradient, of W and b side by side."""
        both = torch.from_numpy(flat).view(num_classes, c + 1).to(device)
        weight, bias = both[:, :c], both[:, c]
        gradient = torch.zeros_like(both)
        total = x.new_zeros(())
        for part, own in zip(torch.split(x, _ROWS), torch.split(labels, _ROWS), strict=True):
            logs = (part @ weight.T + bias).log_softmax(1)
            total -= logs.gather(1, own).sum()
            excess = logs.exp().scatter_add_(1, own, -torch.ones_like(own, dtype=x.dtype))
            gradient[:, :c] += excess.T @ part
            gradient[:, c] += excess.sum(0)
        gradient /= n
        gradient[:, :c] += strength * weight
        value = total / n + strength / 2 * weight.square().sum()
        return float(value), gradient.cpu().flatten().numpy()

    first = np.zeros(num_classes * (c + 1))
    if start is not None:
        weight, bias = start.weight * deviation, start.bias + start.weight @ mean
        first = torch.cat((weight, bias[:, None]), dim=1).flatten().numpy()
    options: dict[str, Any] = {"maxiter": _ITERATIONS, "maxfun": 10 * _ITERATIONS, "gtol": _GRADIENT, "ftol": _DECREASE}
    found = torch.from_numpy(minimize(loss, first, jac=True, method="L-BFGS-B", options=options).x)
    both = found.view(num_classes, c + 1)
    weight = both[:, :c] / deviation
    return LinearClassifier(weight, both[:, c] - weight @ mean)


def _statistics(vectors: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation of each feature, float64 (c,); 1 for one that is constant."""
    total = sum(part.double().sum(0) for part in torch.split(vectors, _ROWS))
    mean = torch.as_tensor(total) / len(vectors)
    squares = sum((part.double() - mean).square().sum(0) for part in torch.split(vectors, _ROWS))
    deviation = (torch.as_tensor(squares) / len(vectors)).sqrt()
    constant = deviation <= _CONSTANT * vectors.abs().amax(0)
    return mean, deviation.masked_fill(constant, 1.0)
