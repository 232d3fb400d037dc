"""Candidates whose quality is known, with learning curves, noise of seeds and of images: trainings without training."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from modernet.report.advise.advice import Trial
from modernet.studies.advise.halving import Cost, Entered

EPOCHS = 30
_POOL = 4000


class SimulatedCandidates:
    """Candidates drawn at random.

    A training answers an image right with probability sigmoid(ability + image), where the ability of candidate i after
    e of 30 epochs is q_i - c_i ((30 / e)^0.5 - 1) + noise of the seed, and an image has a difficulty and something that
    each candidate finds easier or harder.

    Attributes:
        quality: expected score over images and seeds after 30 epochs, in per cent, by name.
    """

    def __init__(self, seed: int, n: int = 12, images: int = 300, spread: float = 0.4, seed_std: float = 0.12) -> None:
        rng = np.random.default_rng([1, seed])
        self._seed, self._seed_std = seed, seed_std
        self.names = [f"network_{index}" for index in range(n)]
        self._ability = rng.normal(1.0, spread, n)
        self._slowness = rng.lognormal(-0.5, 0.35, n)
        self._images = rng.normal(0.0, 1.5, images) + rng.normal(0.0, 1.0, (n, images))
        population = rng.normal(0.0, np.hypot(1.5, 1.0), _POOL)
        seeds = rng.normal(0.0, seed_std, _POOL)
        self.quality = {
            name: 100 * float(_sigmoid(ability + seeds + population).mean())
            for name, ability in zip(self.names, self._ability, strict=True)
        }
        self.costs = {name: Cost(float(cost), 1.0) for name, cost in zip(self.names, rng.uniform(1, 3, n), strict=True)}

    def train(self, index: int, name: str, epochs: int, seed: int) -> Trial:
        """Return one training."""
        who = self.names.index(name)
        rng = np.random.default_rng([2, self._seed, who, epochs, seed])
        ability = self._ability[who] - self._slowness[who] * ((EPOCHS / epochs) ** 0.5 - 1)
        chance = _sigmoid(ability + rng.normal(0.0, self._seed_std) + self._images[who])
        right = rng.random(len(chance)) < chance
        answers = "".join("1" if each else "0" for each in right)
        return Trial(index, seed, epochs, 100 * float(right.mean()), len(right), 1.0, answers)

    def round(self, index: int, entered: Entered) -> dict[str, list[Trial]]:
        """Return the trainings of a round."""
        return {
            name: [self.train(index, name, entered.epochs, seed) for seed in range(entered.seeds)]
            for name in entered.names
        }

    def exhaustive(self, seeds: Sequence[int]) -> dict[str, list[Trial]]:
        """Return full trainings of every candidate, with seeds of their own."""
        return {name: [self.train(0, name, EPOCHS, 100 + seed) for seed in seeds] for name in self.names}


def _sigmoid(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(1 / (1 + np.exp(-x)))
