from __future__ import annotations

import pytest
import torch

from modernet.benchmark import Case
from modernet.benchmark.batch import fastest_batch, find_batch
from modernet.benchmark.targets import find_network


@pytest.mark.parametrize(
    ("speeds", "best"),
    [
        ({1: 10, 2: 20, 4: 39, 8: 39.5, 16: 39.6}, 16),  # two steps gained less than 2 %
        ({1: 10, 2: 20, 4: 15, 8: 14}, 2),
        ({1: 10, 2: 10.1, 4: 20, 8: 12, 16: 12}, 4),  # one step without gain is not the end
    ],
)
def test_the_fastest_batch_is_found(speeds: dict[int, float], best: int) -> None:
    asked: list[int] = []

    def images_per_second(batch: int) -> float:
        asked.append(batch)
        return speeds[batch]

    assert find_batch(images_per_second) == best
    assert asked == list(speeds)


def test_running_out_of_memory_ends_the_search() -> None:
    def images_per_second(batch: int) -> float:
        if batch > 8:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return batch

    assert find_batch(images_per_second) == 8
    assert find_batch(images_per_second, start=64) == 8


def test_a_failure_with_one_image_is_raised() -> None:
    def images_per_second(batch: int) -> float:
        raise ValueError("expected more than 1 value per channel")

    with pytest.raises(ValueError, match="more than 1 value"):
        find_batch(images_per_second, start=4)


@pytest.mark.medium
def test_a_network_that_fits_four_images_gets_four() -> None:
    name = "benchmark.contenders:fits_four_images"
    case = Case(name, "infer", "float32", "contiguous", "off", None, 8, threads=1)
    assert fastest_batch(case, find_network(name), torch.device("cpu")) == 4
